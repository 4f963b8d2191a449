//! Payload as it comes, for a protocol above that has boundaries of its own.
//!
//! Frames end here: what is within them is unmasked where it lies and handed on, piece by piece,
//! and nothing of it is kept. Where a message begins or ends, and whether it is called text, is the
//! business of whoever reads on.

use super::{
    close::{Close, CloseCode},
    frame::{CONTROL_MAX, HEADER_MAX, Header, Mask, Opcode, Violation, apply_mask},
    intake::{EMPTY_FRAGMENTS_MAX, Sender},
};

/// Reads one peer's frames.
#[derive(Debug, Clone)]
pub struct PayloadReader {
    sender: Sender,
    at: At,
    /// Whether a message has begun and its last fragment has not.
    in_message: bool,
    /// Frames without payload since the last one with some.
    empty_frames: u32,
}

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of its payload, never empty.
    Payload(&'a [u8]),
    /// A Ping, to be answered with its payload.
    Ping(Box<[u8]>),
    /// A Pong.
    Pong,
    /// Its Close; nothing follows.
    Close(Close),
}

/// What the next byte is.
#[derive(Debug, Clone)]
enum At {
    /// A byte of a header, of which these have come.
    Header { bytes: [u8; HEADER_MAX], count: u8 },
    /// A byte of a message's payload.
    Payload { left: u64, offset: u64, mask: Mask },
    /// A byte of a control frame's payload.
    Control(Box<Control>),
    /// Nothing that matters.
    End,
}

#[derive(Debug, Clone)]
struct Control {
    opcode: Opcode,
    mask: Mask,
    left: usize,
    payload: Vec<u8>,
}

impl PayloadReader {
    /// Reads what `sender` sends.
    pub const fn new(sender: Sender) -> Self {
        Self { sender, at: At::START, in_message: false, empty_frames: 0 }
    }

    /// Reads on from `input`, which is advanced and unmasked; `None` once all of it is used.
    ///
    /// # Errors
    /// The peer's [`Violation`]; whatever it says after that means nothing.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Piece<'a>>, Violation> {
        let next = self.read(input);
        if next.is_err() {
            self.at = At::End;
        }
        next
    }

    fn read<'a>(&mut self, input: &mut &'a mut [u8]) -> Result<Option<Piece<'a>>, Violation> {
        while !input.is_empty() {
            match &mut self.at {
                At::Header { bytes, count } => {
                    let Some((first, rest)) = std::mem::take(input).split_first_mut() else {
                        break;
                    };
                    *input = rest;
                    bytes[usize::from(*count)] = *first;
                    *count += 1;
                    if let Some((header, _)) = Header::parse(&bytes[..usize::from(*count)])? {
                        self.begin(&header)?;
                        // A control frame without payload is whole already.
                        if let Some(piece) = self.ended_control()? {
                            return Ok(Some(piece));
                        }
                    }
                }
                At::Payload { left, offset, mask } => {
                    let piece = take(input, *left);
                    apply_mask(piece, *mask, *offset);
                    *left -= piece.len() as u64;
                    *offset += piece.len() as u64;
                    if *left == 0 {
                        self.at = At::START;
                    }
                    return Ok(Some(Piece::Payload(piece)));
                }
                At::Control(control) => {
                    let piece = take(input, control.left as u64);
                    control.payload.extend_from_slice(piece);
                    control.left -= piece.len();
                    if let Some(piece) = self.ended_control()? {
                        return Ok(Some(piece));
                    }
                }
                At::End => *input = &mut [],
            }
        }
        Ok(None)
    }

    fn begin(&mut self, header: &Header) -> Result<(), Violation> {
        self.check(header)?;
        let mask = header.mask.unwrap_or_default();
        if header.opcode.is_control() {
            let left = header.length as usize;
            let payload = Vec::with_capacity(left.min(CONTROL_MAX));
            let opcode = header.opcode;
            self.at = At::Control(Box::new(Control { opcode, mask, left, payload }));
            return Ok(());
        }
        self.in_message = !header.fin;
        self.empty_frames = if header.length == 0 { self.empty_frames + 1 } else { 0 };
        if self.empty_frames > EMPTY_FRAGMENTS_MAX {
            let reason = "too many frames without payload";
            return Err(Violation { code: CloseCode::POLICY, reason });
        }
        self.at = match header.length {
            0 => At::START,
            left => At::Payload { left, offset: 0, mask },
        };
        Ok(())
    }

    fn check(&self, header: &Header) -> Result<(), Violation> {
        let violation = |reason| Err(Violation::protocol(reason));
        if header.rsv1 {
            return violation("reserved bit set");
        }
        if header.mask.is_some() != (self.sender == Sender::Client) {
            return violation(match self.sender {
                Sender::Client => "frame from a client is not masked",
                Sender::Server => "frame from a server is masked",
            });
        }
        match header.opcode {
            Opcode::Continuation if !self.in_message => violation("continuation of nothing"),
            Opcode::Text | Opcode::Binary if self.in_message => {
                violation("new message within a message")
            }
            _ => Ok(()),
        }
    }

    fn ended_control<'a>(&mut self) -> Result<Option<Piece<'a>>, Violation> {
        let At::Control(control) = &mut self.at else { return Ok(None) };
        if control.left > 0 {
            return Ok(None);
        }
        let (opcode, mut payload) = (control.opcode, std::mem::take(&mut control.payload));
        apply_mask(&mut payload, control.mask, 0);
        self.at = At::START;
        Ok(Some(match opcode {
            Opcode::Ping => Piece::Ping(payload.into()),
            Opcode::Pong => Piece::Pong,
            _ => {
                self.at = At::End;
                Piece::Close(Close::parse(&payload)?)
            }
        }))
    }
}

