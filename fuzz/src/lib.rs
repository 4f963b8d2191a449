//! What must hold for any bytes from outside.
//!
//! One function per target. It panics where a promise is broken and otherwise says nothing. The
//! same functions run under libFuzzer (`fuzz_targets/`) and as seeded tests (`tests/seeded.rs`).
#![forbid(unsafe_code)]

mod bytes;
mod envelope;
mod extension;
mod frame;
mod handshake;
mod hub_nodes;
mod payload;
mod requests;
mod session;
mod signalr_events;
mod signalr_messages;
mod signalr_opening;
mod signalr_publication;

pub use envelope::envelope;
pub use extension::extension;
pub use frame::frame;
pub use handshake::handshake;
pub use hub_nodes::hub_nodes;
pub use payload::payload;
pub use requests::requests;
pub use session::session;
pub use signalr_events::signalr_events;
pub use signalr_messages::{signalr_json, signalr_msgpack};
pub use signalr_opening::{signalr_handshake, signalr_negotiate};
pub use signalr_publication::signalr_publication;
