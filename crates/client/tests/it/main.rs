//! The client against a scripted server, hand-written bytes over an independent WebSocket, and
//! against our own hub.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod calls;
mod handlers;
mod hub;
mod limits;
mod negotiation;
mod peer;
mod reconnecting;
mod stateful;
