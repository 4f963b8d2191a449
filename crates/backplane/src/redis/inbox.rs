//! What lies in a node's inbox: questions, answers, and messages that somebody missed.
//!
//! Question: its number (8 bytes), length of the topic (2), topic, what is asked. Answer: the
//! question's number, whether it was taken (1), the reply. A topic without characters belongs to the
//! bus: it asks for messages of a channel, by incarnation, first and last number (8 each) and the
//! channel's name. They come as number (8), length (4) and payload each. Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Channel, Incarnation};

/// A question as it lies in an inbox.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) topic: String,
    pub(super) payload: Bytes,
}

/// Which messages somebody misses.
#[derive(Debug, PartialEq)]
pub(super) struct Missing {
    pub(super) incarnation: Incarnation,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) channel: Channel,
}

pub(super) fn question(id: u64, topic: &str, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(10 + topic.len() + payload.len());
    bytes.put_u64(id);
    bytes.put_u16(topic.len() as u16);
    bytes.put_slice(topic.as_bytes());
    bytes.put_slice(payload);
    bytes.freeze()
}

pub(super) fn read_question(mut bytes: Bytes) -> Option<Asked> {
    let id = bytes.try_get_u64().ok()?;
    let length = usize::from(bytes.try_get_u16().ok()?);
    if bytes.len() < length {
        return None;
    }
    let topic = String::from_utf8(bytes.split_to(length).to_vec()).ok()?;
    Some(Asked { id, topic, payload: bytes })
}

pub(super) fn answer(id: u64, reply: Option<&[u8]>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(9 + reply.map_or(0, <[u8]>::len));
    bytes.put_u64(id);
    bytes.put_u8(u8::from(reply.is_some()));
    bytes.put_slice(reply.unwrap_or_default());
    bytes.freeze()
}

pub(super) fn read_answer(mut bytes: Bytes) -> Option<(u64, Option<Bytes>)> {
    let id = bytes.try_get_u64().ok()?;
    match bytes.try_get_u8().ok()? {
        0 => Some((id, None)),
        1 => Some((id, Some(bytes))),
        _ => None,
    }
}

impl Missing {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(24 + self.channel.as_str().len());
        bytes.put_u64(self.incarnation.0);
        bytes.put_u64(self.first);
        bytes.put_u64(self.last);
        bytes.put_slice(self.channel.as_str().as_bytes());
        bytes.freeze()
    }

    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let incarnation = Incarnation(bytes.try_get_u64().ok()?);
        let (first, last) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
        let channel = Channel::new(String::from_utf8(bytes.to_vec()).ok()?).ok()?;
        Some(Self { incarnation, first, last, channel })
    }
}

/// Messages for somebody who missed them, as many as fit into `bytes_max`.
pub(super) fn messages<'a>(
    messages: impl Iterator<Item = (u64, &'a Bytes)>,
    bytes_max: usize,
) -> Bytes {
    let mut bytes = BytesMut::new();
    for (sequence, payload) in messages {
        if bytes.len() + 12 + payload.len() > bytes_max {
            break;
        }
        bytes.put_u64(sequence);
        bytes.put_u32(payload.len() as u32);
        bytes.put_slice(payload);
    }
    bytes.freeze()
}

/// What was missed; the end of what cannot be read is not there.
pub(super) fn read_messages(mut bytes: Bytes) -> Vec<(u64, Bytes)> {
    let mut messages = Vec::new();
    while let (Ok(sequence), Ok(length)) = (bytes.try_get_u64(), bytes.try_get_u32()) {
        let length = length as usize;
        if bytes.len() < length {
            break;
        }
        messages.push((sequence, bytes.split_to(length)));
    }
    messages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(id: u64, topic in ".{0,40}", payload: Vec<u8>) {
            let asked = Asked { id, topic: topic.clone(), payload: payload.clone().into() };
            prop_assert_eq!(read_question(question(id, &topic, &payload)), Some(asked));
            let reply = Some(Bytes::from(payload.clone()));
            prop_assert_eq!(read_answer(answer(id, Some(&payload))), Some((id, reply)));
            prop_assert_eq!(read_answer(answer(id, None)), Some((id, None)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = (read_question(bytes.clone()), read_answer(bytes.clone()));
            let _ = Missing::decode(bytes.clone());
            let total: usize = read_messages(bytes.clone()).iter().map(|(_, one)| one.len()).sum();
            prop_assert!(total <= bytes.len());
        }
    }

    #[test]
    fn missed_messages_come_as_far_as_they_fit() {
        let payload = Bytes::from("1234");
        let three = (1..=3).map(|number| (number, &payload));
        let read = read_messages(messages(three, 40));
        assert_eq!(read, [(1, payload.clone()), (2, payload.clone())]);
        let channel = Channel::new("c\0").unwrap();
        let missing = Missing { incarnation: Incarnation(4), first: 5, last: 6, channel };
        assert_eq!(Missing::decode(missing.encode()), Some(missing));
    }
}
