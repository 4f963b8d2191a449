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
mod payload;
mod session;
mod signalr_messages;
mod signalr_opening;

pub use envelope::envelope;
pub use extension::extension;
pub use frame::frame;
pub use handshake::handshake;
pub use payload::payload;
pub use session::session;
pub use signalr_messages::{signalr_json, signalr_msgpack};
pub use signalr_opening::{signalr_handshake, signalr_negotiate};
