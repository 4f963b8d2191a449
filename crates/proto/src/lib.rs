//! The pure meaning of bytes: no clock, no sockets, no tasks.
//!
//! Owns the WebSocket codec of RFC 6455 ([`ws`]), the SignalR protocol for both its ends
//! ([`signalr`]), and the numbered, bounded, acknowledged replay ([`session`]) that every promise of
//! Everwire rests on. It deliberately knows nothing of tokio, files, wall time or logging: callers
//! hand in bytes and instants and get decisions back.
#![forbid(unsafe_code)]

pub mod session;
pub mod signalr;
pub mod time;
pub mod ws;
