//! A value of either encoding as serde reads it.
//!
//! One reader for both, so that a type decodes from what any client sends: binary data is bytes or
//! a list of numbers, text is base64 where bytes are wanted, a timestamp is text, and the name of
//! a property may be a number. Recursion is as deep as the type and the value both are.

mod name;

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    de::{
        self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{BorrowedStrDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use self::name::Name;
use super::timestamp::{self, Timestamp};
use crate::signalr::{ReadError, json, msgpack};

/// Why a value is not of the type that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(Box<str>);

/// What is left of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'de> {
    Json(json::Scan<'de>),
    MessagePack(msgpack::Scan<'de>),
}

/// A value without what lies in it.
enum Next<'de> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
    Binary(&'de [u8]),
    Array(Inside),
    Map(Inside),
}

/// How much lies in an array or map.
#[derive(Clone, Copy)]
enum Inside {
    /// So much.
    Counted(usize),
    /// As much as comes before this byte; nothing has come if `first`.
    Until { end: u8, first: bool },
}

/// An array or map on its way.
struct Within<'a, 'de> {
    source: &'a mut Source<'de>,
    inside: Inside,
}

/// A variant with something in it.
struct Variant<'a, 'de>(&'a mut Source<'de>);

type Result<T, E = Mismatch> = std::result::Result<T, E>;

impl<'de> Source<'de> {
    /// That nothing is left.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        let ended = match self {
            Self::Json(scan) => scan.expect_end(),
            Self::MessagePack(scan) => scan.expect_end(),
        };
        ended.map_err(Mismatch::from)
    }

    fn next(&mut self) -> Result<Next<'de>> {
        match self {
            Self::Json(scan) => next_json(scan),
            Self::MessagePack(scan) => next_msgpack(scan),
        }
    }

    fn is_nil(&self) -> bool {
        match *self {
            Self::Json(mut scan) => scan.peek() == Some(b'n'),
            Self::MessagePack(mut scan) => scan.token() == Ok(msgpack::Token::Nil),
        }
    }

    fn array<V: Visitor<'de>>(&mut self, inside: Inside, visitor: V) -> Result<V::Value> {
        let mut within = Within { source: self, inside };
        let value = visitor.visit_seq(&mut within)?;
        within.expect_end()?;
        Ok(value)
    }

    fn map<V: Visitor<'de>>(&mut self, inside: Inside, visitor: V) -> Result<V::Value> {
        let mut within = Within { source: self, inside };
        let value = visitor.visit_map(&mut within)?;
        within.expect_end()?;
        Ok(value)
    }

    fn give<V: Visitor<'de>>(&mut self, next: Next<'de>, visitor: V) -> Result<V::Value> {
        match next {
            Next::Nil => visitor.visit_unit(),
            Next::Bool(value) => visitor.visit_bool(value),
            Next::Unsigned(number) => visitor.visit_u64(number),
            Next::Signed(number) => visitor.visit_i64(number),
            Next::Float(number) => visitor.visit_f64(number),
            Next::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Next::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Next::Binary(bytes) => visitor.visit_borrowed_bytes(bytes),
            Next::Array(inside) => self.array(inside, visitor),
            Next::Map(inside) => self.map(inside, visitor),
        }
    }
}

fn next_json<'de>(scan: &mut json::Scan<'de>) -> Result<Next<'de>> {
    match scan.peek() {
        Some(b'"') => Ok(Next::Text(scan.string()?)),
        Some(b'[') => {
            scan.expect(b'[', "not an array")?;
            Ok(Next::Array(Inside::Until { end: b']', first: true }))
        }
        Some(b'{') => {
            scan.expect(b'{', "not an object")?;
            Ok(Next::Map(Inside::Until { end: b'}', first: true }))
        }
        _ => word(scan.value(0)?),
    }
}

fn word<'de>(word: &str) -> Result<Next<'de>> {
    match word {
        "null" => return Ok(Next::Nil),
        "true" => return Ok(Next::Bool(true)),
        "false" => return Ok(Next::Bool(false)),
        _ => {}
    }
    if let Ok(number) = word.parse() {
        return Ok(Next::Unsigned(number));
    }
    // A zero with a sign has one only as a float.
    if word != "-0"
        && let Ok(number) = word.parse()
    {
        return Ok(Next::Signed(number));
    }
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Next::Float(number)),
        _ => Err(Mismatch::new("a number is out of range")),
    }
}

