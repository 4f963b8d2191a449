//! What applications say to each other: arguments, items and results, opaque to the protocol.
//!
//! A payload stays in the encoding that it came in, and clones share its bytes. Whoever knows the
//! type decodes it with serde; whoever does not passes it on, and only a receiver with the other
//! encoding makes it be translated. A value of the application's own is encoded for one receiver,
//! or once in both encodings for many.
//!
//! What serde calls bytes (`bytes::Bytes`, `serde_bytes`) is binary in MessagePack and base64 in
//! JSON, as other SignalR clients and servers have them. A `Vec<u8>` is a list of numbers to serde
//! and so in both encodings; it takes binary too. For moments there is [`Timestamp`].

mod pack;
mod source;
mod timestamp;
pub(super) mod translate;

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use self::{pack::Packer, source::Source};
pub use self::{
    pack::Unpackable,
    source::Mismatch,
    timestamp::{NotATime, Timestamp},
};
use super::{Protocol, ReadError, json, msgpack};

/// One value in at least one encoding. What is read or parsed is well formed and nested at most
/// [`DEPTH_MAX`](super::DEPTH_MAX) deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Encodings);

/// Arguments of a call: a payload that is an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments(Payload);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Encodings {
    One(Protocol, Bytes),
    Both { json: Bytes, msgpack: Bytes },
}

/// Why a value cannot be encoded: the application's fault.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The value's own serialisation failed for JSON.
    #[error("the value cannot be JSON")]
    Json(#[source] serde_json::Error),
    /// The value's own serialisation failed for MessagePack.
    #[error("the value cannot be MessagePack")]
    MessagePack(#[source] Unpackable),
    /// Arguments must serialise as an array: a tuple, a list, a slice; or as nothing at all.
    #[error("arguments must be an array")]
    NotAnArray,
    /// The value exists in one encoding only and has no counterpart in the other.
    #[error("the value cannot be translated: {0}")]
    Untranslatable(&'static str),
    /// The message is longer than 2 GiB, which its length prefix cannot say.
    #[error("the message is longer than 2 GiB")]
    TooLong,
}

/// Why a payload does not decode: it is not of the type that was asked for, which is the fault of
/// whoever sent it.
#[derive(Debug, thiserror::Error)]
#[error(
    "Error binding arguments. Make sure that the types of the provided values match the types of \
     the hub method being invoked."
)]
pub struct DecodeError(#[from] Mismatch);

impl Payload {
    /// The value that is none.
    pub const fn null() -> Self {
        let json = Bytes::from_static(b"null");
        let msgpack = Bytes::from_static(&[0xc0]);
        Self(Encodings::Both { json, msgpack })
    }

    /// Encodes a value for a receiver of this protocol.
    ///
    /// # Errors
    /// If the value's own serialisation fails.
    pub fn encode(
        protocol: Protocol,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Self, EncodeError> {
        Ok(Self(Encodings::One(protocol, encode(protocol, value)?)))
    }

    /// Encodes a value for receivers of any protocol.
    ///
    /// # Errors
    /// If the value's own serialisation fails.
    pub fn encode_all(value: &(impl Serialize + ?Sized)) -> Result<Self, EncodeError> {
        let json = encode(Protocol::Json, value)?;
        let msgpack = encode(Protocol::MessagePack, value)?;
        Ok(Self(Encodings::Both { json, msgpack }))
    }

    /// Takes bytes that claim to be exactly one value, such as a published body.
    ///
    /// # Errors
    /// If they are not, or nested too deep.
    pub fn parse(protocol: Protocol, bytes: Bytes) -> Result<Self, ReadError> {
        match protocol {
            Protocol::Json => json::judge(&bytes)?,
            Protocol::MessagePack => msgpack::judge(&bytes)?,
        }
        Ok(Self(Encodings::One(protocol, bytes)))
    }

    /// Keeps bytes that have been judged already.
    pub(super) fn received(protocol: Protocol, bytes: &[u8]) -> Self {
        Self(Encodings::One(protocol, Bytes::copy_from_slice(bytes)))
    }

    /// The bytes in this encoding, if they are there without translation.
    pub const fn bytes(&self, protocol: Protocol) -> Option<&Bytes> {
        match (&self.0, protocol) {
            (Encodings::One(Protocol::Json, bytes), Protocol::Json)
            | (Encodings::One(Protocol::MessagePack, bytes), Protocol::MessagePack)
            | (Encodings::Both { json: bytes, .. }, Protocol::Json)
            | (Encodings::Both { msgpack: bytes, .. }, Protocol::MessagePack) => Some(bytes),
            (Encodings::One(..), _) => None,
        }
    }

    /// The bytes in this encoding, translated if need be. Binary data becomes base64 in JSON and a
    /// timestamp becomes text; what is text in JSON stays text in MessagePack.
    ///
    /// # Errors
    /// If the value has no counterpart in this encoding.
    pub fn to_bytes(&self, protocol: Protocol) -> Result<Bytes, EncodeError> {
        match (&self.0, protocol) {
            (Encodings::One(Protocol::Json, json), Protocol::MessagePack) => {
                translate::to_msgpack(json).map(Bytes::from)
            }
            (Encodings::One(Protocol::MessagePack, msgpack), Protocol::Json) => {
                translate::to_json(msgpack).map(Bytes::from)
            }
            (Encodings::One(_, bytes), _)
            | (Encodings::Both { json: bytes, .. }, Protocol::Json)
            | (Encodings::Both { msgpack: bytes, .. }, Protocol::MessagePack) => Ok(bytes.clone()),
        }
    }

    /// The value as this type.
    ///
    /// # Errors
    /// If it is of another.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let mut source = match &self.0 {
            Encodings::One(Protocol::Json, bytes) | Encodings::Both { json: bytes, .. } => {
                // JSON is known to be text.
                Source::Json(json::Scan::new(str::from_utf8(bytes).unwrap_or_default(), 0))
            }
            Encodings::One(Protocol::MessagePack, bytes) => {
                Source::MessagePack(msgpack::Scan::new(bytes, 0))
            }
        };
        let value = T::deserialize(&mut source)?;
        source.expect_end()?;
        Ok(value)
    }

    /// Whether this is the value that is none.
    pub fn is_null(&self) -> bool {
        match &self.0 {
            Encodings::One(Protocol::Json, bytes) | Encodings::Both { json: bytes, .. } => {
                bytes.trim_ascii() == b"null"
            }
            Encodings::One(Protocol::MessagePack, bytes) => bytes[..] == [0xc0],
        }
    }

    /// Bytes of memory that the value takes, shared by all clones.
    pub const fn charged(&self) -> usize {
        match &self.0 {
            Encodings::One(_, bytes) => bytes.len(),
            Encodings::Both { json, msgpack } => json.len() + msgpack.len(),
        }
    }
}

