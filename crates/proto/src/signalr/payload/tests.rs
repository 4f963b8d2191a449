//! What an application says arrives as it was said, whoever encodes and whoever decodes.

mod typed;

use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Order {
    id: u64,
    customer_name: String,
    lines: Vec<Option<f64>>,
    #[serde(default)]
    note: Option<String>,
}

fn order() -> Order {
    Order {
        id: u64::MAX,
        customer_name: "Ünal\n".into(),
        lines: vec![Some(-0.5), None, Some(1e300)],
        note: None,
    }
}

#[test]
fn a_value_decodes_as_it_was_encoded() {
    for protocol in Protocol::ALL {
        let payload = Payload::encode(protocol, &order()).unwrap();
        assert_eq!(payload.decode::<Order>().unwrap(), order());
        let parsed = Payload::parse(protocol, payload.bytes(protocol).unwrap().clone()).unwrap();
        assert_eq!(parsed.decode::<Order>().unwrap(), order());
    }
    assert_eq!(Payload::encode_all(&order()).unwrap().decode::<Order>().unwrap(), order());
}

#[test]
fn a_number_is_not_rounded() {
    let number = -5.685136739280634e187;
    for protocol in Protocol::ALL {
        assert_eq!(Payload::encode(protocol, &number).unwrap().decode::<f64>().unwrap(), number);
    }
}

#[test]
fn objects_have_named_properties_and_addresses_are_text_in_both_encodings() {
    let value = std::collections::BTreeMap::from([("a", std::net::Ipv4Addr::LOCALHOST)]);
    let payload = Payload::encode_all(&value).unwrap();
    assert_eq!(payload.bytes(Protocol::Json).unwrap(), &b"{\"a\":\"127.0.0.1\"}"[..]);
    assert_eq!(payload.bytes(Protocol::MessagePack).unwrap(), &b"\x81\xa1a\xa9127.0.0.1"[..]);
    let packed = Payload::encode(Protocol::MessagePack, &value).unwrap();
    let decoded: std::collections::BTreeMap<String, std::net::Ipv4Addr> = packed.decode().unwrap();
    assert_eq!(decoded["a"], std::net::Ipv4Addr::LOCALHOST);
}

#[test]
fn arguments_decode_as_a_tuple_and_one_by_one() {
    for arguments in Protocol::ALL
        .map(|protocol| Arguments::encode(protocol, &(1, "two", order())).unwrap())
        .into_iter()
        .chain([Arguments::encode_all(&(1, "two", order())).unwrap()])
    {
        let (one, two, three): (u8, String, Order) = arguments.decode().unwrap();
        assert_eq!((one, &*two, three), (1, "two", order()));
        assert_eq!(arguments.count(), 3);
        assert_eq!(arguments.iter().nth(1).unwrap().decode::<String>().unwrap(), "two");
        assert!(arguments.decode::<(u8, String)>().is_err(), "too many");
        assert!(arguments.decode::<(u8, String, Order, u8)>().is_err(), "too few");
        let wrong = arguments.decode::<(String,)>().expect_err("another type");
        assert!(wrong.to_string().starts_with("Error binding arguments."));
    }
    assert_eq!(Arguments::none().count(), 0);
    assert_eq!(Arguments::none().decode::<Vec<u8>>().unwrap().len(), 0);
}

#[test]
fn values_of_any_encoding_are_collected_into_arguments() {
    for protocol in Protocol::ALL {
        let values = Protocol::ALL.map(|encoded| Payload::encode(encoded, &order()).unwrap());
        for count in 0..=2 {
            let collected = Arguments::collect(protocol, &values[..count]).unwrap();
            let bytes = collected.payload().bytes(protocol).unwrap().clone();
            let parsed = Arguments::parse(protocol, bytes).unwrap();
            assert_eq!(parsed.decode::<Vec<Order>>().unwrap(), vec![order(); count]);
        }
    }
}

#[test]
fn arguments_are_an_array() {
    for protocol in Protocol::ALL {
        assert!(matches!(Arguments::encode(protocol, &1), Err(EncodeError::NotAnArray)));
    }
    let parse = |text: &'static str| Arguments::parse(Protocol::Json, text.into());
    assert_eq!(parse(" [1, [2]] ").unwrap().count(), 2);
    assert_eq!(parse("{}"), Err(ReadError::Expected { property: "arguments", kind: "Array" }));
    assert!(parse("[1").is_err());
    assert!(parse("[1] 2").is_err());
}

#[test]
fn the_empty_tuple_is_no_arguments() {
    for protocol in Protocol::ALL {
        let none = Arguments::none().payload().to_bytes(protocol).unwrap();
        for arguments in [Arguments::encode(protocol, &()), Arguments::encode_all(&())] {
            assert_eq!(arguments.unwrap().payload().to_bytes(protocol).unwrap(), none);
        }
    }
}

#[test]
fn a_value_that_does_not_serialise_is_the_applications_fault() {
    let no_key = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(Payload::encode(Protocol::Json, &no_key), Err(EncodeError::Json(_))));
}

#[test]
fn clones_and_parts_share_memory() {
    let arguments = Arguments::encode(Protocol::Json, &["a".repeat(1000)]).unwrap();
    let bytes = arguments.payload().bytes(Protocol::Json).unwrap();
    let part = arguments.iter().next().unwrap();
    assert_eq!(part.bytes(Protocol::Json).unwrap().as_ptr(), bytes[1..].as_ptr());
}
