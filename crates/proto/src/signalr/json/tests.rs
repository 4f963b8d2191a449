//! The JSON encoding, byte for byte, and what is refused.

use super::*;
use crate::signalr::{DEPTH_MAX, ID_MAX};

fn id_of(name: &str) -> InvocationId {
    InvocationId::new(name).unwrap()
}

fn value(json: &str) -> Payload {
    Payload::received(Protocol::Json, json.as_bytes())
}

fn call_of(target: &str, arguments: &str, streams: &[&str]) -> Call {
    let streams = streams.iter().map(|name| id_of(name)).collect();
    Call { target: target.into(), arguments: Arguments::of(value(arguments)).unwrap(), streams }
}

fn headers_of(all: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    all.iter().for_each(|(name, value)| headers.set(*name, *value));
    headers
}

fn read_text(text: &str) -> Result<Option<HubMessage>, ReadError> {
    read(text.as_bytes())
}

/// Each message as the official server writes it.
fn vectors() -> Vec<(HubMessage, &'static str)> {
    let none = Headers::default;
    let foo = || headers_of(&[("Foo", "Bar"), ("z", "")]);
    let cancel = |headers| CancelInvocation { headers, id: id_of("123") };
    let completion = |headers, outcome| Completion { headers, id: id_of("123"), outcome };
    vec![
        (
            HubMessage::Invocation(Invocation {
                headers: none(),
                id: Some(id_of("123")),
                call: call_of("Send", "[42,\"Test Message\"]", &[]),
            }),
            r#"{"type":1,"invocationId":"123","target":"Send","arguments":[42,"Test Message"]}"#,
        ),
        (
            HubMessage::call("Send", Arguments::of(value("[]")).unwrap()),
            r#"{"type":1,"target":"Send","arguments":[]}"#,
        ),
        (
            HubMessage::Invocation(Invocation {
                headers: foo(),
                id: Some(id_of("ü\"\u{1e}")),
                call: call_of("a\\b", "[{\"a\":[null]}]", &["1", "2"]),
            }),
            concat!(
                r#"{"type":1,"headers":{"Foo":"Bar","z":""},"invocationId":"ü\"\u001e","#,
                r#""target":"a\\b","arguments":[{"a":[null]}],"streamIds":["1","2"]}"#
            ),
        ),
        (
            HubMessage::StreamInvocation(StreamInvocation {
                headers: none(),
                id: id_of("123"),
                call: call_of("Send", "[5]", &["s"]),
            }),
            r#"{"type":4,"invocationId":"123","target":"Send","arguments":[5],"streamIds":["s"]}"#,
        ),
        (
            HubMessage::item(id_of("123"), value("42")),
            r#"{"type":2,"invocationId":"123","item":42}"#,
        ),
        (
            HubMessage::StreamItem(StreamItem {
                headers: foo(),
                id: id_of("123"),
                item: value("null"),
            }),
            r#"{"type":2,"headers":{"Foo":"Bar","z":""},"invocationId":"123","item":null}"#,
        ),
        (
            HubMessage::Completion(completion(none(), Outcome::Void)),
            r#"{"type":3,"invocationId":"123"}"#,
        ),
        (
            HubMessage::Completion(completion(none(), Outcome::Result(value("null")))),
            r#"{"type":3,"invocationId":"123","result":null}"#,
        ),
        (
            HubMessage::Completion(completion(foo(), Outcome::Error("It didn't work!".into()))),
            concat!(
                r#"{"type":3,"headers":{"Foo":"Bar","z":""},"invocationId":"123","#,
                r#""error":"It didn't work!"}"#
            ),
        ),
        (HubMessage::CancelInvocation(cancel(none())), r#"{"type":5,"invocationId":"123"}"#),
        (HubMessage::Ping, r#"{"type":6}"#),
        (HubMessage::Close(Close::default()), r#"{"type":7}"#),
        (
            HubMessage::Close(Close { error: Some("".into()), allow_reconnect: false }),
            r#"{"type":7,"error":""}"#,
        ),
        (
            HubMessage::Close(Close { error: Some("E".into()), allow_reconnect: true }),
            r#"{"type":7,"error":"E","allowReconnect":true}"#,
        ),
        (HubMessage::Ack(SequenceId(1394)), r#"{"type":8,"sequenceId":1394}"#),
        (HubMessage::Sequence(SequenceId(0)), r#"{"type":9,"sequenceId":0}"#),
        (
            HubMessage::Sequence(SequenceId(i64::MAX.unsigned_abs())),
            r#"{"type":9,"sequenceId":9223372036854775807}"#,
        ),
    ]
}

#[test]
fn every_message_has_these_bytes_and_no_others() {
    for (message, text) in vectors() {
        let mut written = Vec::new();
        write(&message, &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("{text}\u{1e}"));
        assert_eq!(read_text(text), Ok(Some(message)), "{text}");
    }
}

#[test]
fn properties_come_in_any_order_and_among_others() {
    let wanted = Ok(Some(HubMessage::Invocation(Invocation {
        headers: Headers::default(),
        id: Some(id_of("1")),
        call: call_of("m", "[ 1 , 2 ]", &[]),
    })));
    for text in [
        r#"{"arguments":[ 1 , 2 ],"target":"m","invocationId":"1","type":1}"#,
        r#" {"x":{"type":3},"arguments":[ 1 , 2 ],"y":[[{}]],"target":"m","invocationId":"1","type":1} "#,
        r#"{"\u0074ype":1,"target":"\u006d","arguments":[ 1 , 2 ],"invocationId":"1"}"#,
        r#"{"type":6,"type":1,"target":"n","target":"m","arguments":[],"arguments":[ 1 , 2 ],"invocationId":"1"}"#,
        "{\"type\":1,\r\n\t\"target\":\"m\",\"arguments\":[ 1 , 2 ],\"invocationId\":\"1\",\"error\":null,\"streamIds\":null,\"headers\":null}",
    ] {
        assert_eq!(read_text(text), wanted, "{text}");
    }
}

#[test]
fn an_empty_or_absent_id_wants_no_answer() {
    for text in [
        r#"{"type":1,"target":"m","arguments":[]}"#,
        r#"{"type":1,"target":"m","arguments":[],"invocationId":""}"#,
        r#"{"type":1,"target":"m","arguments":[],"invocationId":null}"#,
    ] {
        assert_eq!(
            read_text(text),
            Ok(Some(HubMessage::call("m", call_of("m", "[]", &[]).arguments)))
        );
    }
}

#[test]
fn types_that_nobody_knows_yet_are_passed_over() {
    assert_eq!(read_text(r#"{"type":10,"anything":[]}"#), Ok(None));
    assert_eq!(read_text(r#"{"type":-1}"#), Ok(None));
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    let missing = ReadError::Missing;
    let expected = |property, kind| ReadError::Expected { property, kind };
    for (text, error) in [
        ("{}", missing("type")),
        (r#"{"type":null}"#, missing("type")),
        (r#"{"type":"1"}"#, expected("type", "Number")),
        (r#"{"type":1.0}"#, expected("type", "Number")),
        (r#"{"type":1,"arguments":[]}"#, missing("target")),
        (r#"{"type":1,"arguments":[],"target":""}"#, missing("target")),
        (r#"{"type":1,"arguments":[],"target":7}"#, expected("target", "String")),
        (r#"{"type":1,"target":"m"}"#, missing("arguments")),
        (r#"{"type":1,"target":"m","arguments":{}}"#, expected("arguments", "Array")),
        (r#"{"type":1,"target":"m","arguments":[],"streamIds":1}"#, expected("streamIds", "Array")),
        (
            r#"{"type":1,"target":"m","arguments":[],"streamIds":[1]}"#,
            expected("streamIds", "String"),
        ),
        (r#"{"type":1,"target":"m","arguments":[],"streamIds":[""]}"#, missing("streamIds")),
        (r#"{"type":1,"target":"m","arguments":[],"headers":[]}"#, expected("headers", "Object")),
        (
            r#"{"type":1,"target":"m","arguments":[],"headers":{"a":1}}"#,
            expected("headers", "String"),
        ),
        (r#"{"type":4,"target":"m","arguments":[]}"#, missing("invocationId")),
        (r#"{"type":2,"item":1}"#, missing("invocationId")),
        (r#"{"type":2,"invocationId":"","item":1}"#, missing("invocationId")),
        (r#"{"type":2,"invocationId":"1"}"#, missing("item")),
        (r#"{"type":3,"result":1}"#, missing("invocationId")),
        (r#"{"type":3,"invocationId":"1","result":1,"error":"e"}"#, ReadError::ErrorAndResult),
        (r#"{"type":5}"#, missing("invocationId")),
        (r#"{"type":7,"allowReconnect":1}"#, expected("allowReconnect", "Boolean")),
        (r#"{"type":8}"#, missing("sequenceId")),
        (r#"{"type":8,"sequenceId":-1}"#, expected("sequenceId", "Number")),
        (r#"{"type":9,"sequenceId":1e3}"#, expected("sequenceId", "Number")),
    ] {
        assert_eq!(read_text(text), Err(error), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "[]",
        "1",
        "null",
        "{",
        "{}{}",
        "{\"type\":6}x",
        "{\"type\":6,}",
        "{,\"type\":6}",
        "{\"type\" 6}",
        "{\"type\":6 \"a\":1}",
        "{type:6}",
        "{'type':6}",
        "{\"type\":6,\"a\":}",
        "{\"type\":6,\"a\":[1,]}",
        "{\"type\":6,\"a\":[,1]}",
        "{\"type\":6,\"a\":[1 2]}",
        "{\"type\":6,\"a\":[1}}",
        "{\"type\":6,\"a\":{\"b\"}}",
        "{\"type\":6,\"a\":{\"b\":1]}",
        "{\"type\":6,\"a\":tru}",
        "{\"type\":6,\"a\":True}",
        "{\"type\":6,\"a\":NaN}",
        "{\"type\":6,\"a\":01}",
        "{\"type\":6,\"a\":-}",
        "{\"type\":6,\"a\":1.}",
        "{\"type\":6,\"a\":.5}",
        "{\"type\":6,\"a\":1e}",
        "{\"type\":6,\"a\":1e+}",
        "{\"type\":6,\"a\":+1}",
        "{\"type\":6,\"a\":0x1}",
        "{\"type\":6,\"a\":\"\n\"}",
        "{\"type\":6,\"a\":\"\\x\"}",
        "{\"type\":6,\"a\":\"\\u12g4\"}",
        "{\"type\":6,\"a\":\"",
        "{\"type\":6,\"a\":\"\\",
        "{\"type\":6,\"a\":\"\\u12",
        "{\"type\":6,\"a\":/**/1}",
        "\u{feff}{\"type\":6}",
        "{\"type\":6,\"error\":\"\\ud800\"}",
    ] {
        let refused = read_text(text).expect_err(text);
        assert!(matches!(refused, ReadError::Malformed(_)), "{text}: {refused}");
    }
    assert_eq!(read(b"{\"type\":6,\"a\":\"\xff\"}"), Err(ReadError::NotUtf8));
}

/// An argument in this many arrays, which is one level more than there are arguments.
fn nested(levels: usize) -> String {
    let (begin, end) = ("[".repeat(levels), "]".repeat(levels));
    format!("{{\"type\":1,\"target\":\"m\",\"arguments\":{begin}{end}}}")
}

#[test]
fn attack_s10_nesting_is_limited_whatever_its_kind() {
    assert!(read_text(&nested(DEPTH_MAX - 1)).is_ok());
    for levels in [DEPTH_MAX, 100_000] {
        assert_eq!(read_text(&nested(levels)), Err(ReadError::TooDeep));
    }
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(read_text(&format!("{{\"x\":{objects}")), Err(ReadError::TooDeep));
}

#[test]
fn attack_s10_numbers_and_escapes_of_others_are_passed_on() {
    let text = r#"{"type":1,"target":"m","arguments":[1e400,-0,0.1E-7,"\ud800"]}"#;
    let Ok(Some(HubMessage::Invocation(invocation))) = read_text(text) else { panic!("refused") };
    let arguments: Vec<_> = invocation.call.arguments.iter().collect();
    let wanted = ["1e400", "-0", "0.1E-7", r#""\ud800""#].map(value);
    assert_eq!(arguments, wanted);
}

#[test]
fn attack_s11_ids_streams_and_headers_are_limited() {
    let id_text = |length| format!("{{\"type\":5,\"invocationId\":\"{}\"}}", "i".repeat(length));
    assert!(read_text(&id_text(ID_MAX)).is_ok());
    assert_eq!(read_text(&id_text(ID_MAX + 1)), Err(ReadError::IdTooLong("invocationId")));
    let list = |count| vec!["\"s\""; count].join(",");
    let streams = |count| {
        format!("{{\"type\":1,\"target\":\"m\",\"arguments\":[],\"streamIds\":[{}]}}", list(count))
    };
    assert!(read_text(&streams(STREAMS_MAX)).is_ok());
    let too_many = ReadError::TooMany { property: "streamIds", count_max: STREAMS_MAX };
    assert_eq!(read_text(&streams(STREAMS_MAX + 1)), Err(too_many));
    let pairs =
        |count: usize| (0..count).map(|n| format!("\"{n}\":\"\"")).collect::<Vec<_>>().join(",");
    let headers = |count| format!("{{\"type\":6,\"headers\":{{{}}}}}", pairs(count));
    assert!(read_text(&headers(HEADERS_MAX)).is_ok());
    let too_many = ReadError::TooMany { property: "headers", count_max: HEADERS_MAX };
    assert_eq!(read_text(&headers(HEADERS_MAX + 1)), Err(too_many));
}
