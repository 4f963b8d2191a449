//! A value of the application's as MessagePack, as the other clients write it.
//!
//! Objects have names, and what a type writes as text where people read it, such as an address or
//! a UUID, is text; bytes are binary, a [`Timestamp`] is the extension of that name, and numbers
//! are as short as they can be.

use std::fmt;

use serde::ser::{self, Serialize};

use super::timestamp::{self, Timestamp};
use crate::signalr::msgpack::{
    Scan, Token, write_array, write_binary, write_extension, write_map, write_number, write_signed,
    write_text,
};

/// Why a value cannot be MessagePack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpackable(Box<str>);

/// Where values are appended.
pub(super) struct Packer<'a>(pub(super) &'a mut Vec<u8>);

/// An array or map that has begun.
pub(super) struct Compound<'a> {
    to: &'a mut Vec<u8>,
    /// Where its count belongs, if it was not known at the beginning.
    start: Option<usize>,
    count: usize,
}

type Result<T = (), E = Unpackable> = std::result::Result<T, E>;

impl<'a> Packer<'a> {
    fn array(self, count: Option<usize>) -> Compound<'a> {
        if let Some(count) = count {
            write_array(count, self.0);
        }
        self.compound(count)
    }

    fn map(self, count: Option<usize>) -> Compound<'a> {
        if let Some(count) = count {
            write_map(count, self.0);
        }
        self.compound(count)
    }

    fn compound(self, count: Option<usize>) -> Compound<'a> {
        let start = if count.is_none() { Some(self.0.len()) } else { None };
        Compound { to: self.0, start, count: 0 }
    }

    /// A variant with something in it: a map of its name to that.
    fn variant(self, name: &str) -> Self {
        write_map(1, self.0);
        write_text(name, self.0);
        self
    }

    fn time(self, time: &(impl Serialize + ?Sized)) -> Result {
        let mut text = Vec::new();
        time.serialize(Packer(&mut text))?;
        let time = match Scan::new(&text, 0).token() {
            Ok(Token::Text(text)) => str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        let time: Timestamp = time.ok_or_else(|| Unpackable::new("no time"))?;
        write_extension(timestamp::EXTENSION, &time.to_data(), self.0);
        Ok(())
    }
}

impl<'a> ser::Serializer for Packer<'a> {
    type Ok = ();
    type Error = Unpackable;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn serialize_bool(self, value: bool) -> Result {
        self.0.push(if value { 0xc3 } else { 0xc2 });
        Ok(())
    }

    fn serialize_i8(self, number: i8) -> Result {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result {
        write_signed(number, self.0);
        Ok(())
    }

    fn serialize_i128(self, number: i128) -> Result {
        match i64::try_from(number) {
            Ok(number) => self.serialize_i64(number),
            Err(_) => self.serialize_u64(u64::try_from(number).map_err(Unpackable::new)?),
        }
    }

    fn serialize_u8(self, number: u8) -> Result {
        self.serialize_u64(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result {
        self.serialize_u64(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result {
        self.serialize_u64(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result {
        write_number(number, self.0);
        Ok(())
    }

    fn serialize_u128(self, number: u128) -> Result {
        self.serialize_u64(u64::try_from(number).map_err(Unpackable::new)?)
    }

    fn serialize_f32(self, number: f32) -> Result {
        self.0.push(0xca);
        self.0.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    fn serialize_f64(self, number: f64) -> Result {
        self.0.push(0xcb);
        self.0.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    fn serialize_char(self, letter: char) -> Result {
        self.serialize_str(letter.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result {
        write_text(text, self.0);
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result {
        write_binary(bytes, self.0);
        Ok(())
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.0.push(0xc0);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        if name == timestamp::NAME { self.time(value) } else { value.serialize(self) }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result {
        value.serialize(self.variant(name))
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<Compound<'a>> {
        Ok(self.array(count))
    }

    fn serialize_tuple(self, count: usize) -> Result<Compound<'a>> {
        Ok(self.array(Some(count)))
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<Compound<'a>> {
        Ok(self.array(Some(count)))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        count: usize,
    ) -> Result<Compound<'a>> {
        Ok(self.variant(name).array(Some(count)))
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Compound<'a>> {
        Ok(self.map(count))
    }

    fn serialize_struct(self, _: &'static str, count: usize) -> Result<Compound<'a>> {
        Ok(self.map(Some(count)))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        count: usize,
    ) -> Result<Compound<'a>> {
        Ok(self.variant(name).map(Some(count)))
    }
}

impl Compound<'_> {
    fn add(&mut self, value: &(impl Serialize + ?Sized)) -> Result {
        self.count += 1;
        value.serialize(Packer(self.to))
    }

    fn add_named(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result {
        write_text(name, self.to);
        self.add(value)
    }

    /// Puts the count where it belongs.
    fn finish(self, write: fn(usize, &mut Vec<u8>)) {
        if let Some(start) = self.start {
            let mut header = Vec::new();
            write(self.count, &mut header);
            self.to.splice(start..start, header);
        }
    }
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Unpackable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        key.serialize(Packer(self.to))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.add(value)
    }

    fn end(self) -> Result {
        self.finish(write_map);
        Ok(())
    }
}

macro_rules! compounds {
    ($($of:ident, $method:ident;)*) => {$(
        impl ser::$of for Compound<'_> {
            type Ok = ();
            type Error = Unpackable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.add(value)
            }

            fn end(self) -> Result {
                self.finish(write_array);
                Ok(())
            }
        }
    )*};
}

compounds! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

macro_rules! structs {
    ($($of:ident)*) => {$(
        impl ser::$of for Compound<'_> {
            type Ok = ();
            type Error = Unpackable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result {
                self.add_named(name, value)
            }

            fn end(self) -> Result {
                self.finish(write_map);
                Ok(())
            }
        }
    )*};
}

structs! { SerializeStruct SerializeStructVariant }

impl Unpackable {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().into())
    }
}

impl ser::Error for Unpackable {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what)
    }
}

impl std::error::Error for Unpackable {}

impl fmt::Display for Unpackable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
