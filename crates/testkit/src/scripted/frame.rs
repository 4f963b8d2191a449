//! Frames as RFC 6455 section 5.2 draws them, and every way to draw them wrong.

use crate::message::Kind;

/// A frame to be sent as it is, or one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits, as a number from 0 to 7.
    pub rsv: u8,
    /// The opcode, valid or not.
    pub opcode: u8,
    /// Whether the payload travels masked.
    pub masked: bool,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
    /// How the length is written.
    pub length: Length,
}

/// How a frame's length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The shortest form, as the RFC demands.
    Minimal,
    /// In 16 bits although 7 would do.
    Bits16,
    /// In 64 bits although fewer would do.
    Bits64,
    /// In 64 bits, and untrue.
    Claimed(u64),
}

/// A continuation.
pub const CONTINUATION: u8 = 0;
/// A text message.
pub const TEXT: u8 = 1;
/// A binary message.
pub const BINARY: u8 = 2;
/// A Close.
pub const CLOSE: u8 = 8;
/// A Ping.
pub const PING: u8 = 9;
/// A Pong.
pub const PONG: u8 = 10;

impl Frame {
    /// A final, unmasked frame.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { fin: true, rsv: 0, opcode, masked: false, payload, length: Length::Minimal }
    }

    /// A message in one frame.
    pub fn message(kind: Kind, payload: impl AsRef<[u8]>) -> Self {
        Self::new(if kind == Kind::Text { TEXT } else { BINARY }, payload)
    }

    /// A Close with `code` and `reason`.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
    }

    /// The same, masked as a client must.
    pub fn masked(self) -> Self {
        Self { masked: true, ..self }
    }

    /// The same, unmasked as a server must.
    pub fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    /// What a server answers to a control frame: Pong to a Ping, Close to a Close.
    pub fn answer(&self) -> Option<Self> {
        match self.opcode {
            PING => Some(Self::new(PONG, &self.payload)),
            CLOSE => Some(Self::new(CLOSE, &self.payload)),
            _ => None,
        }
    }

    /// The same, with more of its message to come.
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The same, with reserved bits.
    pub fn with_rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    /// The same, with its length written in another way.
    pub fn with_length(self, length: Length) -> Self {
        Self { length, ..self }
    }

    /// Whether it is a Close, Ping or Pong.
    pub fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }

    /// The code of a Close; one without a code reads as 1005.
    pub fn close_code(&self) -> Option<u16> {
        let code = || Some(u16::from_be_bytes([*self.payload.first()?, *self.payload.get(1)?]));
        (self.opcode == CLOSE).then(|| code().unwrap_or(1005))
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let mask_bit = u8::from(self.masked) << 7;
        match (self.length, self.payload.len()) {
            (Length::Minimal, length @ 0..=125) => bytes.push(mask_bit | length as u8),
            (Length::Minimal, length @ 126..=0xFFFF) | (Length::Bits16, length) => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            (Length::Minimal | Length::Bits64, length) => {
                bytes.push(mask_bit | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
            (Length::Claimed(length), _) => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
            bytes.extend(masked_with(MASK, &self.payload));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }

    /// The frame at the start of `bytes` and its length, or `None` while it is incomplete.
    pub fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, mut at) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let masked = second & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            mask.copy_from_slice(bytes.get(at..at + 4)?);
            at += 4;
        }
        let end = at + usize::try_from(length).ok()?;
        let payload = masked_with(mask, bytes.get(at..end)?);
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
        Some((Self { fin, rsv, opcode, masked, payload, length: Length::Minimal }, end))
    }
}

fn masked_with(mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// Any key is as good as another for a test that does not fear caches.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_as_it_was_written() {
        for size in [0, 125, 126, 65_535, 65_536] {
            for frame in [Frame::new(TEXT, vec![7; size]), Frame::new(PING, vec![8; size]).masked()]
            {
                let bytes = frame.encode();
                assert_eq!(Frame::decode(&bytes), Some((frame, bytes.len())));
                assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]), None);
            }
        }
    }

    #[test]
    fn the_masked_hello_is_that_of_the_rfc() {
        let wire = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
        assert_eq!(Frame::new(TEXT, "Hello").masked().encode(), wire);
    }
}
