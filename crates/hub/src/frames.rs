//! One message for many receivers: encoded once per protocol, framing included, and shared.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use everwire_proto::{
    signalr::{Protocol, message::HubMessage, payload::EncodeError},
    ws::frame::{HEADER_MAX, Header, Opcode},
};

/// How a transport marks what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// WebSocket frames.
    WebSocket,
    /// Nothing: the bodies of polls.
    Plain,
    /// Events of an event stream.
    Events,
}

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Speech {
    pub(crate) protocol: Protocol,
    pub(crate) framing: Framing,
}

/// A message and its encodings, each made when the first receiver needs it.
#[derive(Debug)]
pub(crate) struct Frames {
    message: HubMessage,
    /// What goes along with it, for receivers to get both or neither.
    more: Vec<HubMessage>,
    /// What conflation compares; `None` where nothing replaces the message.
    key: Option<Arc<str>>,
    /// `None` within where the message cannot be encoded so.
    cells: [OnceLock<Option<Bytes>>; Speech::COUNT],
    charged: usize,
}

impl Frames {
    pub(crate) fn new(message: HubMessage) -> Self {
        let (key, charged) = match &message {
            HubMessage::Invocation(invocation) => {
                let call = &invocation.call;
                let bytes = call.target.len() + call.arguments.payload().charged();
                (Some(Arc::from(&*call.target)), bytes)
            }
            _ => (None, 0),
        };
        let (more, cells) = Default::default();
        Self { message, more, key, cells, charged: charged + size_of::<Self>() }
    }

    /// Several messages that a transport carries as one. Nothing replaces them.
    pub(crate) fn together(message: HubMessage, more: Vec<HubMessage>) -> Self {
        Self { more, key: None, ..Self::new(message) }
    }

    /// The message as this receiver understands it; `None` if it has no counterpart there.
    pub(crate) fn bytes(&self, speech: Speech) -> Option<&Bytes> {
        let all = || std::iter::once(&self.message).chain(&self.more);
        let make = || match encode_all(all(), speech) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::warn!(%error, protocol = speech.protocol.name(), "cannot be sent");
                None
            }
        };
        self.cells[speech.index()].get_or_init(make).as_ref()
    }

    pub(crate) const fn message(&self) -> &HubMessage {
        &self.message
    }

    pub(crate) const fn key(&self) -> Option<&Arc<str>> {
        self.key.as_ref()
    }

    /// Memory of the message in bytes, its encodings aside.
    pub(crate) const fn charged(&self) -> usize {
        self.charged
    }
}

impl Speech {
    const COUNT: usize = 6;

    const fn index(self) -> usize {
        self.framing as usize * 2 + self.protocol as usize
    }
}

/// A message for one receiver.
pub(crate) fn encode(message: &HubMessage, speech: Speech) -> Result<Bytes, EncodeError> {
    encode_all(std::iter::once(message), speech)
}

/// Messages for one receiver, as one.
fn encode_all<'a>(
    messages: impl Iterator<Item = &'a HubMessage>,
    speech: Speech,
) -> Result<Bytes, EncodeError> {
    // The header goes in front once the length is known, without moving the messages.
    let before = if speech.framing == Framing::WebSocket { HEADER_MAX } else { 0 };
    let mut bytes = vec![0; before];
    for message in messages {
        speech.protocol.write(message, &mut bytes)?;
    }
    Ok(match speech.framing {
        Framing::Plain => bytes.into(),
        Framing::Events => event(&bytes),
        Framing::WebSocket => headed(bytes, opcode(speech.protocol)),
    })
}

/// Text that is no message, such as the answer to a handshake.
pub(crate) fn frame_text(text: &[u8], framing: Framing) -> Bytes {
    frame_bytes(Opcode::Text, text, framing)
}

/// Bytes that are no message.
pub(crate) fn frame_bytes(opcode: Opcode, content: &[u8], framing: Framing) -> Bytes {
    match framing {
        Framing::Plain => Bytes::copy_from_slice(content),
        Framing::Events => event(content),
        Framing::WebSocket => {
            let mut bytes = vec![0; HEADER_MAX];
            bytes.extend_from_slice(content);
            headed(bytes, opcode)
        }
    }
}

const fn opcode(protocol: Protocol) -> Opcode {
    match protocol {
        Protocol::Json => Opcode::Text,
        Protocol::MessagePack => Opcode::Binary,
    }
}

/// Puts the header of a whole frame directly before the payload that begins at [`HEADER_MAX`].
fn headed(mut bytes: Vec<u8>, opcode: Opcode) -> Bytes {
    let mut header = [0; HEADER_MAX];
    let used = Header::new(opcode, (bytes.len() - HEADER_MAX) as u64).encode(&mut header);
    let begin = HEADER_MAX - used;
    bytes[begin..HEADER_MAX].copy_from_slice(&header[..used]);
    Bytes::from(bytes).slice(begin..)
}

/// An event whose data these bytes are; a line end in them splits the data, as its grammar wants.
fn event(data: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(data.len() + 16);
    for line in data.split(|byte| *byte == b'\n') {
        bytes.extend_from_slice(b"data: ");
        bytes.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::payload::Arguments;

    use super::*;

    fn sent(speech: Speech) -> Bytes {
        let frames = Frames::new(HubMessage::call("hi", Arguments::none()));
        frames.bytes(speech).expect("encodable").clone()
    }

    #[test]
    fn each_transport_gets_its_framing() {
        let json = r#"{"type":1,"target":"hi","arguments":[]}"#;
        let speech = |protocol, framing| Speech { protocol, framing };
        let websocket = sent(speech(Protocol::Json, Framing::WebSocket));
        assert_eq!(&websocket[..2], &[0x81, json.len() as u8 + 1]);
        assert_eq!(&websocket[2..], format!("{json}\x1e").as_bytes());
        let binary = sent(speech(Protocol::MessagePack, Framing::WebSocket));
        assert_eq!((binary[0], usize::from(binary[1])), (0x82, binary.len() - 2));
        assert_eq!(sent(speech(Protocol::MessagePack, Framing::Plain)), binary.slice(2..));
        let event = sent(speech(Protocol::Json, Framing::Events));
        assert_eq!(event, format!("data: {json}\x1e\r\n\r\n"));
    }

    #[test]
    fn a_line_end_splits_the_data_of_an_event() {
        assert_eq!(event(b"a\nb\r\nc"), "data: a\r\ndata: b\r\ndata: c\r\n\r\n");
    }
}
