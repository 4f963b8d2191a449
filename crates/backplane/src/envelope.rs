//! What one entry of a stream looks like: a header that tells who sent what, and a payload.
//!
//! ```text
//! "EW" · version 1 · kind · length of the header (2 bytes) · header · payload
//! header: node (12 bytes) · incarnation (8) · sequence (8) · what later versions add
//! ```
//! Numbers are big-endian. A reader skips what it does not know of a header, and drops what is of
//! another version. Kinds below 128 are numbered: a reader that does not know such a kind still
//! counts it, so that it does not miss it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Incarnation, Member, NodeId, Origin};

/// An entry that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it, with which number.
    pub origin: Origin,
    /// What it is.
    pub kind: Kind,
    /// What it carries.
    pub payload: Bytes,
}

/// What an envelope is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message of the channel.
    Message,
    /// A question to the node in whose inbox it lies.
    Question,
    /// The answer to a question of the node in whose inbox it lies.
    Answer,
    /// Nothing: it ends the wait of the node in whose inbox it lies.
    Wake,
    /// A numbered kind of a newer node: counted, and dropped.
    Newer(u8),
    /// The last number its member has given in this channel. Has no number of its own.
    Announcement,
    /// A kind without number of a newer node: dropped.
    Aside(u8),
}

/// The bytes are no envelope that this node reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// They do not begin like an envelope.
    #[error("not an envelope")]
    NotAnEnvelope,
    /// An envelope of a version that this node does not know.
    #[error("an envelope of version {0}")]
    Version(u8),
    /// The header ends too early.
    #[error("a header without its end")]
    Short,
    /// The payload is larger than any node sends.
    #[error("a payload of {0} bytes")]
    TooLarge(usize),
    /// A number that is never given.
    #[error("message number 0")]
    Number,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::Question => 2,
            Self::Answer => 3,
            Self::Announcement => 128,
            Self::Wake => 129,
            Self::Newer(code) | Self::Aside(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            1 => Self::Message,
            2 => Self::Question,
            3 => Self::Answer,
            128 => Self::Announcement,
            129 => Self::Wake,
            code if code < 128 => Self::Newer(code),
            code => Self::Aside(code),
        }
    }

    /// Whether its number is its own.
    pub const fn is_numbered(self) -> bool {
        self.code() < 128
    }
}

/// The bytes before the payload.
pub(crate) fn head(origin: &Origin, kind: Kind) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let mut rest = &mut head[..];
    rest.put_slice(&MAGIC);
    rest.put_u8(VERSION);
    rest.put_u8(kind.code());
    rest.put_u16(HEADER as u16);
    rest.put_slice(&<[u8; 12]>::from(origin.member.node));
    rest.put_u64(origin.member.incarnation.0);
    rest.put_u64(origin.sequence);
    head
}

impl Envelope {
    /// The bytes of an entry.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD + self.payload.len());
        bytes.put_slice(&head(&self.origin, self.kind));
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// Reads an entry; the payload stays where it lies.
    ///
    /// # Errors
    /// It is none of this version, or larger than `payload_max`.
    pub fn decode(bytes: &Bytes, payload_max: usize) -> Result<Self, Foreign> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
            return Err(Foreign::NotAnEnvelope);
        };
        let [m0, m1, version, kind, l0, l1] = *fixed;
        if [m0, m1] != MAGIC {
            return Err(Foreign::NotAnEnvelope);
        }
        if version != VERSION {
            return Err(Foreign::Version(version));
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if rest.len() < length {
            return Err(Foreign::Short);
        }
        let origin = read_header(&rest[..length]).ok_or(Foreign::Short)?;
        let payload = bytes.slice(FIXED + length..);
        if payload.len() > payload_max {
            return Err(Foreign::TooLarge(payload.len()));
        }
        let kind = Kind::of(kind);
        if kind.is_numbered() && origin.sequence == 0 {
            return Err(Foreign::Number);
        }
        Ok(Self { origin, kind, payload })
    }
}

fn read_header(header: &[u8]) -> Option<Origin> {
    let (node, rest) = header.split_first_chunk::<12>()?;
    let (incarnation, rest) = rest.split_first_chunk()?;
    let (sequence, _) = rest.split_first_chunk()?;
    let incarnation = Incarnation(u64::from_be_bytes(*incarnation));
    let member = Member { node: NodeId::from(*node), incarnation };
    Some(Origin { member, sequence: u64::from_be_bytes(*sequence) })
}

const MAGIC: [u8; 2] = *b"EW";

const VERSION: u8 = 1;

/// Bytes up to the header's length.
const FIXED: usize = 6;

/// Bytes of a header as this version writes it.
const HEADER: usize = 28;

/// Bytes before the payload as this version writes it.
pub const HEAD: usize = FIXED + HEADER;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope(kind: u8, sequence: u64, payload: &[u8]) -> Envelope {
        let member = Member { node: NodeId::from([7; 12]), incarnation: Incarnation(9) };
        let payload = Bytes::copy_from_slice(payload);
        Envelope { origin: Origin { member, sequence }, kind: Kind::of(kind), payload }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(kind: u8, sequence in 1..=u64::MAX, payload: Vec<u8>) {
            let envelope = envelope(kind, sequence, &payload);
            prop_assert_eq!(Envelope::decode(&envelope.encode(), payload.len()), Ok(envelope));
        }

        #[test]
        fn fields_of_a_later_version_are_skipped(added: Vec<u8>, payload: Vec<u8>) {
            let envelope = envelope(1, 5, &payload);
            let mut bytes = head(&envelope.origin, envelope.kind).to_vec();
            bytes[4..6].copy_from_slice(&((HEADER + added.len()) as u16).to_be_bytes());
            bytes.extend(&added);
            bytes.extend(&payload);
            prop_assert_eq!(Envelope::decode(&bytes.into(), 1 << 16), Ok(envelope));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(envelope) = Envelope::decode(&bytes.into(), 16) {
                prop_assert!(envelope.payload.len() <= 16);
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_told_apart() {
        let read = |bytes: &[u8]| Envelope::decode(&Bytes::copy_from_slice(bytes), 4);
        let good = envelope(1, 1, b"1234").encode();
        assert!(read(&good).is_ok());
        assert_eq!(read(b"{\"json\":1}"), Err(Foreign::NotAnEnvelope));
        assert_eq!(read(&good[..5]), Err(Foreign::NotAnEnvelope));
        assert_eq!(read(&good[..HEAD - 1]), Err(Foreign::Short));
        let mut newer = good.to_vec();
        newer[2] = 2;
        assert_eq!(read(&newer), Err(Foreign::Version(2)));
        let mut short = good.to_vec();
        short[5] = 27;
        assert_eq!(read(&short), Err(Foreign::Short));
        assert_eq!(read(&envelope(1, 1, b"12345").encode()), Err(Foreign::TooLarge(5)));
        assert_eq!(read(&envelope(1, 0, b"").encode()), Err(Foreign::Number));
        assert!(read(&envelope(128, 0, b"").encode()).is_ok(), "nothing was sent yet");
    }
}
