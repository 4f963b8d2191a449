//! What must hold for any bytes from outside.
//!
//! One function per target. It panics where a promise is broken and otherwise says nothing. The
//! same functions run under libFuzzer (`fuzz_targets/`) and as seeded tests (`tests/seeded.rs`).
#![forbid(unsafe_code)]

mod bytes;
mod frame;
mod session;

pub use frame::frame;
pub use session::session;
