//! Bad input: the answer comes from the gateway, and the backend sees nothing of it.

mod control_frames;
mod endings;
mod frames;
mod handshake;
mod hub;
mod plain;
mod random;
mod tunnel;
mod upgrade_headers;
