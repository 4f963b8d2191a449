//! Numbered, bounded, acknowledged replay: how a session outlives its sockets.
//!
//! A sender numbers its messages 1, 2, 3 … and keeps them in an [`outbox`] until the receiver has
//! confirmed them. A receiver tracks in an [`inbox`] what it has seen. When the connection between
//! the two is lost, the receiver names the last number it has; the sender answers *Replay* (what
//! follows is complete) or *Gap* (something is gone, and it says so). Nothing is lost silently.
//!
//! An outbox holds bytes of its own, for the gateway. A [`resend`] queue holds messages that were
//! encoded once for many sessions, for the hub.

pub mod bytes;
pub mod inbox;
mod lengths;
pub mod outbox;
pub mod resend;
