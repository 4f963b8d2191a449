//! The MessagePack encoding, byte for byte, and what is refused.

use super::*;
use crate::signalr::{DEPTH_MAX, ID_MAX};

fn xyz() -> InvocationId {
    InvocationId::new("xyz").unwrap()
}

fn value(bytes: &[u8]) -> Payload {
    Payload::received(Protocol::MessagePack, bytes)
}

fn call_of(arguments: &[u8], streams: &[&str]) -> Call {
    let streams = streams.iter().map(|name| InvocationId::new(*name).unwrap()).collect();
    Call { target: "method".into(), arguments: Arguments::of(value(arguments)).unwrap(), streams }
}

fn xy_zz() -> Headers {
    let mut headers = Headers::default();
    headers.set("x", "y");
    headers.set("z", "z");
    headers
}

/// The messages of the specification's own examples, and the extremes that it has none for.
fn vectors() -> Vec<(HubMessage, Vec<u8>)> {
    let none = Headers::default;
    let invocation = |headers, id, call| HubMessage::Invocation(Invocation { headers, id, call });
    let complete = |outcome| HubMessage::completion(xyz(), outcome);
    let cancel = |headers| HubMessage::CancelInvocation(CancelInvocation { headers, id: xyz() });
    let close = |error: Option<&str>, allow_reconnect| {
        HubMessage::Close(Close { error: error.map(Into::into), allow_reconnect })
    };
    let stream = StreamInvocation { headers: none(), id: xyz(), call: call_of(b"\x91\x2a", &[]) };
    let item = StreamItem { headers: xy_zz(), id: xyz(), item: value(b"\xc0") };
    vec![
        (
            invocation(none(), Some(xyz()), call_of(b"\x91\x2a", &[])),
            b"\x96\x01\x80\xa3xyz\xa6method\x91\x2a\x90".to_vec(),
        ),
        (
            invocation(none(), None, call_of(b"\x91\x2a", &[])),
            b"\x96\x01\x80\xc0\xa6method\x91\x2a\x90".to_vec(),
        ),
        (
            invocation(xy_zz(), Some(xyz()), call_of(b"\x91\x2a", &["1", "2"])),
            b"\x96\x01\x82\xa1x\xa1y\xa1z\xa1z\xa3xyz\xa6method\x91\x2a\x92\xa11\xa12".to_vec(),
        ),
        (
            HubMessage::StreamInvocation(stream),
            b"\x96\x04\x80\xa3xyz\xa6method\x91\x2a\x90".to_vec(),
        ),
        (HubMessage::item(xyz(), value(b"\x2a")), b"\x94\x02\x80\xa3xyz\x2a".to_vec()),
        (HubMessage::StreamItem(item), b"\x94\x02\x82\xa1x\xa1y\xa1z\xa1z\xa3xyz\xc0".to_vec()),
        (complete(Outcome::Error("Error".into())), b"\x95\x03\x80\xa3xyz\x01\xa5Error".to_vec()),
        (complete(Outcome::Void), b"\x94\x03\x80\xa3xyz\x02".to_vec()),
        (complete(Outcome::Result(value(b"\x2a"))), b"\x95\x03\x80\xa3xyz\x03\x2a".to_vec()),
        (cancel(none()), b"\x93\x05\x80\xa3xyz".to_vec()),
        (HubMessage::Ping, b"\x91\x06".to_vec()),
        (close(None, false), b"\x93\x07\xc0\xc2".to_vec()),
        (close(Some("xyz"), false), b"\x93\x07\xa3xyz\xc2".to_vec()),
        (close(Some("xyz"), true), b"\x93\x07\xa3xyz\xc3".to_vec()),
        (HubMessage::Ack(SequenceId(36)), b"\x92\x08\x24".to_vec()),
        (HubMessage::Sequence(SequenceId(19)), b"\x92\x09\x13".to_vec()),
        (HubMessage::Ack(SequenceId(0x80)), b"\x92\x08\xcc\x80".to_vec()),
        (HubMessage::Ack(SequenceId(0xffff)), b"\x92\x08\xcd\xff\xff".to_vec()),
        (HubMessage::Ack(SequenceId(0x1_0000)), b"\x92\x08\xce\0\x01\0\0".to_vec()),
        (HubMessage::Ack(SequenceId(1 << 32)), b"\x92\x08\xcf\0\0\0\x01\0\0\0\0".to_vec()),
        (HubMessage::Ack(SequenceId(u64::MAX)), [&b"\x92\x08\xcf"[..], &[0xff; 8]].concat()),
    ]
}

#[test]
fn every_message_has_these_bytes_and_no_others() {
    for (message, bytes) in vectors() {
        let mut written = Vec::new();
        write(&message, &mut written).unwrap();
        assert_eq!(written, [&[bytes.len() as u8][..], &bytes].concat(), "{message:?}");
        assert_eq!(read(&bytes), Ok(Some(message)), "{bytes:02x?}");
    }
}

