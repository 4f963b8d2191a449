//! An object with a value of each kind that the two encodings write differently.

use everwire_hub::{HubError, method::Opaque};
use everwire_proto::signalr::{Protocol, payload::Payload};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ComplexObject {
    byte_array: Binary,
    date_time: Timestamp,
    guid: &'static str,
    int_array: [i32; 3],
    string: &'static str,
}

/// Bytes as MessagePack has them.
struct Binary(&'static [u8]);

/// Seconds since 1970, as MessagePack has a time.
#[derive(Serialize)]
#[serde(rename = "_ExtStruct")]
struct Timestamp((i8, Binary));

/// The object in MessagePack, which knows more kinds: clients that read JSON are given base64 for
/// its bytes and text for its time.
pub(super) fn object() -> Result<Opaque, HubError> {
    let object = ComplexObject {
        byte_array: Binary(&[1, 2, 3]),
        date_time: Timestamp((-1, Binary(&YEAR_2000))),
        guid: "00010203-0405-0607-0706-050403020100",
        int_array: [1, 2, 3],
        string: "hello world",
    };
    let bytes = rmp_serde::to_vec_named(&object)?;
    Ok(Opaque(Payload::parse(Protocol::MessagePack, bytes.into())?))
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// 2000-01-01T00:00:00Z.
const YEAR_2000: [u8; 4] = 946_684_800_u32.to_be_bytes();