impl Arguments {
    /// No arguments.
    pub const fn none() -> Self {
        let json = Bytes::from_static(b"[]");
        let msgpack = Bytes::from_static(&[0x90]);
        Self(Payload(Encodings::Both { json, msgpack }))
    }

    /// Encodes a tuple, list or slice for a receiver of this protocol; `()` is no arguments.
    ///
    /// # Errors
    /// If its serialisation fails or is not an array.
    pub fn encode(
        protocol: Protocol,
        values: &(impl Serialize + ?Sized),
    ) -> Result<Self, EncodeError> {
        Self::encoded(Payload::encode(protocol, values)?)
    }

    /// Encodes a tuple, list or slice for receivers of any protocol; `()` is no arguments.
    ///
    /// # Errors
    /// If its serialisation fails or is not an array.
    pub fn encode_all(values: &(impl Serialize + ?Sized)) -> Result<Self, EncodeError> {
        Self::encoded(Payload::encode_all(values)?)
    }

    /// Takes bytes that claim to be exactly one array, such as a published body.
    ///
    /// # Errors
    /// If they are not, or nested too deep.
    pub fn parse(protocol: Protocol, bytes: Bytes) -> Result<Self, ReadError> {
        let wrong = ReadError::Expected { property: "arguments", kind: "Array" };
        Self::of(Payload::parse(protocol, bytes)?).ok_or(wrong)
    }

