//! Values mean the same after translation, and what cannot be translated says so.

use proptest::{collection, prelude::*};
use serde_json::{Number, Value, json};

use super::*;
use crate::signalr::{Protocol, payload::Payload};

#[test]
fn json_becomes_the_shortest_messagepack_of_the_same() {
    for (json, msgpack) in [
        ("null", &b"\xc0"[..]),
        (" [ true , false ] ", b"\x92\xc3\xc2"),
        (r#"{"a":{"b\n":[]},"c":"é"}"#, b"\x82\xa1a\x81\xa2b\n\x90\xa1c\xa2\xc3\xa9"),
        ("127", b"\x7f"),
        ("65536", b"\xce\0\x01\0\0"),
        ("18446744073709551615", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("-1", b"\xff"),
        ("-9223372036854775808", b"\xd3\x80\0\0\0\0\0\0\0"),
        ("1.0", b"\xcb\x3f\xf0\0\0\0\0\0\0"),
        ("1e400", b"\xcb\x7f\xf0\0\0\0\0\0\0"),
    ] {
        assert_eq!(to_msgpack(json.as_bytes()).unwrap(), msgpack, "{json}");
    }
    let many = format!("[{}]", vec!["1"; 70_000].join(","));
    assert_eq!(to_msgpack(many.as_bytes()).unwrap()[..6], *b"\xdd\0\x01\x11\x70\x01");
}

#[test]
fn messagepack_becomes_json_as_other_clients_read_it() {
    for (msgpack, json) in [
        (
            &b"\x84\xa1a\xc4\x03\x01\x02\x03\x01\xc0\xff\xc3\xa0\x80"[..],
            r#"{"a":"AQID","1":null,"-1":true,"":{}}"#,
        ),
        (b"\xd6\xff\0\0\0\0", r#""1970-01-01T00:00:00Z""#),
        (b"\xcb\x7f\xf8\0\0\0\0\0\0", "null"),
        (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
        (b"\x92\xa3\"\n\x1e\xd3\x80\0\0\0\0\0\0\0", r#"["\"\n\u001e",-9223372036854775808]"#),
    ] {
        assert_eq!(String::from_utf8(to_json(msgpack).unwrap()).unwrap(), json);
    }
}

#[test]
fn what_has_no_counterpart_is_refused() {
    for msgpack in [&b"\xd4\x05\x01"[..], b"\xd4\xff\x01", b"\xa1\xff", b"\x81\xc0\xc0"] {
        assert!(matches!(to_json(msgpack), Err(EncodeError::Untranslatable(_))), "{msgpack:02x?}");
    }
    assert!(matches!(to_msgpack(br#""\ud800""#), Err(EncodeError::Untranslatable(_))));
}

#[test]
fn nesting_is_limited() {
    let json = |levels| ["[".repeat(levels), "]".repeat(levels)].concat();
    assert!(to_msgpack(json(DEPTH_MAX).as_bytes()).is_ok());
    assert!(to_msgpack(json(100_000).as_bytes()).is_err());
    assert!(to_json(&[vec![0x91; 100_000], vec![0xc0]].concat()).is_err());
}

/// Any JSON that is not nested deep.
pub(in crate::signalr) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).map(Value::Number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 20, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            collection::btree_map(any::<String>(), inner, 0..20).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_survives_both_translations(value in any_json()) {
        let json = Payload::encode(Protocol::Json, &value).unwrap();
        let msgpack = json.to_bytes(Protocol::MessagePack).unwrap();
        let msgpack = Payload::parse(Protocol::MessagePack, msgpack).unwrap();
        prop_assert_eq!(&msgpack.decode::<Value>().unwrap(), &value);
        let back = Payload::parse(Protocol::Json, msgpack.to_bytes(Protocol::Json).unwrap());
        prop_assert_eq!(back.unwrap().decode::<Value>().unwrap(), value);
    }
}
