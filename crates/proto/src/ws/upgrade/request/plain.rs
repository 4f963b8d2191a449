//! Requests that open no WebSocket: where each ends, and what of it crosses a hop.
//!
//! An HTTP library behind this reads the same bytes. What it could read in another way than the
//! proxy before it, or the server behind it, does not get there.

use std::mem::MaybeUninit;

use super::{Facts, is_host, read_head, speaks_of_websocket};
use crate::ws::upgrade::{
    HEADERS_MAX, HeadScan, REQUEST_HEAD_MAX, Refusal,
    headers::{belongs_to_hop, same_name, stays_here},
};

/// Follows what a client sends over one connection: heads, each judged, and bodies.
#[derive(Clone, Copy, Debug)]
pub struct RequestScan {
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Head(HeadScan),
    /// So many bytes of a body are left.
    Body(u64),
    Chunks(Chunks),
    /// Behind a request for a WebSocket. What follows is no request unless it is refused, and a
    /// connection on which one is refused ends.
    Opaque,
}

/// Where a chunked body stands (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug)]
enum Chunks {
    /// In the digits of a size.
    Size {
        digits: u8,
        size: u64,
    },
    /// Behind a semicolon; so many bytes are left for what nobody reads.
    Extension {
        left: u16,
        size: u64,
    },
    /// Behind the carriage return of a size line.
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    /// At the start of a line behind the last chunk; so many bytes are left for such lines.
    Line {
        left: u16,
    },
    Trailer {
        left: u16,
    },
    TrailerEnd {
        left: u16,
    },
    LastEnd,
}

impl Default for RequestScan {
    /// A connection that has carried nothing.
    fn default() -> Self {
        Self { at: At::Head(HeadScan::new(REQUEST_HEAD_MAX + 1)) }
    }
}

impl RequestScan {
    /// Whether a head is next, which is for [`Self::head`]; anything else is for [`Self::body`].
    pub const fn is_in_head(&self) -> bool {
        matches!(self.at, At::Head(_))
    }

    /// Looks at what has `received` of a head: the same bytes as before and perhaps more. Gives the
    /// head's length once it is whole and good.
    ///
    /// # Errors
    /// The answer for the client, behind which the connection is to be closed: 400 for what can be
    /// misread, 405 for CONNECT and TRACE, 431 for a head beyond its limits.
    pub fn head(&mut self, received: &[u8]) -> Result<Option<usize>, Refusal> {
        let At::Head(scan) = &mut self.at else { return Ok(None) };
        let Some(length) = scan.advance(received)? else { return Ok(None) };
        self.at = judge(&received[..length])?;
        Ok(Some(length))
    }

    /// How many of these bytes, which follow the last ones, belong to the present request.
    ///
    /// # Errors
    /// 400 for chunks that can be misread.
    pub fn body(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match &mut self.at {
            At::Head(_) => Ok(0),
            At::Opaque => Ok(bytes.len()),
            At::Body(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::default();
                }
                Ok(taken)
            }
            At::Chunks(chunks) => {
                let (taken, ended) = chunks.follow(bytes)?;
                if ended {
                    *self = Self::default();
                }
                Ok(taken)
            }
        }
    }
}

/// What follows a whole head.
fn judge(head: &[u8]) -> Result<At, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let parsed = read_head(head, &mut fields)?;
    if speaks_of_websocket(parsed.headers.iter().map(|field| (field.name, field.value))) {
        return Ok(At::Opaque);
    }
    let facts = Facts::collect(parsed.headers)?;
    if !facts.host.is_some_and(is_host) {
        return Err(Refusal::bad_request("there must be exactly one Host, and it must be one"));
    }
    // The one opens a tunnel; the other shows to a page what only the backend is told.
    if matches!(parsed.method, Some("CONNECT" | "TRACE")) {
        return Err(Refusal::new(405, "this method is not served"));
    }
    body_of(&parsed, &facts)
}

