//! WebSocket, RFC 6455: opening handshake, frames, close codes.
