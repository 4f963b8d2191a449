//! An object with a value of each kind that the two encodings write differently.

use bytes::Bytes;
use everwire_hub::{HubError, Timestamp};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ComplexObject {
    byte_array: Bytes,
    date_time: Timestamp,
    guid: &'static str,
    int_array: [i32; 3],
    string: &'static str,
}

pub(super) fn object() -> Result<ComplexObject, HubError> {
    Ok(ComplexObject {
        byte_array: Bytes::from_static(&[1, 2, 3]),
        date_time: "2000-01-01T00:00:00Z".parse()?,
        guid: "00010203-0405-0607-0706-050403020100",
        int_array: [1, 2, 3],
        string: "hello world",
    })
}
