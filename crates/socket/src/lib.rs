//! A WebSocket over any byte stream, in two views.
//!
//! The [`bytes`] view is the gateway's: it reads into a buffer that all sockets of a thread share
//! and writes what lies elsewhere, so that an idle socket holds no memory. The [`message`] view is
//! an endpoint's: whole messages, answered Pings, a bounded outgoing queue, a heartbeat.
//!
//! What messages mean is nobody's business here.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod handshake;
pub mod message;
