//! The 101 that opens a client's WebSocket.

use super::{LegWelcome, UpgradeRequest};

/// The whole head for `request`'s client, once its first leg was welcomed.
pub fn client_response(request: &UpgradeRequest, welcome: &LegWelcome) -> Vec<u8> {
    let mut out = Vec::with_capacity(OWN_LINES_GUESS + welcome.headers.as_bytes().len());
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(request.accept());
    out.extend_from_slice(b"\r\n");
    if let Some(protocol) = &welcome.agreed.protocol {
        out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(deflate) = &welcome.agreed.deflate {
        out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        deflate.write_answer(&mut out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(welcome.headers.as_bytes());
    out.extend_from_slice(b"\r\n");
    out
}

/// The fixed lines, a subprotocol and compression.
const OWN_LINES_GUESS: usize = 320;