#[test]
fn other_clients_write_the_same_otherwise() {
    let invocation = |id| {
        let call = call_of(b"\x91\x2a", &[]);
        Ok(Some(HubMessage::Invocation(Invocation { headers: Headers::default(), id, call })))
    };
    for (bytes, wanted) in [
        (&b"\x95\x01\x80\xa3xyz\xa6method\x91\x2a"[..], invocation(Some(xyz()))),
        (b"\x97\x01\x80\xa3xyz\xa6method\x91\x2a\x90\x81\xa1a\x91\xc0", invocation(Some(xyz()))),
        (b"\xdc\0\x05\xcc\x01\xde\0\0\xd9\x03xyz\xda\0\x06method\x91\x2a", invocation(Some(xyz()))),
        (b"\x96\xd0\x01\xc0\xa0\xdb\0\0\0\x06method\x91\x2a\xc0", invocation(None)),
        (b"\x92\x06\xc0", Ok(Some(HubMessage::Ping))),
        (b"\x91\x07", Ok(Some(HubMessage::Close(Close::default())))),
        (b"\x92\x07\xc0", Ok(Some(HubMessage::Close(Close::default())))),
        (b"\x92\x08\xd1\x01\0", Ok(Some(HubMessage::Ack(SequenceId(256))))),
        (b"\x92\x0a\x93\xc0\xc0\xc0", Ok(None)),
    ] {
        assert_eq!(read(bytes), wanted, "{bytes:02x?}");
    }
}

