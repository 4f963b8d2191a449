//! The handshake's catalogue of bad input, row by row, and what crosses which hop.

mod forwarding;
mod request;
mod response;

use super::*;

/// A head from its lines, which may themselves be malformed.
fn head(lines: &[&str]) -> Vec<u8> {
    let mut head = lines.join("\r\n").into_bytes();
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// A good request with `extra` lines behind it.
fn request_head(extra: &[&str]) -> Vec<u8> {
    let mut lines = GOOD.to_vec();
    lines.extend_from_slice(extra);
    head(&lines)
}

fn request(extra: &[&str]) -> UpgradeRequest {
    UpgradeRequest::parse(&request_head(extra)).expect("a good request")
}

/// The key of RFC 6455 section 1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

const GOOD: [&str; 6] = [
    "GET /chat?room=1 HTTP/1.1",
    "Host: example.com:8080",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    KEY,
];
