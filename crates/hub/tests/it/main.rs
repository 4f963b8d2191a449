//! The hub from outside: real sockets on loopback, scripted clients.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod asking;
mod attacks;
mod broadcast;
mod ends;
mod looking;
mod methods;
mod peer;
mod raw;
mod requests;
mod slow;
mod stateful;
mod streams;
