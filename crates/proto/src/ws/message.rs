//! Whole messages for endpoints: what a frame-forwarding gateway never looks into.
//!
//! Owns the reading of complete, unmasked, UTF-8-checked messages from a stream, in either role.
//! Compression is not spoken here: an endpoint that uses this reader agrees to none.

use super::{
    close::{Close, CloseCode},
    frame::{HEADER_MAX, Header, Mask, Opcode, Violation, apply_mask, write_frame},
    intake::{Event, Intake, Limits, Sender},
};
use crate::session::outbox::Outbox;

/// A message, or a control frame that an endpoint acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Any bytes.
    Binary(Vec<u8>),
    /// A request for a Pong with the same payload.
    Ping(Vec<u8>),
    /// An answer to a Ping, or unsolicited.
    Pong(Vec<u8>),
    /// The peer's Close; nothing follows.
    Close(Close),
}

impl Message {
    /// Appends the message as one frame, masked where a key is given.
    pub fn write(&self, to: &mut Vec<u8>, mask: Option<Mask>) {
        match self {
            Self::Text(text) => write_frame(to, Opcode::Text, mask, text.as_bytes()),
            Self::Binary(bytes) => write_frame(to, Opcode::Binary, mask, bytes),
            Self::Ping(payload) => write_frame(to, Opcode::Ping, mask, payload),
            Self::Pong(payload) => write_frame(to, Opcode::Pong, mask, payload),
            Self::Close(close) => write_frame(to, Opcode::Close, mask, &close.payload()),
        }
    }
}

/// Reads one peer's messages.
#[derive(Debug, Clone)]
pub struct MessageReader {
    intake: Intake,
    messages: Outbox,
    limits: Limits,
}

impl MessageReader {
    /// Reads what `sender` sends, messages of at most `message_max` bytes.
    pub fn new(sender: Sender, message_max: u64) -> Self {
        Self {
            intake: Intake::new(sender, false),
            messages: Outbox::default(),
            limits: Limits { held_max: message_max, message_max },
        }
    }

    /// Reads on from `input`, which is advanced; `None` once all of it is used.
    ///
    /// # Errors
    /// The peer's [`Violation`]; nothing must be read from it after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        Ok(match self.intake.next(input, &mut self.messages, &self.limits)? {
            None => None,
            Some(Event::Message) => Some(self.take_message()?),
            Some(Event::Ping(payload)) => Some(Message::Ping(payload.as_bytes().to_vec())),
            Some(Event::Pong(payload)) => Some(Message::Pong(payload.as_bytes().to_vec())),
            Some(Event::Close(close)) => Some(Message::Close(close)),
        })
    }

    /// Takes the one message that lies in the outbox, unmasks it and joins its frames.
    fn take_message(&mut self) -> Result<Message, Violation> {
        let (mut at, end) = (self.messages.start(), self.messages.readable_end());
        let mut payload = Vec::with_capacity((end - at) as usize);
        let mut kind = Opcode::Continuation;
        while at < end {
            let mut bytes = [0; HEADER_MAX];
            let peeked = self.messages.peek(at, &mut bytes);
            let Some((header, used)) = Header::parse(&bytes[..peeked])? else { break };
            at += used as u64;
            let begin = payload.len();
            for slice in self.messages.slices(at, at + header.length) {
                payload.extend_from_slice(slice);
            }
            apply_mask(&mut payload[begin..], header.mask.unwrap_or_default(), 0);
            at += header.length;
            if header.opcode != Opcode::Continuation {
                kind = header.opcode;
            }
        }
        self.messages.release_through(u64::MAX);
        match kind {
            Opcode::Text => String::from_utf8(payload).map(Message::Text).map_err(|_| Violation {
                code: CloseCode::INVALID_DATA,
                reason: "text is not UTF-8",
            }),
            _ => Ok(Message::Binary(payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Message>, Violation> {
        let mut reader = MessageReader::new(Sender::Client, 1000);
        let (mut input, mut messages) = (bytes, Vec::new());
        while let Some(message) = reader.next(&mut input)? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn messages_read_as_they_were_written() {
        let messages = vec![
            Message::Text("grüße".into()),
            Message::Ping(vec![1]),
            Message::Binary(vec![0; 300]),
            Message::Pong(vec![]),
            Message::Close(Close::new(CloseCode::NORMAL, "bye")),
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            message.write(&mut bytes, Some([5, 6, 7, 8]));
        }
        assert_eq!(read(&bytes), Ok(messages));
    }

    #[test]
    fn attack_f5_text_that_is_not_utf8_is_refused() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, Opcode::Text, Some([0; 4]), &[0xff, 0xfe]);
        assert_eq!(read(&bytes).expect_err("refused").code, CloseCode::INVALID_DATA);
    }
}