impl At {
    const START: Self = Self::Header { bytes: [0; HEADER_MAX], count: 0 };
}

/// Takes at most `count` bytes off the front.
fn take<'a>(input: &mut &'a mut [u8], count: u64) -> &'a mut [u8] {
    let whole = std::mem::take(input);
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(whole.len());
    let (taken, rest) = whole.split_at_mut(count);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ws::frame::write_frame;

    const MASK: Mask = [5, 6, 7, 8];

    /// All payload and what else was said, read from parts of this size.
    fn read(bytes: &[u8], part: usize) -> Result<(Vec<u8>, Vec<String>), Violation> {
        let mut reader = PayloadReader::new(Sender::Client);
        let (mut payload, mut others) = (Vec::new(), Vec::new());
        for part in bytes.to_vec().chunks_mut(part) {
            let mut input = part;
            while let Some(piece) = reader.next(&mut input)? {
                match piece {
                    Piece::Payload(bytes) => payload.extend_from_slice(bytes),
                    other => others.push(format!("{other:?}")),
                }
            }
        }
        Ok((payload, others))
    }

    fn fragment(into: &mut Vec<u8>, opcode: Opcode, fin: bool, payload: &[u8]) {
        let at = into.len();
        write_frame(into, opcode, Some(MASK), payload);
        if !fin {
            into[at] &= 0x7f;
        }
    }

    proptest! {
        #[test]
        fn payload_is_the_same_however_it_is_cut(part in 1_usize..40, size in 0_usize..300) {
            let payload: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
            let mut bytes = Vec::new();
            fragment(&mut bytes, Opcode::Text, false, &payload[..size / 3]);
            write_frame(&mut bytes, Opcode::Ping, Some(MASK), b"");
            fragment(&mut bytes, Opcode::Continuation, true, &payload[size / 3..]);
            write_frame(&mut bytes, Opcode::Close, Some(MASK), &Close::new(CloseCode::NORMAL, "bye").payload());
            bytes.extend_from_slice(b"what follows does not matter");
            let (read, others) = read(&bytes, part).unwrap();
            prop_assert_eq!(read, payload);
            prop_assert_eq!(others.len(), 2);
            prop_assert!(others[0].starts_with("Ping") && others[1].contains("bye"));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 7);
        }
    }

    #[test]
    fn attack_f8_frames_without_payload_are_limited() {
        let mut bytes = Vec::new();
        fragment(&mut bytes, Opcode::Text, false, b"");
        (1..EMPTY_FRAGMENTS_MAX)
            .for_each(|_| fragment(&mut bytes, Opcode::Continuation, false, b""));
        let mut with_payload = bytes.clone();
        fragment(&mut with_payload, Opcode::Continuation, false, b"x");
        fragment(&mut with_payload, Opcode::Continuation, true, b"");
        assert_eq!(read(&with_payload, 100).expect("as many as may be").0, b"x");
        fragment(&mut bytes, Opcode::Continuation, false, b"");
        assert_eq!(read(&bytes, 100).expect_err("refused").code, CloseCode::POLICY);
    }

    #[test]
    fn attack_f1_what_follows_a_violation_means_nothing() {
        let mut reader = PayloadReader::new(Sender::Client);
        let mut unmasked = [0x81, 0x05];
        reader.next(&mut &mut unmasked[..]).expect_err("a violation");
        for byte in 0..=255 {
            let mut rest = [byte; 100];
            assert_eq!(reader.next(&mut &mut rest[..]), Ok(None));
        }
    }

    #[test]
    fn frames_that_may_not_be_are_refused() {
        let mut unmasked = Vec::new();
        write_frame(&mut unmasked, Opcode::Text, None, b"x");
        let mut continued = Vec::new();
        fragment(&mut continued, Opcode::Continuation, true, b"x");
        let mut within = Vec::new();
        fragment(&mut within, Opcode::Text, false, b"x");
        fragment(&mut within, Opcode::Text, true, b"x");
        for bytes in [unmasked, continued, within, vec![0xc1, 0x81, 0, 0, 0, 0]] {
            assert_eq!(read(&bytes, 100).expect_err("refused").code, CloseCode::PROTOCOL);
        }
    }
}