/// The body that a head announces (RFC 9112 section 6.3), in one way only.
fn body_of(parsed: &httparse::Request<'_, '_>, facts: &Facts<'_>) -> Result<At, Refusal> {
    let mut codings =
        parsed.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
    let coding = codings.next().map(|field| field.value);
    match (coding, facts.content_length) {
        (None, None) => Ok(RequestScan::default().at),
        (None, Some(length)) => match length_of(length) {
            None => Err(Refusal::bad_request("Content-Length is not a number of bytes")),
            Some(0) => Ok(RequestScan::default().at),
            Some(length) => Ok(At::Body(length)),
        },
        (Some(_), Some(_)) => Err(Refusal::bad_request(
            "a request has either Content-Length or Transfer-Encoding, not both",
        )),
        (Some(coding), None) => {
            let chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            if !chunked || parsed.version != Some(1) {
                let why = "Transfer-Encoding may only be chunked, in HTTP/1.1";
                return Err(Refusal::bad_request(why));
            }
            Ok(At::Chunks(Chunks::SIZE))
        }
    }
}

/// A length in digits, and nothing but digits: parsers differ about signs, spaces and lists.
fn length_of(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

impl Chunks {
    const SIZE: Self = Self::Size { digits: 0, size: 0 };

    /// Follows the body through `bytes`; gives how many belong to it, and whether it has ended.
    fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let Self::Data { left } = self {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                *left -= taken as u64;
                at += taken;
                if *left == 0 {
                    *self = Self::DataReturn;
                }
                continue;
            }
            at += 1;
            if matches!((&self, byte), (Self::LastEnd, b'\n')) {
                return Ok((at, true));
            }
            *self = self.after(*byte).ok_or_else(|| Refusal::bad_request(BAD_CHUNK))?;
        }
        Ok((at, false))
    }

    /// The state behind one byte of framing; `None` if it does not belong there.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                let digits = digits.checked_add(1).filter(|digits| *digits <= SIZE_DIGITS_MAX)?;
                Self::Size { digits, size: size << 4 | digit }
            }
            (Self::Size { digits: 1.., size }, b'\r') => Self::SizeEnd { size },
            (Self::Size { digits: 1.., size }, b';') => {
                Self::Extension { left: EXTENSION_MAX, size }
            }
            (Self::Extension { size, .. }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { left, size }, b'\t' | b' '..=b'~') => {
                Self::Extension { left: left.checked_sub(1)?, size }
            }
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Line { left: TRAILERS_MAX },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataReturn, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::SIZE,
            (Self::Line { .. }, b'\r') => Self::LastEnd,
            (Self::Trailer { left }, b'\r') => Self::TrailerEnd { left },
            (Self::TrailerEnd { left }, b'\n') => Self::Line { left },
            (Self::Line { left } | Self::Trailer { left }, b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Trailer { left: left.checked_sub(1)? }
            }
            _ => return None,
        })
    }
}

/// Whether a client's field goes to a backend with a request that opens no WebSocket. The length
/// of its body does, under no other name than its own.
pub fn passes_to_backend(name: &str) -> bool {
    is_length(name) || !(stays_here(name) || same_name(name, LENGTH))
}

/// Whether a backend's field goes to the client with an answer that opens no WebSocket.
pub fn passes_to_client(name: &str) -> bool {
    is_length(name) || !belongs_to_hop(name)
}

fn is_length(name: &str) -> bool {
    name.eq_ignore_ascii_case(LENGTH)
}

const LENGTH: &str = "content-length";

const BAD_CHUNK: &str = "the chunks of the body can be read in more than one way";

/// Enough for any chunk that fits a 60-bit number, and no room to overflow.
const SIZE_DIGITS_MAX: u8 = 15;

/// Nobody uses what may stand behind a chunk's size; endless, it would keep a parser busy.
const EXTENSION_MAX: u16 = 256;

/// Fields behind a body are read and dropped.
const TRAILERS_MAX: u16 = 8 * 1024;

#[cfg(test)]
mod tests;
