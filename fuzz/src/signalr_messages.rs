//! Hub messages: no input panics, memory stays near what came, pieces decide nothing, and what was
//! read is written so that it reads the same.

use std::{collections::HashMap, fmt};

use everwire_proto::signalr::message::HubMessage;
use everwire_proto::signalr::payload::{Payload, Timestamp};
use everwire_proto::signalr::{Protocol, ReadError, Reader};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use crate::bytes::Bytes;

/// Memory beside what was read: a first allocation of a buffer that grows.
const OVERHEAD_MAX: usize = 64;

/// Messages in JSON, and what serde_json makes of each.
pub fn signalr_json(input: &[u8]) {
    let bytes = streamed(Protocol::Json, input);
    for record in bytes.split(|byte| *byte == 0x1e) {
        let ours = Payload::parse(Protocol::Json, record.to_vec().into());
        let theirs = str::from_utf8(record)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        match ours {
            Ok(payload) => {
                assert!(theirs, "ours is laxer");
                let value = serde_json::from_slice::<Value>(record).ok();
                assert_eq!(payload.decode::<Value>().ok(), value, "decoded differently");
                decoded(&payload);
                translated(&payload, Protocol::MessagePack);
            }
            Err(error) => assert!(!theirs || error == ReadError::TooDeep, "stricter: {error}"),
        }
    }
}

/// Messages in MessagePack.
pub fn signalr_msgpack(input: &[u8]) {
    let bytes = streamed(Protocol::MessagePack, input);
    if let Ok(payload) = Payload::parse(Protocol::MessagePack, bytes.to_vec().into()) {
        decoded(&payload);
        translated(&payload, Protocol::Json);
    }
}

/// Reads a stream at once and in pieces, and what comes out of it again; gives the stream.
fn streamed(protocol: Protocol, input: &[u8]) -> &[u8] {
    let mut input = Bytes(input);
    let step = usize::from(input.byte()).max(1);
    let message_max = input.number();
    let bytes = input.0;
    let at_once = read(Reader::new(protocol, message_max), bytes, usize::MAX);
    let in_pieces = read(Reader::new(protocol, message_max), bytes, step);
    assert_eq!(at_once, in_pieces, "pieces of {step} bytes read differently");
    for message in at_once.0 {
        let written = protocol.encode(&message).expect("it was in this encoding");
        let again = Reader::new(protocol, usize::MAX).next(&mut &written[..]);
        assert_eq!(again, Ok(Some(message)));
    }
    bytes
}

fn read(mut reader: Reader, bytes: &[u8], step: usize) -> (Vec<HubMessage>, Option<ReadError>) {
    let mut messages = Vec::new();
    for mut piece in bytes.chunks(step) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty(), "all input is used");
        assert!(reader.charged() <= 2 * bytes.len() + OVERHEAD_MAX);
    }
    (messages, None)
}

/// A value is of a type or it is not, and what it is encodes and decodes as the same.
fn decoded(payload: &Payload) {
    same::<Value>(payload);
    same::<Vec<u8>>(payload);
    same::<Timestamp>(payload);
    same::<HashMap<u64, Option<String>>>(payload);
}

fn same<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(payload: &Payload) {
    let Ok(value) = payload.decode::<T>() else { return };
    for protocol in Protocol::ALL {
        let again = Payload::encode(protocol, &value).expect("it was decoded");
        assert_eq!(again.decode::<T>().expect("its own encoding"), value);
    }
}

/// A translation is a value of the other encoding, and can be read by anyone.
fn translated(payload: &Payload, other: Protocol) {
    let Ok(bytes) = payload.to_bytes(other) else { return };
    assert!(Payload::parse(other, bytes.clone()).is_ok());
    if other == Protocol::Json {
        serde_json::from_slice::<IgnoredAny>(&bytes).expect("JSON");
    }
}