#[test]
fn values_of_every_kind_are_passed_on_as_they_are() {
    for argument in [
        &b"\xc0"[..],
        b"\xc2",
        b"\xff",
        b"\x7f",
        b"\xcc\xff",
        b"\xd3\x80\0\0\0\0\0\0\0",
        b"\xca\x3f\x80\0\0",
        b"\xcb\x7f\xf0\0\0\0\0\0\0",
        b"\xc4\x02\xff\x00",
        b"\xc5\0\x01a",
        b"\xc6\0\0\0\x01a",
        b"\xd6\xff\x5e\x0b\xe1\x00",
        b"\xc7\x0c\xff\0\0\0\0\0\0\0\0\0\0\0\x01",
        b"\xd4\x05\x01",
        b"\xd8\x05\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
        b"\xc8\0\x01\x01a",
        b"\xc9\0\0\0\x01\x01a",
        b"\xa2\xff\xfe",
        b"\xdd\0\0\0\x01\xc0",
        b"\xdf\0\0\0\x01\x01\xc0",
        b"\x82\xa1a\x92\x01\x02\x91\x90\x80",
    ] {
        let body = [b"\x96\x01\x80\xc0\xa6method\x92\x01", argument, b"\x90"].concat();
        let Ok(Some(HubMessage::Invocation(read))) = read(&body) else { panic!("{argument:02x?}") };
        let arguments: Vec<_> = read.call.arguments.iter().collect();
        assert_eq!(arguments, [value(b"\x01"), value(argument)]);
    }
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    let missing = ReadError::Missing;
    let expected = |property, kind| ReadError::Expected { property, kind };
    for (bytes, error) in [
        (&b"\x90"[..], missing("type")),
        (b"\x91\xa11", expected("type", "Number")),
        (b"\x91\x01", missing("headers")),
        (b"\x92\x01\x90", expected("headers", "Map")),
        (b"\x92\x01\x81\x01\xa0", expected("headers", "String")),
        (b"\x93\x01\x80\x01", expected("invocationId", "String")),
        (b"\x93\x01\x80\xc0", missing("target")),
        (b"\x94\x01\x80\xc0\xa0", missing("target")),
        (b"\x94\x01\x80\xc0\xa2\xff\xff", expected("target", "String")),
        (b"\x94\x01\x80\xc0\xa1m", missing("arguments")),
        (b"\x95\x01\x80\xc0\xa1m\xc0", expected("arguments", "Array")),
        (b"\x96\x01\x80\xc0\xa1m\x90\x80", expected("streamIds", "Array")),
        (b"\x96\x01\x80\xc0\xa1m\x90\x91\xc0", missing("streamIds")),
        (b"\x93\x04\x80\xc0", missing("invocationId")),
        (b"\x93\x02\x80\xa0", missing("invocationId")),
        (b"\x93\x02\x80\xa11", missing("item")),
        (b"\x93\x03\x80\xa11", missing("resultKind")),
        (b"\x94\x03\x80\xa11\x03", missing("result")),
        (b"\x94\x03\x80\xa11\x01", missing("error")),
        (b"\x94\x03\x80\xa11\x04", ReadError::Malformed("an invalid invocation result kind")),
        (b"\x93\x07\xc0\x01", expected("allowReconnect", "Boolean")),
        (b"\x91\x08", missing("sequenceId")),
        (b"\x92\x08\xff", expected("sequenceId", "Number")),
        (b"\x92\x08\xca\0\0\0\0", expected("sequenceId", "Number")),
        (b"\x80", ReadError::Malformed("not an array")),
        (b"\x91\x06\xc0", ReadError::Malformed("something follows the value")),
    ] {
        assert_eq!(read(bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn attack_s9_lengths_and_counts_that_lie_are_refused() {
    let short = Err(ReadError::Malformed("less is there than was announced"));
    for argument in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff\x01\x01",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\0",
        b"\x93\x01",
        b"\xcb\0",
        b"\xa5abc",
        b"\xd8\x01",
        b"",
    ] {
        let body = [b"\x95\x01\x80\xc0\xa1m\x91", argument].concat();
        assert_eq!(read(&body), short, "{argument:02x?}");
    }
    assert_eq!(read(b"\xdd\xff\xff\xff\xff\x06"), short);
    assert_eq!(read(b""), short);
    assert_eq!(read(b"\x92\x06\xc1"), Err(ReadError::Malformed("a byte that means nothing")));
}

#[test]
fn attack_s9_nesting_is_limited_whatever_its_kind() {
    let nested = |levels: usize, level: &[u8]| {
        let argument = level.repeat(levels - 2);
        read(&[b"\x95\x01\x80\xc0\xa1m\x91", &argument[..], b"\xc0"].concat())
    };
    for level in [&b"\x91"[..], b"\x81\x01", b"\xdc\0\x01"] {
        assert!(nested(DEPTH_MAX, level).is_ok());
        assert_eq!(nested(DEPTH_MAX + 1, level), Err(ReadError::TooDeep));
        assert_eq!(nested(100_000, level), Err(ReadError::TooDeep));
    }
}

#[test]
fn attack_s11_ids_streams_and_headers_are_limited() {
    let cancel = |length: u16| {
        let name = vec![b'i'; usize::from(length)];
        read(&[&b"\x93\x05\x80\xda"[..], &length.to_be_bytes(), &name].concat())
    };
    assert!(cancel(ID_MAX as u16).is_ok());
    assert_eq!(cancel(ID_MAX as u16 + 1), Err(ReadError::IdTooLong("invocationId")));
    let streams = |count: usize| {
        let names = b"\xa1s".repeat(count);
        read(&[&b"\x96\x01\x80\xc0\xa1m\x90\xdc\0"[..], &[count as u8], &names].concat())
    };
    assert!(streams(STREAMS_MAX).is_ok());
    let too_many = ReadError::TooMany { property: "streamIds", count_max: STREAMS_MAX };
    assert_eq!(streams(STREAMS_MAX + 1), Err(too_many));
    let headers = |count: usize| {
        let pairs = b"\xa0\xa0".repeat(count);
        read(&[&b"\x93\x05\xde\0"[..], &[count as u8], &pairs, b"\xa1i"].concat())
    };
    assert!(headers(HEADERS_MAX).is_ok());
    let too_many = ReadError::TooMany { property: "headers", count_max: HEADERS_MAX };
    assert_eq!(headers(HEADERS_MAX + 1), Err(too_many));
}

#[test]
fn lengths_are_read_in_one_to_five_bytes() {
    for (bytes, wanted) in [
        (&b""[..], Ok(None)),
        (b"\x80", Ok(None)),
        (b"\xff\xff\xff\xff", Ok(None)),
        (b"\0", Ok(Some((0, 1)))),
        (b"\x35\xff", Ok(Some((0x35, 1)))),
        (b"\x80\x29", Ok(Some((0x1480, 2)))),
        (b"\x80\x80\x80\x80\0", Ok(Some((0, 5)))),
        (b"\xff\xff\xff\xff\x07", Ok(Some((0x7fff_ffff, 5)))),
        (b"\xff\xff\xff\xff\x08", Err(ReadError::Length)),
        (b"\xff\xff\xff\xff\x80", Err(ReadError::Length)),
    ] {
        assert_eq!(read_length(bytes), wanted, "{bytes:02x?}");
    }
}

#[test]
fn a_long_message_has_a_longer_length() {
    for (length, prefix) in [(100, &b"\x6d"[..]), (200, b"\xd1\x01"), (20_000, b"\xaa\x9c\x01")] {
        let item = rmp_serde::to_vec(&"a".repeat(length)).unwrap();
        let mut written = b"before".to_vec();
        write(&HubMessage::item(xyz(), value(&item)), &mut written).unwrap();
        let body = [b"\x94\x02\x80\xa3xyz", &item[..]].concat();
        assert_eq!(written[6..6 + prefix.len()], *prefix, "{length}");
        assert_eq!(written[6 + prefix.len()..], body);
    }
}
