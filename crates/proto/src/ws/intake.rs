//! What one peer sends, judged frame by frame and laid into an outbox message by message.
//!
//! An unfragmented message that may be held goes through untouched: header and masked payload are
//! copied as they are, nothing is unmasked. Fragments and over-large messages take the slower way
//! through [`super::runs`]. Control frames come out as [`Event`]s; they are never forwarded.

use serde::{Deserialize, Serialize};

use super::{
    close::{Close, CloseCode},
    frame::{CONTROL_MAX, HEADER_MAX, Header, Mask, Opcode, Violation, apply_mask},
    runs::Runs,
};
use crate::session::outbox::Outbox;

/// Who sends what is read here, and so whether its frames must be masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// A client: every frame is masked, RFC 6455 section 5.1.
    Client,
    /// A server: no frame is masked.
    Server,
}

/// Bounds on what a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest message that is held until it is complete, in bytes; larger ones are laid into
    /// the outbox run by run.
    pub held_max: u64,
    /// The largest message of all, in bytes; beyond it the peer is told 1009.
    pub message_max: u64,
}

/// What the reader of a stream has to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message has been completed and committed to the outbox.
    Message,
    /// A Ping, with the payload that its Pong must carry.
    Ping(ControlPayload),
    /// A Pong.
    Pong(ControlPayload),
    /// A Close; whatever follows it is ignored.
    Close(Close),
}

/// The payload of a control frame, unmasked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPayload(Vec<u8>);

impl ControlPayload {
    /// The payload's bytes; at most 125.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The state of reading one peer's frames.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intake {
    sender: Sender,
    /// Whether messages may be compressed, marked by the first reserved bit.
    deflate: bool,
    /// The beginning of a header that came in parts.
    at: At,
    /// The message whose fragments, or parts, are coming in.
    open: Option<Box<Open>>,
}

/// What the next byte is.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum At {
    /// A byte of a header, of which these have come.
    Header(RawHeader),
    /// A byte of the payload of a message that goes through as it is.
    Whole { left: u64 },
    /// A byte of a fragment's payload.
    Piece { left: u64, offset: u64, fin: bool, mask: Option<Mask> },
    /// A byte of a control frame's payload.
    Control(Box<ControlFrame>),
    /// Nothing that matters: the peer has sent its Close.
    End,
}

/// A control frame that is coming in.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ControlFrame {
    opcode: Opcode,
    mask: Option<Mask>,
    left: usize,
    payload: Vec<u8>,
}

/// A message in fragments.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Open {
    runs: Runs,
    /// Payload declared so far.
    size: u64,
    empty_fragments: u32,
}

impl Intake {
    /// Reads what `sender` sends, compressed messages included where `deflate` was agreed.
    pub const fn new(sender: Sender, deflate: bool) -> Self {
        Self { sender, deflate, at: At::HEADER, open: None }
    }

    /// A reader for another stream of the same sender.
    #[must_use]
    pub const fn anew(&self) -> Self {
        Self::new(self.sender, self.deflate)
    }

    /// Whether part of a message has come and its end has not.
    pub const fn is_mid_message(&self) -> bool {
        self.open.is_some() || matches!(self.at, At::Whole { .. })
    }

