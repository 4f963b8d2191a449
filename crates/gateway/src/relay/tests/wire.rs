//! Frames as a peer writes and reads them, by hand and apart from the code under test.

use everwire_proto::ws::frame::{HEADER_MAX, Header, Mask, Opcode, apply_mask, write_frame};

/// The masking key of clients in tests.
pub(super) const MASK: Option<Mask> = Some([0x1d, 0x2c, 0x3b, 0x4a]);

/// A whole message in one frame, as a client sends it.
pub(super) fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(opcode, MASK, payload)
}

/// A whole message in one frame, as a server sends it.
pub(super) fn bare(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame(opcode, None, payload)
}

pub(super) fn frame(opcode: Opcode, mask: Option<Mask>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, opcode, mask, payload);
    bytes
}

/// A message in `pieces` fragments, under a different key each.
pub(super) fn fragments(
    opcode: Opcode,
    mask: Option<Mask>,
    payload: &[u8],
    pieces: usize,
) -> Vec<u8> {
    let size = payload.len().div_ceil(pieces.max(1)).max(1);
    let mut parts: Vec<_> = payload.chunks(size).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let mut bytes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let fin = index + 1 == parts.len();
        let mask = mask.map(|key| key.map(|byte| byte.wrapping_mul(index as u8 * 2 + 1)));
        let length = part.len() as u64;
        let mut header = [0; HEADER_MAX];
        let used = Header { fin, mask, ..Header::new(opcode, length) }.encode(&mut header);
        bytes.extend_from_slice(&header[..used]);
        let begin = bytes.len();
        bytes.extend_from_slice(part);
        apply_mask(&mut bytes[begin..], mask.unwrap_or_default(), 0);
    }
    bytes
}

/// The payload of a Close frame.
pub(super) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// What a peer has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    Message(Opcode, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// 1005 where there was no code.
    Close(u16, String),
}

/// A peer's reader; it panics where the stream is not well-formed.
#[derive(Debug, Default)]
pub(super) struct Reader {
    masked: bool,
    bytes: Vec<u8>,
    open: Option<(Opcode, Vec<u8>)>,
    closed: bool,
}

impl Reader {
    /// Reads what a client (`masked`) or a server sends.
    pub(super) fn new(masked: bool) -> Self {
        Self { masked, ..Self::default() }
    }

    /// Whether part of a message has come and its end has not.
    pub(super) fn is_mid_message(&self) -> bool {
        self.open.is_some() || !self.bytes.is_empty()
    }

    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Got> {
        self.bytes.extend_from_slice(bytes);
        let (mut got, mut at) = (Vec::new(), 0);
        while let Some((header, used)) = Header::parse(&self.bytes[at..]).expect("well-formed") {
            assert!(!self.closed, "a frame after the Close");
            assert_eq!(header.mask.is_some(), self.masked, "masking");
            let end = at + used + header.length as usize;
            let Some(payload) = self.bytes.get(at + used..end) else { break };
            let mut payload = payload.to_vec();
            apply_mask(&mut payload, header.mask.unwrap_or_default(), 0);
            at = end;
            got.extend(self.take(&header, payload));
        }
        self.bytes.drain(..at);
        got
    }

    fn take(&mut self, header: &Header, payload: Vec<u8>) -> Option<Got> {
        match header.opcode {
            Opcode::Ping => Some(Got::Ping(payload)),
            Opcode::Pong => Some(Got::Pong(payload)),
            Opcode::Close => {
                self.closed = true;
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default().to_vec();
                Some(Got::Close(code, String::from_utf8(reason).expect("UTF-8")))
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let continues = header.opcode == Opcode::Continuation;
                assert_eq!(continues, self.open.is_some(), "half a message before another");
                let (opcode, mut whole) = self.open.take().unwrap_or((header.opcode, Vec::new()));
                whole.extend(payload);
                if header.fin {
                    return Some(Got::Message(opcode, whole));
                }
                self.open = Some((opcode, whole));
                None
            }
        }
    }
}