fn next_msgpack<'de>(scan: &mut msgpack::Scan<'de>) -> Result<Next<'de>> {
    Ok(match scan.token()? {
        msgpack::Token::Nil => Next::Nil,
        msgpack::Token::Bool(value) => Next::Bool(value),
        msgpack::Token::Unsigned(number) => Next::Unsigned(number),
        msgpack::Token::Signed(number) => Next::Signed(number),
        msgpack::Token::Float(number) => Next::Float(number),
        msgpack::Token::Text(text) => {
            let text = str::from_utf8(text).map_err(Mismatch::new)?;
            Next::Text(Cow::Borrowed(text))
        }
        msgpack::Token::Binary(bytes) => Next::Binary(bytes),
        msgpack::Token::Extension(timestamp::EXTENSION, data) => {
            let time = Timestamp::from_data(data);
            let time = time.ok_or_else(|| Mismatch::new("an invalid timestamp"))?;
            Next::Text(Cow::Owned(time.to_string()))
        }
        msgpack::Token::Extension(..) => return Err(Mismatch::new("an unknown extension")),
        msgpack::Token::Array(count) => Next::Array(Inside::Counted(count)),
        msgpack::Token::Map(count) => Next::Map(Inside::Counted(count)),
    })
}

impl<'de> de::Deserializer<'de> for &mut Source<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let next = self.next()?;
        self.give(next, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_nil() {
            self.next()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next()? {
            Next::Text(text) => {
                let bytes = STANDARD.decode(text.as_bytes());
                visitor.visit_byte_buf(bytes.map_err(Mismatch::new)?)
            }
            next => self.give(next, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next()? {
            Next::Binary(bytes) => {
                let mut bytes = SeqDeserializer::<_, Mismatch>::new(bytes.iter().copied());
                let value = visitor.visit_seq(&mut bytes)?;
                bytes.end()?;
                Ok(value)
            }
            next => self.give(next, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.next()? {
            Next::Text(Cow::Borrowed(name)) => {
                visitor.visit_enum(BorrowedStrDeserializer::new(name))
            }
            Next::Text(Cow::Owned(name)) => visitor.visit_enum(name.into_deserializer()),
            Next::Map(inside) => {
                let mut within = Within { source: self, inside };
                if !within.begins_another()? {
                    return Err(Mismatch::new("no variant is named"));
                }
                let value = visitor.visit_enum(Variant(&mut *within.source))?;
                within.expect_end()?;
                Ok(value)
            }
            _ => Err(Mismatch::new("neither a variant's name nor a map")),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide() {
            Some(word) => visitor.visit_i128(word.parse().map_err(Mismatch::new)?),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.wide() {
            Some(word) => visitor.visit_u128(word.parse().map_err(Mismatch::new)?),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self {
            Source::Json(scan) => drop(scan.value(0)?),
            Source::MessagePack(scan) => drop(scan.value(0)?),
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct map struct
        identifier
    }
}

impl<'de> Source<'de> {
    /// A number that may be wider than 64 bits, in words.
    fn wide(&mut self) -> Option<&'de str> {
        let Self::Json(scan) = self else { return None };
        let is_number = matches!(scan.peek(), Some(b'-' | b'0'..=b'9'));
        if is_number { scan.value(0).ok() } else { None }
    }

    fn name(&mut self) -> Result<Name<'de>> {
        Ok(Name(match self {
            Self::Json(scan) => Next::Text(scan.name()?),
            Self::MessagePack(scan) => next_msgpack(scan)?,
        }))
    }
}

impl Within<'_, '_> {
    /// Whether there is another element or pair, of which the beginning is next then.
    fn begins_another(&mut self) -> Result<bool> {
        match (&mut self.inside, &mut *self.source) {
            (Inside::Counted(left), _) => {
                let is_there = *left > 0;
                *left -= usize::from(is_there);
                Ok(is_there)
            }
            (Inside::Until { end, first }, Source::Json(scan)) => {
                let is_there = scan.take_separator(*first, *end)?;
                *first = false;
                if !is_there {
                    self.inside = Inside::Counted(0);
                }
                Ok(is_there)
            }
            (Inside::Until { .. }, Source::MessagePack(_)) => Ok(false),
        }
    }

    fn expect_end(&mut self) -> Result<()> {
        if self.begins_another()? {
            return Err(Mismatch::new("there is more than the type has"));
        }
        Ok(())
    }

    const fn left(&self) -> Option<usize> {
        match self.inside {
            Inside::Counted(left) => Some(left),
            Inside::Until { .. } => None,
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Within<'_, 'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.begins_another()? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.source).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left()
    }
}

impl<'de> MapAccess<'de> for &mut Within<'_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.begins_another()? {
            return Ok(None);
        }
        seed.deserialize(self.source.name()?).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(&mut *self.source)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left()
    }
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a, 'de> {
    type Error = Mismatch;
    type Variant = &'a mut Source<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant)> {
        let name = self.0.name()?;
        Ok((seed.deserialize(name)?, self.0))
    }
}

impl<'de> VariantAccess<'de> for &mut Source<'de> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<()> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_seq(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

impl Mismatch {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().into())
    }
}

impl From<ReadError> for Mismatch {
    fn from(error: ReadError) -> Self {
        Self::new(error)
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what)
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
