//! Frame headers, RFC 6455 section 5.2: read and written without touching the payload.
//!
//! Everything that can be judged from a header alone is judged here; what depends on who speaks
//! (masking), on what was negotiated (reserved bits) or on the frames before is [`super::intake`]'s.

use thiserror::Error;

use super::close::CloseCode;

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_MAX: usize = 14;
/// The longest payload of a control frame, RFC 6455 section 5.5.
pub const CONTROL_MAX: usize = 125;

/// What a frame is, RFC 6455 section 11.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun before.
    Continuation = 0,
    /// A text message or its first fragment.
    Text = 1,
    /// A binary message or its first fragment.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A request for a Pong.
    Ping = 9,
    /// An answer to a Ping, or unsolicited.
    Pong = 10,
}

impl Opcode {
    /// Whether the frame stands alone, between the fragments of messages.
    pub const fn is_control(self) -> bool {
        self as u8 >= 8
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A masking key; all zeroes leave the payload as it is.
pub type Mask = [u8; 4];

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// The reserved bit that marks a compressed message, RFC 7692.
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, where the payload is masked.
    pub mask: Option<Mask>,
    /// Length of the payload in bytes.
    pub length: u64,
}

/// What a peer did that the protocol forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Violation {
    /// The close code that names the offence.
    pub code: CloseCode,
    /// The reason in words, short enough for a Close frame.
    pub reason: &'static str,
}

impl Violation {
    /// A breach of the protocol: 1002.
    pub const fn protocol(reason: &'static str) -> Self {
        Self { code: CloseCode::PROTOCOL, reason }
    }
}

impl Header {
    /// A header without mask or reserved bits.
    pub const fn new(opcode: Opcode, length: u64) -> Self {
        Self { fin: true, rsv1: false, opcode, mask: None, length }
    }

    /// Reads a header from the front of `bytes`; gives it with its own length, or `None` where
    /// more bytes are needed.
    ///
    /// # Errors
    /// A [`Violation`] as soon as the bytes at hand cannot become a valid header.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return match bytes {
                [first] => Opening::parse(*first).map(|_| None),
                _ => Ok(None),
            };
        };
        let Opening { fin, rsv1, opcode } = Opening::parse(*first)?;
        let short = second & 0x7f;
        if opcode.is_control() && short > CONTROL_MAX as u8 {
            return Err(Violation::protocol("control frame longer than 125 bytes"));
        }
        let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };
        let mask = match second & 0x80 {
            0 => None,
            _ => match rest.first_chunk::<4>() {
                Some(mask) => Some(*mask),
                None => return Ok(None),
            },
        };
        let used = bytes.len() - rest.len() + if mask.is_some() { 4 } else { 0 };
        Ok(Some((Self { fin, rsv1, opcode, mask, length }, used)))
    }

    /// Writes the header to the front of `into`; gives its length.
    pub fn encode(&self, into: &mut [u8; HEADER_MAX]) -> usize {
        into[0] = u8::from(self.fin) << 7 | u8::from(self.rsv1) << 6 | self.opcode as u8;
        let masked = u8::from(self.mask.is_some()) << 7;
        let mut used = match self.length {
            0..=125 => {
                into[1] = masked | self.length as u8;
                2
            }
            126..=0xffff => {
                into[1] = masked | 126;
                into[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
                4
            }
            _ => {
                into[1] = masked | 127;
                into[2..10].copy_from_slice(&self.length.to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            into[used..used + 4].copy_from_slice(&mask);
            used += 4;
        }
        used
    }
}

/// Appends a whole frame, masking its payload where a key is given.
pub fn write_frame(into: &mut Vec<u8>, opcode: Opcode, mask: Option<Mask>, payload: &[u8]) {
    let mut header = [0; HEADER_MAX];
    let used = Header { mask, ..Header::new(opcode, payload.len() as u64) }.encode(&mut header);
    into.reserve(used + payload.len());
    into.extend_from_slice(&header[..used]);
    let begin = into.len();
    into.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut into[begin..], mask, 0);
    }
}

