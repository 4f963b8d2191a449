//! The body of a backend's refusal, read far enough to be passed on and no further.

use super::{headers::list, welcome::values};

/// How a response says where its body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// This many bytes.
    Length(u64),
    /// In chunks, each with its own length.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl BodyFraming {
    /// The framing of a response with this status and these fields. One that contradicts itself
    /// is read until the end: its connection is never used again.
    pub(super) fn of(status: u16, fields: &[httparse::Header<'_>]) -> Self {
        if status == 204 || status == 304 {
            return Self::Length(0);
        }
        let mut codings = values(fields, "transfer-encoding").flat_map(list);
        if let Some(coding) = codings.next() {
            let chunked = coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            return if chunked { Self::Chunked } else { Self::UntilClose };
        }
        let mut lengths = values(fields, "content-length");
        let length = lengths.next().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        match (length, lengths.next()) {
            (Some(length), None) => Self::Length(length),
            _ => Self::UntilClose,
        }
    }
}

/// A body being collected. What is beyond `bytes_max` is cut off.
#[derive(Debug)]
pub struct Body {
    framing: BodyFraming,
    bytes_max: usize,
    /// What arrived, with the chunks' framing if there is one.
    raw: Vec<u8>,
}

impl Body {
    /// A body of which nothing has arrived and at most `bytes_max` bytes are kept.
    pub fn new(framing: BodyFraming, bytes_max: usize) -> Self {
        Self { framing, bytes_max, raw: Vec::new() }
    }

    /// Takes bytes that follow the head. Returns whether the body is complete or full, so that
    /// nothing more need be read.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let room = self.wanted().saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.raw.len() >= self.wanted()
            || (self.framing == BodyFraming::Chunked && self.chunks_end())
    }

    /// The body without framing, as far as it arrived.
    pub fn finish(self) -> Vec<u8> {
        if self.framing == BodyFraming::Chunked { unchunk(&self.raw).0 } else { self.raw }
    }

    fn wanted(&self) -> usize {
        match self.framing {
            BodyFraming::Length(length) => {
                usize::try_from(length).map_or(self.bytes_max, |length| length.min(self.bytes_max))
            }
            BodyFraming::Chunked | BodyFraming::UntilClose => self.bytes_max,
        }
    }

    /// Whether the last chunk may be there; cheap, because it is asked after every read.
    fn chunks_end(&self) -> bool {
        self.raw.ends_with(b"\r\n\r\n") && unchunk(&self.raw).1
    }
}

/// The content of the whole chunks, and whether the last one, of no length, is among them.
fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(raw) {
        if length == 0 {
            return (content, true);
        }
        let arrived = &raw[start..];
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        content.extend_from_slice(&arrived[..length.min(arrived.len())]);
        match arrived.get(length..).and_then(|rest| rest.strip_prefix(b"\r\n")) {
            Some(rest) => raw = rest,
            None => break,
        }
    }
    (content, false)
}
