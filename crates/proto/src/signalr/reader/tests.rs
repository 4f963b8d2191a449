//! Messages are found whatever the pieces are that their bytes arrive in.

use proptest::prelude::*;

use super::*;
use crate::signalr::{
    MESSAGE_MAX,
    message::{Close, SequenceId},
    payload::{Arguments, Payload},
};

fn read_all(
    mut reader: Reader,
    mut input: &[u8],
    step: usize,
) -> (Vec<HubMessage>, Option<ReadError>) {
    let mut messages = Vec::new();
    while !input.is_empty() {
        let (mut piece, rest) = input.split_at(step.min(input.len()));
        input = rest;
        loop {
            match reader.next(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty(), "all of the input is used");
    }
    (messages, None)
}

fn stream(protocol: Protocol) -> (Vec<HubMessage>, Vec<u8>) {
    let long = "long ".repeat(100);
    let messages = vec![
        HubMessage::Ping,
        HubMessage::call("Send", Arguments::encode(protocol, &(1, "a", long)).unwrap()),
        HubMessage::Ack(SequenceId(1_000_000)),
        HubMessage::item(
            InvocationId::new("7").unwrap(),
            Payload::encode(protocol, &[Some(1), None]).unwrap(),
        ),
        HubMessage::Close(Close::default()),
    ];
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| protocol.write(message, &mut bytes).unwrap());
    (messages, bytes)
}

#[test]
fn the_pieces_of_a_stream_decide_nothing() {
    for protocol in Protocol::ALL {
        let (messages, bytes) = stream(protocol);
        for step in 1..=bytes.len() {
            let read = read_all(Reader::new(protocol, MESSAGE_MAX), &bytes, step);
            assert_eq!(read, (messages.clone(), None), "{protocol:?} in pieces of {step}");
        }
    }
}

#[test]
fn a_reader_between_messages_holds_nothing() {
    for protocol in Protocol::ALL {
        let (_, bytes) = stream(protocol);
        let mut reader = Reader::new(protocol, MESSAGE_MAX);
        for piece in bytes.chunks(3) {
            let mut piece = piece;
            while reader.next(&mut piece).unwrap().is_some() {}
        }
        assert_eq!(reader.charged(), 0);
    }
}

#[test]
fn a_reader_can_be_continued_by_another_process() {
    for protocol in Protocol::ALL {
        let (messages, bytes) = stream(protocol);
        let mut reader = Reader::new(protocol, MESSAGE_MAX);
        let mut read = Vec::new();
        for piece in bytes.chunks(5) {
            let mut piece = piece;
            while let Some(message) = reader.next(&mut piece).unwrap() {
                read.push(message);
            }
            let written = serde_json::to_string(&reader).unwrap();
            reader = serde_json::from_str(&written).unwrap();
        }
        assert_eq!(read, messages);
    }
}

#[test]
fn the_limit_counts_a_message_with_its_framing() {
    for protocol in Protocol::ALL {
        let message =
            HubMessage::call("Send", Arguments::encode(protocol, &["a"; 50][..]).unwrap());
        let bytes = protocol.encode(&message).unwrap();
        for step in [1, 2, 7, bytes.len()] {
            let read = |message_max| read_all(Reader::new(protocol, message_max), &bytes, step);
            assert_eq!(read(bytes.len()), (vec![message.clone()], None));
            let message_max = bytes.len() - 1;
            assert_eq!(read(message_max), (vec![], Some(ReadError::TooLarge { message_max })));
        }
    }
    assert_eq!(
        ReadError::TooLarge { message_max: MESSAGE_MAX }.to_string(),
        "The maximum message size of 32768B was exceeded. The message size can be configured in \
         AddHubOptions."
    );
}

#[test]
fn attack_s10_endless_text_is_refused_while_it_comes_in() {
    let mut reader = Reader::new(Protocol::Json, MESSAGE_MAX);
    let piece = [b'x'; 1000];
    let refused = (0..100).find_map(|_| reader.next(&mut &piece[..]).err());
    assert_eq!(refused, Some(ReadError::TooLarge { message_max: MESSAGE_MAX }));
    assert!(reader.charged() <= 2 * MESSAGE_MAX);
}

#[test]
fn attack_s9_a_length_that_lies_takes_no_memory() {
    let mut reader = Reader::new(Protocol::MessagePack, 1 << 30);
    assert_eq!(reader.next(&mut &b"\xff\xff\xff\xff\x01"[..]), Ok(None));
    assert!(reader.charged() < 100);
    let mut reader = Reader::new(Protocol::MessagePack, MESSAGE_MAX);
    let refused = ReadError::TooLarge { message_max: MESSAGE_MAX };
    assert_eq!(reader.next(&mut &b"\xff\xff\xff\xff\x07"[..]), Err(refused));
}

#[test]
fn a_message_keeps_no_more_than_its_own_bytes_alive() {
    let mut bytes = Protocol::Json.encode(&stream(Protocol::Json).0[1]).unwrap().to_vec();
    bytes.extend_from_slice(&[b' '; 10_000]);
    let read = Reader::new(Protocol::Json, MESSAGE_MAX).next(&mut &bytes[..]).unwrap();
    let Some(HubMessage::Invocation(invocation)) = read else { panic!("an invocation") };
    assert!(invocation.call.arguments.payload().charged() < 600);
}

proptest! {
    #[test]
    fn any_bytes_read_the_same_in_any_pieces(
        protocol in prop::sample::select(&Protocol::ALL[..]),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x1e), Just(0x91), Just(2)], 0..200),
        message_max in 1_usize..100,
        step in 1_usize..50,
    ) {
        let reader = Reader::new(protocol, message_max);
        let at_once = read_all(reader.clone(), &bytes, usize::MAX);
        prop_assert_eq!(read_all(reader, &bytes, step), at_once);
    }
}
