//! The uninterrupted WebSocket proxy: a client's socket outlives its backend.
#![forbid(unsafe_code)]

pub mod config;
pub mod relay;
