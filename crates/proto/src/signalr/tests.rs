//! Any message, in any encoding, in any pieces.

use proptest::{collection::vec, option, prelude::*};

use super::{
    message::{
        Call, CancelInvocation, Close, Completion, Headers, Invocation, InvocationId, Outcome,
        SequenceId, StreamInvocation, StreamItem,
    },
    payload::{Arguments, Payload, translate::tests::any_json},
    *,
};

fn any_id() -> impl Strategy<Value = InvocationId> {
    ".{1,20}".prop_map(|name| InvocationId::new(name).unwrap())
}

fn any_headers() -> impl Strategy<Value = Headers> {
    vec((any::<String>(), any::<String>()), 0..4).prop_map(|all| {
        let mut headers = Headers::default();
        all.into_iter().for_each(|(name, value)| headers.set(name, value));
        headers
    })
}

fn any_payload(protocol: Protocol) -> impl Strategy<Value = Payload> {
    any_json().prop_map(move |value| Payload::encode(protocol, &value).unwrap())
}

fn any_call(protocol: Protocol) -> impl Strategy<Value = Call> {
    (".{1,20}", vec(any_json(), 0..20), vec(any_id(), 0..20)).prop_map(
        move |(target, values, streams)| {
            let arguments = Arguments::encode(protocol, &values).unwrap();
            Call { target: target.into(), arguments, streams }
        },
    )
}

fn any_outcome(protocol: Protocol) -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Void),
        any::<String>().prop_map(|error| Outcome::Error(error.into())),
        any_payload(protocol).prop_map(Outcome::Result),
    ]
}

fn any_sequence() -> impl Strategy<Value = SequenceId> {
    (0..=i64::MAX.unsigned_abs()).prop_map(SequenceId)
}

fn any_message(protocol: Protocol) -> impl Strategy<Value = HubMessage> {
    prop_oneof![
        (any_headers(), option::of(any_id()), any_call(protocol)).prop_map(
            |(headers, id, call)| HubMessage::Invocation(Invocation { headers, id, call })
        ),
        (any_headers(), any_id(), any_call(protocol)).prop_map(|(headers, id, call)| {
            HubMessage::StreamInvocation(StreamInvocation { headers, id, call })
        }),
        (any_headers(), any_id(), any_payload(protocol)).prop_map(|(headers, id, item)| {
            HubMessage::StreamItem(StreamItem { headers, id, item })
        }),
        (any_headers(), any_id(), any_outcome(protocol)).prop_map(|(headers, id, outcome)| {
            HubMessage::Completion(Completion { headers, id, outcome })
        }),
        (any_headers(), any_id()).prop_map(|(headers, id)| HubMessage::CancelInvocation(
            CancelInvocation { headers, id }
        )),
        Just(HubMessage::Ping),
        (option::of(any::<String>()), any::<bool>()).prop_map(|(error, allow_reconnect)| {
            HubMessage::Close(Close { error: error.map(Into::into), allow_reconnect })
        }),
        any_sequence().prop_map(HubMessage::Ack),
        any_sequence().prop_map(HubMessage::Sequence),
    ]
}

fn any_stream() -> impl Strategy<Value = (Protocol, Vec<HubMessage>)> {
    prop::sample::select(&Protocol::ALL[..])
        .prop_flat_map(|protocol| (Just(protocol), vec(any_message(protocol), 0..6)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_again_in_any_pieces(
        (protocol, messages) in any_stream(),
        steps in vec(1_usize..200, 1..20),
    ) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| protocol.write(message, &mut bytes).unwrap());
        let mut reader = Reader::new(protocol, usize::MAX);
        let mut read = Vec::new();
        let mut rest = &bytes[..];
        for step in steps.into_iter().cycle() {
            let (mut piece, after) = rest.split_at(step.min(rest.len()));
            while let Some(message) = reader.next(&mut piece).unwrap() {
                read.push(message);
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn a_relay_passes_on_the_bytes_it_read((protocol, messages) in any_stream()) {
        for message in messages {
            let bytes = protocol.encode(&message).unwrap();
            let mut reader = Reader::new(protocol, usize::MAX);
            let read = reader.next(&mut &bytes[..]).unwrap().unwrap();
            prop_assert_eq!(protocol.encode(&read).unwrap(), bytes);
        }
    }

    #[test]
    fn a_message_reaches_those_with_the_other_encoding((protocol, messages) in any_stream()) {
        let other = match protocol {
            Protocol::Json => Protocol::MessagePack,
            Protocol::MessagePack => Protocol::Json,
        };
        for message in messages {
            let translated = other.encode(&message).unwrap();
            let mut reader = Reader::new(other, usize::MAX);
            let read = reader.next(&mut &translated[..]).unwrap().unwrap();
            prop_assert_eq!(other.encode(&read).unwrap(), translated);
            prop_assert_eq!(read.is_tracked(), message.is_tracked());
        }
    }
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let extension =
        Payload::parse(Protocol::MessagePack, Bytes::from_static(&[0xd4, 5, 1])).unwrap();
    let message = HubMessage::item(InvocationId::new("1").unwrap(), extension);
    let mut bytes = b"before".to_vec();
    assert!(Protocol::Json.write(&message, &mut bytes).is_err());
    assert_eq!(bytes, b"before");
    assert!(Protocol::MessagePack.write(&message, &mut bytes).is_ok());
}

#[test]
fn an_id_that_is_written_down_is_judged_when_it_is_read() {
    let id = InvocationId::new("1").unwrap();
    let written = serde_json::to_string(&id).unwrap();
    assert_eq!(serde_json::from_str::<InvocationId>(&written).unwrap(), id);
    assert!(serde_json::from_str::<InvocationId>("\"\"").is_err());
}
