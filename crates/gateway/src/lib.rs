//! The uninterrupted WebSocket proxy: a client's socket outlives its backend.
#![forbid(unsafe_code)]

pub mod backends;
mod clock;
pub mod config;
mod dial;
pub mod health;
pub mod pool;
pub mod relay;