    /// These values in their order, for a receiver of this protocol; what is in the other encoding
    /// is translated.
    ///
    /// # Errors
    /// If a value has no counterpart in this encoding.
    pub fn collect(protocol: Protocol, values: &[Payload]) -> Result<Self, EncodeError> {
        let mut bytes = Vec::new();
        if protocol == Protocol::MessagePack {
            msgpack::write_array(values.len(), &mut bytes);
        }
        for (index, value) in values.iter().enumerate() {
            if protocol == Protocol::Json {
                bytes.push(if index == 0 { b'[' } else { b',' });
            }
            bytes.extend_from_slice(&value.to_bytes(protocol)?);
        }
        if protocol == Protocol::Json {
            bytes.extend_from_slice(if values.is_empty() { b"[]" } else { b"]" });
        }
        Ok(Self(Payload(Encodings::One(protocol, bytes.into()))))
    }

    /// The arguments as this tuple or list.
    ///
    /// # Errors
    /// If they are others, or more, or fewer.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.0.decode()
    }

    /// How many there are; looks through all of them.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// Each argument by itself, sharing these bytes.
    pub fn iter(&self) -> impl Iterator<Item = Payload> {
        let (protocol, bytes) = match &self.0.0 {
            Encodings::One(protocol, bytes) => (*protocol, bytes),
            Encodings::Both { json, .. } => (Protocol::Json, json),
        };
        // Of MessagePack no text is needed; JSON is known to be text.
        let text = str::from_utf8(bytes).unwrap_or_default();
        let mut at = 0;
        std::iter::from_fn(move || {
            let range = match protocol {
                Protocol::Json => json::next_element(text, &mut at),
                Protocol::MessagePack => msgpack::next_element(bytes, &mut at),
            };
            range.map(|range| Payload(Encodings::One(protocol, bytes.slice(range))))
        })
    }

    /// Joins the same arguments in the other encoding, so that neither has to be translated. If both
    /// are in one encoding, these stay as they are.
    #[must_use]
    pub fn in_both(self, other: &Self) -> Self {
        let bytes = |protocol| self.0.bytes(protocol).or_else(|| other.0.bytes(protocol));
        match (bytes(Protocol::Json), bytes(Protocol::MessagePack)) {
            (Some(json), Some(msgpack)) => {
                let (json, msgpack) = (json.clone(), msgpack.clone());
                Self(Payload(Encodings::Both { json, msgpack }))
            }
            _ => self,
        }
    }

    /// The array.
    pub const fn payload(&self) -> &Payload {
        &self.0
    }

    /// What an application's value has become: the empty tuple is the one that serde makes no array.
    fn encoded(values: Payload) -> Result<Self, EncodeError> {
        if values.is_null() {
            return Ok(Self::none());
        }
        Self::of(values).ok_or(EncodeError::NotAnArray)
    }

    /// The payload as arguments, if it is an array.
    pub fn of(payload: Payload) -> Option<Self> {
        let is_array = match &payload.0 {
            Encodings::One(Protocol::Json, bytes) | Encodings::Both { json: bytes, .. } => {
                bytes.trim_ascii_start().first() == Some(&b'[')
            }
            Encodings::One(Protocol::MessagePack, bytes) => {
                matches!(bytes.first(), Some(0x90..=0x9f | 0xdc | 0xdd))
            }
        };
        is_array.then_some(Self(payload))
    }
}

fn encode(protocol: Protocol, value: &(impl Serialize + ?Sized)) -> Result<Bytes, EncodeError> {
    let mut bytes = Vec::new();
    match protocol {
        Protocol::Json => {
            let mut target = serde_json::Serializer::with_formatter(&mut bytes, Base64);
            value.serialize(&mut target).map_err(EncodeError::Json)?;
        }
        Protocol::MessagePack => {
            value.serialize(Packer(&mut bytes)).map_err(EncodeError::MessagePack)?;
        }
    }
    Ok(bytes.into())
}

/// JSON without blanks, whose bytes are base64.
struct Base64;

impl serde_json::ser::Formatter for Base64 {
    fn write_byte_array<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        write!(writer, "\"{}\"", STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests;
