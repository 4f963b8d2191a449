//! The hub from outside: real sockets on loopback, scripted clients.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod allowed;
mod asking;
mod asking_many;
mod attacks;
mod broadcast;
mod ends;
mod expiring;
mod fanout;
mod full;
mod history;
mod looking;
mod methods;
mod moving;
mod nodes;
mod peer;
mod raw;
mod requests;
mod rosters;
mod slow;
mod stateful;
mod streams;
