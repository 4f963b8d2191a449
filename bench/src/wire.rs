//! The generator's own few lines of RFC 6455, written apart from Everwire's codec.
//!
//! It only knows what a load generator needs: writing frames once and sending them often, finding
//! frame boundaries, opening handshakes. Judging bad input is not its business: peers that err are
//! reported as errors and end the measurement.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The masking key of every frame the generator sends: fixed, so that frames can be prepared.
pub(crate) const CLIENT_MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame header as read from the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) last: bool,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) header_len: usize,
    pub(crate) payload_len: usize,
}

impl Header {
    /// Bytes of the whole frame.
    pub(crate) fn frame_len(&self) -> usize {
        self.header_len + self.payload_len
    }
}

/// Reads the header at the start of `bytes`, or `None` if it is not complete.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (payload_len, mut at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(array(bytes, 2)?)), 4),
        127 => (u64::from_be_bytes(array(bytes, 2)?), 10),
        short => (u64::from(short), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(array(bytes, at)?);
        at += 4;
    }
    let payload_len = usize::try_from(payload_len).unwrap_or(usize::MAX / 2);
    Some(Header { last: first & 0x80 != 0, opcode: first & 0xf, mask, header_len: at, payload_len })
}

/// Appends a frame; the first byte carries FIN as given.
pub(crate) fn put_frame(
    out: &mut Vec<u8>,
    last: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    payload: &[u8],
) {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(if last { 0x80 } else { 0 } | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(masked | u8::try_from(short).unwrap_or(0)),
        middle @ 126..=0xffff => {
            out.push(masked | 126);
            out.extend_from_slice(&u16::try_from(middle).unwrap_or(0).to_be_bytes());
        }
        long => {
            out.push(masked | 127);
            out.extend_from_slice(&u64::try_from(long).unwrap_or(0).to_be_bytes());
        }
    }
    let start = out.len() + mask.map_or(0, |_| 4);
    if let Some(key) = mask {
        out.extend_from_slice(&key);
    }
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key);
    }
}

/// Masks or unmasks in place, eight bytes at a time.
pub(crate) fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (blocks, rest) = bytes.as_chunks_mut::<8>();
    for block in blocks {
        *block = (u64::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A client's opening handshake, filled up with a cookie to `size` bytes as browsers' are.
pub(crate) fn request_head(host: &str, size: usize) -> Vec<u8> {
    request_head_of(host, "/chat?room=1", size)
}

/// The same for another path and query.
pub(crate) fn request_head_of(host: &str, path: &str, size: usize) -> Vec<u8> {
    let plain = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: everwire-bench/1\r\n\
         Accept-Language: en-GB,en;q=0.9\r\nCache-Control: no-cache\r\nPragma: no-cache\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://{host}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {CLIENT_KEY}\r\nCookie: id="
    );
    let filler = size.saturating_sub(plain.len() + HEAD_END.len()).max(1);
    let mut head = plain.into_bytes();
    head.resize(head.len() + filler, b'x');
    head.extend_from_slice(HEAD_END);
    head
}

/// The server's answer to a handshake with `key`.
pub(crate) fn welcome(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_for(key)
    )
}

/// Whether a response head accepts the handshake of [`request_head`].
pub(crate) fn is_welcome(head: &str) -> bool {
    let accept = accept_for(CLIENT_KEY);
    head.starts_with("HTTP/1.1 101") && field(head, "sec-websocket-accept") == Some(&accept)
}

/// The value of a header field in a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Reads until `input` holds a whole head and takes it out; what follows stays in `input`.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
) -> io::Result<String> {
    loop {
        if let Some(at) = input.windows(HEAD_END.len()).position(|window| window == HEAD_END) {
            let rest = input.split_off(at + HEAD_END.len());
            let head = std::mem::replace(input, rest);
            return String::from_utf8(head).map_err(io::Error::other);
        }
        if input.len() > HEAD_MAX {
            return Err(io::Error::other("head larger than the generator accepts"));
        }
        input.reserve(READ_MIN);
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn accept_for(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

const CLIENT_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// A head beyond this is a peer gone wrong.
const HEAD_MAX: usize = 64 * 1024;
/// Spare room offered to each read of a head.
const READ_MIN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_the_one_of_the_rfc() {
        assert_eq!(accept_for(CLIENT_KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_written_frame_is_read_back_at_every_length_form() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![0x5a; len];
            let mut bytes = Vec::new();
            put_frame(&mut bytes, true, BINARY, Some(CLIENT_MASK), &payload);
            let header = header(&bytes).unwrap();
            assert_eq!(header.frame_len(), bytes.len());
            apply_mask(&mut bytes[header.header_len..], header.mask.unwrap());
            assert_eq!(&bytes[header.header_len..], payload);
        }
    }

    #[test]
    fn a_head_has_the_size_asked_for() {
        assert_eq!(request_head("127.0.0.1:8080", 1024).len(), 1024);
    }
}
