//! Types of applications in both encodings, byte for byte.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn json(text: &'static str) -> Payload {
    Payload::parse(Protocol::Json, text.into()).unwrap()
}

fn msgpack(bytes: &'static [u8]) -> Payload {
    Payload::parse(Protocol::MessagePack, bytes.into()).unwrap()
}

/// That a value is these bytes in each encoding, and these bytes are that value.
fn is<T>(value: &T, text: &'static str, bytes: &'static [u8])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let encoded = Payload::encode_all(value).unwrap();
    assert_eq!(encoded.bytes(Protocol::Json).unwrap(), text, "{value:?}");
    assert_eq!(encoded.bytes(Protocol::MessagePack).unwrap(), bytes, "{value:?}");
    assert_eq!(json(text).decode::<T>().unwrap(), *value);
    assert_eq!(msgpack(bytes).decode::<T>().unwrap(), *value);
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Nothing,
    Point(u8, u8),
    Round { radius: u8 },
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meters(u16);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Nothing;

#[test]
fn bytes_are_binary_and_base64() {
    let bytes = Bytes::from_static(&[0, 1, 255]);
    is(&bytes, r#""AAH/""#, b"\xc4\x03\x00\x01\xff");
    is(&Bytes::new(), r#""""#, b"\xc4\x00");
    // What others have for bytes: lists of numbers, and base64 that was translated.
    assert_eq!(json("[0,1,255]").decode::<Bytes>().unwrap(), bytes);
    assert_eq!(msgpack(b"\x93\x00\x01\xcc\xff").decode::<Bytes>().unwrap(), bytes);
    assert_eq!(msgpack(b"\xa4AAH/").decode::<Bytes>().unwrap(), bytes);
    json(r#""no base64!""#).decode::<Bytes>().unwrap_err();
    let long = Payload::encode(Protocol::MessagePack, &Bytes::from(vec![7; 70_000])).unwrap();
    assert_eq!(long.bytes(Protocol::MessagePack).unwrap()[..5], [0xc6, 0, 1, 0x11, 0x70]);
}

#[test]
fn a_list_of_small_numbers_is_a_list_and_takes_binary() {
    is(&vec![0_u8, 1, 255], "[0,1,255]", b"\x93\x00\x01\xcc\xff");
    assert_eq!(msgpack(b"\xc4\x02\x07\xff").decode::<Vec<u8>>().unwrap(), [7, 255]);
    assert_eq!(msgpack(b"\xc4\x02\x07\xff").decode::<[u8; 2]>().unwrap(), [7, 255]);
    msgpack(b"\xc4\x02\x07\xff").decode::<[u8; 1]>().unwrap_err();
    msgpack(b"\xc4\x02\x07\xff").decode::<String>().unwrap_err();
}

#[test]
fn a_moment_is_a_timestamp_and_text() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    is(&time("2000-01-01T00:00:00Z"), r#""2000-01-01T00:00:00Z""#, b"\xd6\xff\x38\x6d\x43\x80");
    is(
        &Some(time("1970-01-01T00:00:01.5Z")),
        r#""1970-01-01T00:00:01.5Z""#,
        b"\xd7\xff\x77\x35\x94\x00\x00\x00\x00\x01",
    );
    is(
        &BTreeMap::from([("at".to_owned(), vec![time("1969-12-31T23:59:59Z")])]),
        r#"{"at":["1969-12-31T23:59:59Z"]}"#,
        b"\x81\xa2at\x91\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    // Other types of dates are text to serde.
    let text = msgpack(b"\xd6\xff\x38\x6d\x43\x80").decode::<String>();
    assert_eq!(text.unwrap(), "2000-01-01T00:00:00Z");
    assert_eq!(
        msgpack(b"\xb42000-01-01T00:00:00Z").decode::<Timestamp>().unwrap(),
        time("2000-01-01T00:00:00Z")
    );
    json(r#""yesterday""#).decode::<Timestamp>().unwrap_err();
    msgpack(b"\xd4\xff\x00").decode::<String>().unwrap_err();
    msgpack(b"\xd4\x07\x00").decode::<String>().unwrap_err();
}

#[test]
fn numbers_are_as_short_as_they_can_be() {
    is(&0_u64, "0", b"\x00");
    is(&u64::MAX, "18446744073709551615", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    is(&-1_i64, "-1", b"\xff");
    is(&-32_i8, "-32", b"\xe0");
    is(&-33_i64, "-33", b"\xd0\xdf");
    is(&-129_i16, "-129", b"\xd1\xff\x7f");
    is(&-32_769_i32, "-32769", b"\xd2\xff\xff\x7f\xff");
    is(&i64::MIN, "-9223372036854775808", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00");
    is(&1.5_f64, "1.5", b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00");
    is(&1.5_f32, "1.5", b"\xca\x3f\xc0\x00\x00");
    is(&-5_i128, "-5", b"\xfb");
    is(&7_u128, "7", b"\x07");
    let wide = u128::MAX;
    let encoded = Payload::encode(Protocol::Json, &wide).unwrap();
    assert_eq!(encoded.decode::<u128>().unwrap(), wide);
    assert!(matches!(
        Payload::encode(Protocol::MessagePack, &wide),
        Err(EncodeError::MessagePack(_))
    ));
    // A client need not know which type is meant.
    assert_eq!(json("3").decode::<f64>().unwrap(), 3.0);
    assert!(json("-0").decode::<f64>().unwrap().is_sign_negative());
    json("1e999").decode::<f64>().unwrap_err();
    json("256").decode::<u8>().unwrap_err();
    json("1.5").decode::<u8>().unwrap_err();
}

#[test]
fn every_form_of_a_type_has_its_counterpart() {
    is(&(), "null", b"\xc0");
    is(&Nothing, "null", b"\xc0");
    is(&true, "true", b"\xc3");
    is(&'é', "\"é\"", b"\xa2\xc3\xa9");
    is(&Meters(5), "5", b"\x05");
    is(&None::<u8>, "null", b"\xc0");
    is(&(1_u8, "a".to_owned(), [true]), r#"[1,"a",[true]]"#, b"\x93\x01\xa1a\x91\xc3");
    is(&Shape::Nothing, r#""nothing""#, b"\xa7nothing");
    is(&Shape::Point(1, 2), r#"{"point":[1,2]}"#, b"\x81\xa5point\x92\x01\x02");
    is(&Shape::Named("x".into()), r#"{"named":"x"}"#, b"\x81\xa5named\xa1x");
    is(
        &Shape::Round { radius: 3 },
        r#"{"round":{"radius":3}}"#,
        b"\x81\xa5round\x81\xa6radius\x03",
    );
    is(&BTreeMap::from([("a".to_owned(), 1)]), r#"{"a":1}"#, b"\x81\xa1a\x01");
    for wrong in ["{}", r#"{"point":[1,2],"round":{"radius":3}}"#, r#"{"point":[1]}"#, "1"] {
        json(wrong).decode::<Shape>().unwrap_err();
    }
    assert_eq!(json(" [ 1 , null ] ").decode::<[Option<u8>; 2]>().unwrap(), [Some(1), None]);
    assert_eq!(json(r#"["\u00e9\n"]"#).decode::<(String,)>().unwrap().0, "é\n");
    json(r#""\ud800""#).decode::<String>().unwrap_err();
    msgpack(b"\xa1\xff").decode::<String>().unwrap_err();
}

#[test]
fn a_property_may_be_named_by_a_number_or_a_variant() {
    let numbers = HashMap::from([(5_u32, true)]);
    assert_eq!(json(r#"{"5":true}"#).decode::<HashMap<u32, bool>>().unwrap(), numbers);
    assert_eq!(msgpack(b"\x81\x05\xc3").decode::<HashMap<u32, bool>>().unwrap(), numbers);
    assert_eq!(msgpack(b"\x81\xa15\xc3").decode::<HashMap<u32, bool>>().unwrap(), numbers);
    let text = json(r#"{"5":true,"null":false}"#).decode::<BTreeMap<String, bool>>().unwrap();
    assert_eq!(text.keys().collect::<Vec<_>>(), ["5", "null"]);
    json(r#"{"x":true}"#).decode::<HashMap<u32, bool>>().unwrap_err();
    msgpack(b"\x81\x90\xc3").decode::<HashMap<u32, bool>>().unwrap_err();

    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    enum Side {
        Left,
    }
    let sides = HashMap::from([(Side::Left, 1_u8)]);
    assert_eq!(json(r#"{"Left":1}"#).decode::<HashMap<Side, u8>>().unwrap(), sides);
}

#[test]
fn a_map_of_unknown_length_has_its_count_where_it_belongs() {
    #[derive(Serialize)]
    struct Open {
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
        own: u8,
    }
    let rest = ('a'..='t').map(|name| (name.to_string(), 1)).collect();
    let payload = Payload::encode_all(&Open { rest, own: 1 }).unwrap();
    let bytes = payload.bytes(Protocol::MessagePack).unwrap();
    assert_eq!(bytes[..5], [0xde, 0, 21, 0xa1, b'a']);
    let packed = Payload::parse(Protocol::MessagePack, bytes.clone()).unwrap();
    assert_eq!(packed.decode::<BTreeMap<String, u8>>().unwrap().len(), 21);
}

#[test]
fn what_a_type_does_not_name_is_passed_over() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct One {
        one: u8,
    }
    let text = r#"{"two":[{"x":[1]},"]"],"one":1,"three":null}"#;
    assert_eq!(json(text).decode::<One>().unwrap(), One { one: 1 });
    let packed = json(text).to_bytes(Protocol::MessagePack).unwrap();
    let packed = Payload::parse(Protocol::MessagePack, packed).unwrap();
    assert_eq!(packed.decode::<One>().unwrap(), One { one: 1 });
    packed.decode::<IgnoredAny>().unwrap();
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e300..1e300).prop_map(serde_json::Value::from),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let named = prop::collection::hash_map(any::<String>(), inner.clone(), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..8).prop_map(Into::into),
            named.prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_the_same_in_both_encodings_and_through_translation(value in any_value()) {
        let packed = Payload::encode(Protocol::MessagePack, &value).unwrap();
        let theirs = rmp_serde::to_vec_named(&value).unwrap();
        prop_assert_eq!(&packed.bytes(Protocol::MessagePack).unwrap()[..], &theirs[..]);
        for protocol in Protocol::ALL {
            let payload = Payload::encode(protocol, &value).unwrap();
            prop_assert_eq!(payload.decode::<serde_json::Value>().unwrap(), value.clone());
            let parsed = Payload::parse(protocol, payload.bytes(protocol).unwrap().clone()).unwrap();
            for other in Protocol::ALL {
                let translated = Payload::parse(other, parsed.to_bytes(other).unwrap()).unwrap();
                prop_assert_eq!(translated.decode::<serde_json::Value>().unwrap(), value.clone());
            }
        }
    }
}
