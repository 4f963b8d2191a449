//! The client against a scripted server, hand-written bytes over plain streams and an independent
//! WebSocket, against our own hub, and against the conformance fixture in a process of its own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod asked;
mod calls;
mod choosing;
mod fixture;
mod handlers;
mod hub;
mod limits;
mod negotiation;
mod peer;
mod polling;
mod reconnecting;
mod stateful;