/// Masks or unmasks bytes that begin `offset` bytes into their frame's payload.
pub fn apply_mask(bytes: &mut [u8], mask: Mask, offset: u64) {
    let mask = rotated(mask, offset);
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key as it meets the payload's byte number `offset`.
pub const fn rotated(mask: Mask, offset: u64) -> Mask {
    u32::from_be_bytes(mask).rotate_left((offset % 4) as u32 * 8).to_be_bytes()
}

/// The first byte of a header.
struct Opening {
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
}

impl Opening {
    #[inline]
    fn parse(byte: u8) -> Result<Self, Violation> {
        let Some(opcode) = Opcode::from_bits(byte & 0x0f) else {
            return Err(Violation::protocol("reserved opcode"));
        };
        let (fin, rsv1) = (byte & 0x80 != 0, byte & 0x40 != 0);
        if byte & 0x30 != 0 {
            return Err(Violation::protocol("reserved bit set"));
        }
        if opcode.is_control() && !fin {
            return Err(Violation::protocol("fragmented control frame"));
        }
        Ok(Self { fin, rsv1, opcode })
    }
}

/// The payload's length and what follows it; a longer encoding than needed is a violation,
/// because two readers could disagree about it.
#[inline]
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    const LONGER: Violation = Violation::protocol("payload length not minimally encoded");
    match short {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*length));
            if length < 126 { Err(LONGER) } else { Ok(Some((length, rest))) }
        }
        127 => {
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(Violation::protocol("payload length beyond 63 bits"));
            }
            let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            let length = u64::from_be_bytes(*length);
            if length <= 0xffff { Err(LONGER) } else { Ok(Some((length, rest))) }
        }
        short => Ok(Some((u64::from(short), rest))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Header> {
        let opcode = prop_oneof![
            Just(Opcode::Continuation),
            Just(Opcode::Text),
            Just(Opcode::Binary),
            Just(Opcode::Close),
            Just(Opcode::Ping),
            Just(Opcode::Pong),
        ];
        let length = prop_oneof![0u64..200, 65_000u64..66_000, 0u64..1 << 63];
        (any::<bool>(), any::<bool>(), opcode, any::<Option<Mask>>(), length).prop_map(
            |(fin, rsv1, opcode, mask, length)| Header {
                fin: fin || opcode.is_control(),
                rsv1,
                opcode,
                mask,
                length: if opcode.is_control() { length % 126 } else { length },
            },
        )
    }

    proptest! {
        #[test]
        fn a_written_header_reads_the_same(header in headers()) {
            let mut bytes = [0; HEADER_MAX];
            let used = header.encode(&mut bytes);
            prop_assert_eq!(Header::parse(&bytes[..used]), Ok(Some((header, used))));
            for short in 0..used {
                prop_assert_eq!(Header::parse(&bytes[..short]), Ok(None));
            }
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = Header::parse(&bytes);
        }

        #[test]
        fn masking_in_pieces_is_masking_at_once(
            payload in proptest::collection::vec(any::<u8>(), 0..100), mask: Mask, cut in 0usize..100
        ) {
            let cut = cut.min(payload.len());
            let mut at_once = payload.clone();
            apply_mask(&mut at_once, mask, 0);
            let mut pieces = payload.clone();
            apply_mask(&mut pieces[..cut], mask, 0);
            apply_mask(&mut pieces[cut..], mask, cut as u64);
            prop_assert_eq!(&pieces, &at_once);
            apply_mask(&mut pieces, mask, 0);
            prop_assert_eq!(pieces, payload);
        }
    }

    fn refused(bytes: &[u8]) -> &'static str {
        Header::parse(bytes).expect_err("must be refused").reason
    }

    #[test]
    fn forbidden_headers_are_refused_at_the_first_bad_byte() {
        assert_eq!(refused(&[0x83]), "reserved opcode");
        assert_eq!(refused(&[0x8b]), "reserved opcode");
        assert_eq!(refused(&[0xa1]), "reserved bit set");
        assert_eq!(refused(&[0x09]), "fragmented control frame");
        assert_eq!(refused(&[0x89, 0x7e]), "control frame longer than 125 bytes");
        assert_eq!(refused(&[0x82, 0x7f, 0x80]), "payload length beyond 63 bits");
        assert_eq!(refused(&[0x82, 0x7e, 0, 125]), "payload length not minimally encoded");
        assert_eq!(
            refused(&[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            "payload length not minimally encoded"
        );
    }
}
