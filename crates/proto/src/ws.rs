//! WebSocket, RFC 6455: frames, messages, close codes and the opening handshake.

pub mod close;
pub mod extension;
pub mod frame;
pub mod intake;
pub mod message;
pub mod output;
pub mod payload;
pub mod runs;
pub mod upgrade;
