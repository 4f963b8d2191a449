//! What can be published, in which forms.

use super::*;
use crate::signalr::payload::Payload;

fn json(body: &str) -> Result<Publication, ReadError> {
    Publication::read(Form::Object(Protocol::Json), body.as_bytes())
}

fn packed(value: &(impl serde::Serialize + ?Sized)) -> Vec<u8> {
    Payload::encode(Protocol::MessagePack, value)
        .unwrap()
        .to_bytes(Protocol::MessagePack)
        .unwrap()
        .into()
}

fn msgpack(value: &(impl serde::Serialize + ?Sized)) -> Result<Publication, ReadError> {
    Publication::read(Form::Object(Protocol::MessagePack), &packed(value))
}

/// A map as publishers write it that encode for their clients.
fn encoded(messages: &[(&str, &[u8])]) -> Result<Publication, ReadError> {
    let mut body = Vec::new();
    msgpack::write_map(messages.len(), &mut body);
    for (name, message) in messages {
        msgpack::write_text(name, &mut body);
        // Bytes with a length of 16 bits.
        body.push(0xc5);
        body.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message);
    }
    Publication::read(Form::Encoded, &body)
}

fn call(protocol: Protocol, target: &str, arguments: &serde_json::Value) -> Vec<u8> {
    let arguments = Arguments::encode(protocol, arguments).unwrap();
    protocol.encode(&HubMessage::call(target, arguments)).unwrap().to_vec()
}

#[test]
fn an_object_is_read_in_either_encoding_and_any_case() {
    let wanted = serde_json::json!([1, "ä", null, { "b": [] }]);
    for (target, arguments) in [("target", "arguments"), ("Target", "ARGUMENTS")] {
        let value = serde_json::json!({ arguments: wanted, target: "Told" });
        for read in [json(&value.to_string()), msgpack(&value)] {
            let read = read.unwrap();
            assert_eq!(&*read.target, "Told");
            assert_eq!(read.arguments.decode::<serde_json::Value>().unwrap(), wanted);
        }
    }
}

#[test]
fn arguments_may_be_left_out() {
    for value in [
        serde_json::json!({ "target": "x", "arguments": null }),
        serde_json::json!({ "target": "x" }),
    ] {
        assert_eq!(json(&value.to_string()).unwrap().arguments.count(), 0);
        assert_eq!(msgpack(&value).unwrap().arguments.count(), 0);
    }
}

#[test]
fn what_cannot_be_published_is_refused() {
    for value in [
        serde_json::json!({}),
        serde_json::json!({ "target": "" }),
        serde_json::json!({ "target": 1 }),
        serde_json::json!({ "arguments": [] }),
        serde_json::json!({ "target": "x", "arguments": {} }),
        serde_json::json!({ "target": "x", "argument": [] }),
        serde_json::json!(["x", []]),
    ] {
        assert!(json(&value.to_string()).is_err(), "{value}");
        assert!(msgpack(&value).is_err(), "{value}");
    }
    for body in ["", "{", "{\"target\":\"x\"}{", "\u{1}"] {
        assert!(json(body).is_err(), "{body}");
    }
    let whole = packed(&serde_json::json!({ "target": "x", "arguments": [1] }));
    for length in 0..whole.len() {
        let cut = Publication::read(Form::Object(Protocol::MessagePack), &whole[..length]);
        assert!(cut.is_err(), "{length}");
    }
    let deep = format!("{{\"target\":\"x\",\"arguments\":{}{}}}", "[".repeat(70), "]".repeat(70));
    assert_eq!(json(&deep), Err(ReadError::TooDeep));
}

#[test]
fn messages_that_are_encoded_already_stay_as_they_are() {
    let arguments = serde_json::json!([1, "two"]);
    let [text, packed] = Protocol::ALL.map(|protocol| call(protocol, "Told", &arguments));
    let both = encoded(&[("json", &text), ("messagepack", &packed), ("other", b"?")]).unwrap();
    assert_eq!(&*both.target, "Told");
    for protocol in Protocol::ALL {
        let own = Arguments::encode(protocol, &arguments).unwrap();
        let bytes = both.arguments.payload().bytes(protocol);
        assert_eq!(bytes, own.payload().bytes(protocol), "nothing is translated");
    }
    for (name, message) in [("json", &text), ("MessagePack", &packed)] {
        let one = encoded(&[(name, message)]).unwrap();
        assert_eq!(one.arguments.decode::<serde_json::Value>().unwrap(), arguments);
    }
}

#[test]
fn encoded_messages_are_calls_and_agree() {
    let none = serde_json::json!([]);
    let [text, packed] = Protocol::ALL.map(|protocol| call(protocol, "One", &none));
    let other = call(Protocol::MessagePack, "Other", &none);
    let ping = Protocol::Json.encode(&HubMessage::Ping).unwrap();
    let twice = [&text[..], &text].concat();
    let asks = b"{\"type\":1,\"invocationId\":\"1\",\"target\":\"x\",\"arguments\":[]}\x1e";
    for wrong in [
        &[][..],
        &[("other", &b"?"[..])],
        &[("json", &text[..]), ("messagepack", &other)],
        &[("json", &ping)],
        &[("json", &twice)],
        &[("json", &text[..text.len() - 1])],
        &[("messagepack", &packed[..packed.len() - 1])],
        &[("json", asks)],
    ] {
        assert!(encoded(wrong).is_err(), "{wrong:?}");
    }
    assert!(encoded(&[("json", &text), ("messagepack", &packed)]).is_ok());
    assert!(Publication::read(Form::Encoded, b"\x81\xa4json\x01").is_err());
    assert!(Publication::read(Form::Encoded, &text).is_err());
}