    /// Whether the message that is coming in is laid down run by run.
    pub const fn is_mid_runs(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the peer has sent its Close.
    pub const fn is_closed(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// Memory held beside the outbox, in bytes.
    pub fn charged(&self) -> usize {
        let control = match &self.at {
            At::Control(frame) => size_of::<ControlFrame>() + frame.payload.capacity(),
            _ => 0,
        };
        let open = self.open.as_ref().map_or(0, |open| size_of::<Open>() + open.runs.charged());
        control + open
    }

    /// Reads on from `input`, which is advanced, until something has to be acted on, or all of it
    /// is used: then `None`.
    ///
    /// # Errors
    /// The peer's [`Violation`]; nothing must be read from it after that.
    pub fn next(
        &mut self,
        input: &mut &[u8],
        to: &mut Outbox,
        limits: &Limits,
    ) -> Result<Option<Event>, Violation> {
        loop {
            match &mut self.at {
                At::Header(head) => match next_header(head, input)? {
                    Some((header, bytes)) => {
                        if self.begin(&header, &bytes, input, to, limits)? {
                            return Ok(Some(Event::Message));
                        }
                    }
                    None => return Ok(None),
                },
                At::Whole { left } => {
                    let payload = take(input, *left);
                    to.append(payload);
                    *left -= payload.len() as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    to.commit();
                    self.at = At::HEADER;
                    return Ok(Some(Event::Message));
                }
                At::Piece { left, offset, fin, mask } => {
                    let payload = take(input, *left);
                    if let Some(open) = &mut self.open {
                        open.runs.add(payload, *mask, *offset, to);
                    }
                    *left -= payload.len() as u64;
                    *offset += payload.len() as u64;
                    if *left > 0 {
                        return Ok(None);
                    }
                    let fin = *fin;
                    self.at = At::HEADER;
                    if fin && let Some(open) = self.open.take() {
                        open.runs.finish(to);
                        to.commit();
                        return Ok(Some(Event::Message));
                    }
                }
                At::Control(frame) => {
                    let bytes = take(input, frame.left as u64);
                    frame.payload.extend_from_slice(bytes);
                    frame.left -= bytes.len();
                    if frame.left > 0 {
                        return Ok(None);
                    }
                    let (opcode, mask) = (frame.opcode, frame.mask.unwrap_or_default());
                    let mut payload = std::mem::take(&mut frame.payload);
                    apply_mask(&mut payload, mask, 0);
                    self.at = At::HEADER;
                    return self.control(opcode, payload).map(Some);
                }
                At::End => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// Begins a frame; gives whether a whole message has been committed with it.
    #[inline]
    fn begin(
        &mut self,
        header: &Header,
        raw: &RawHeader,
        input: &mut &[u8],
        to: &mut Outbox,
        limits: &Limits,
    ) -> Result<bool, Violation> {
        self.check(header)?;
        if header.opcode.is_control() {
            let (mask, left) = (header.mask, header.length as usize);
            let payload = Vec::with_capacity(left.min(CONTROL_MAX));
            let opcode = header.opcode;
            self.at = At::Control(Box::new(ControlFrame { opcode, mask, left, payload }));
            return Ok(false);
        }
        let size = self.open.as_ref().map_or(0, |open| open.size).saturating_add(header.length);
        if size > limits.message_max {
            return Err(Violation { code: CloseCode::TOO_LARGE, reason: "message too large" });
        }
        if header.fin && self.open.is_none() && header.length <= limits.held_max {
            to.append(raw.bytes());
            let payload = take(input, header.length);
            to.append(payload);
            let left = header.length - payload.len() as u64;
            if left > 0 {
                self.at = At::Whole { left };
                return Ok(false);
            }
            to.commit();
            return Ok(true);
        }
        self.begin_piece(header, size, limits)?;
        Ok(false)
    }

    fn begin_piece(
        &mut self,
        header: &Header,
        size: u64,
        limits: &Limits,
    ) -> Result<(), Violation> {
        let open = self.open.get_or_insert_with(|| {
            let runs = Runs::begin(header, limits.held_max / 2);
            Box::new(Open { runs, size: 0, empty_fragments: 0 })
        });
        open.size = size;
        if header.length == 0 && !header.fin {
            open.empty_fragments += 1;
            if open.empty_fragments > EMPTY_FRAGMENTS_MAX {
                let reason = "too many empty fragments";
                return Err(Violation { code: CloseCode::POLICY, reason });
            }
        }
        let (left, fin, mask) = (header.length, header.fin, header.mask);
        self.at = At::Piece { left, offset: 0, fin, mask };
        Ok(())
    }

    /// Judges what a header alone does not show.
    #[inline]
    fn check(&self, header: &Header) -> Result<(), Violation> {
        match (self.sender, header.mask) {
            (Sender::Client, None) => return Err(Violation::protocol("client frame not masked")),
            (Sender::Server, Some(_)) => return Err(Violation::protocol("server frame masked")),
            _ => {}
        }
        let begins_message = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if header.rsv1 && !(self.deflate && begins_message) {
            return Err(Violation::protocol("reserved bit set"));
        }
        match (header.opcode, &self.open) {
            (Opcode::Continuation, None) => {
                Err(Violation::protocol("continuation without a message"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                Err(Violation::protocol("new message inside a fragmented one"))
            }
            _ => Ok(()),
        }
    }

    fn control(&mut self, opcode: Opcode, payload: Vec<u8>) -> Result<Event, Violation> {
        Ok(match opcode {
            Opcode::Ping => Event::Ping(ControlPayload(payload)),
            Opcode::Pong => Event::Pong(ControlPayload(payload)),
            _ => {
                let close = Close::parse(&payload)?;
                self.at = At::End;
                Event::Close(close)
            }
        })
    }
}

/// The bytes of a header as they came, or of its beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RawHeader {
    bytes: [u8; HEADER_MAX],
    used: u8,
}

impl At {
    const HEADER: Self = Self::Header(RawHeader::EMPTY);
}

/// The next header and its bytes, put together from what came before and what is at hand.
#[inline]
fn next_header(
    head: &mut RawHeader,
    input: &mut &[u8],
) -> Result<Option<(Header, RawHeader)>, Violation> {
    if head.used == 0
        && let Some((header, used)) = Header::parse(input)?
    {
        let (bytes, rest) = input.split_at(used);
        *input = rest;
        return Ok(Some((header, RawHeader::new(bytes))));
    }
    while let Some((byte, rest)) = input.split_first() {
        head.push(*byte);
        *input = rest;
        if let Some((header, _)) = Header::parse(head.bytes())? {
            return Ok(Some((header, std::mem::replace(head, RawHeader::EMPTY))));
        }
    }
    Ok(None)
}

impl RawHeader {
    const EMPTY: Self = Self { bytes: [0; HEADER_MAX], used: 0 };

    #[inline]
    fn new(raw: &[u8]) -> Self {
        let mut bytes = [0; HEADER_MAX];
        bytes[..raw.len()].copy_from_slice(raw);
        Self { bytes, used: raw.len() as u8 }
    }

    /// Adds a byte; a header is complete, or refused, before there is no room.
    fn push(&mut self, byte: u8) {
        self.bytes[usize::from(self.used)] = byte;
        self.used += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.used)]
    }
}

/// Takes at most `count` bytes off the front.
fn take<'a>(input: &mut &'a [u8], count: u64) -> &'a [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}

/// Fragments without a byte of payload cost processor time and mean nothing; a sane sender ends a
/// message with at most one.
pub const EMPTY_FRAGMENTS_MAX: u32 = 1024;

#[cfg(test)]
mod tests;
