//! The name of a property as serde reads it: text, or the number that the text or the name is.

use serde::{
    de::{self, Visitor, value::StringDeserializer},
    forward_to_deserialize_any,
};

use super::{Mismatch, Next, Result, Source, word};
use crate::signalr::msgpack;

/// The name of a property.
pub(super) struct Name<'de>(pub(super) Next<'de>);

impl<'de> Name<'de> {
    /// The number that the name is, if it is one.
    fn number(self) -> Next<'de> {
        match self.0 {
            Next::Text(text) => match word(&text) {
                Ok(number) if !matches!(number, Next::Nil) => number,
                _ => Next::Text(text),
            },
            other => other,
        }
    }
}

macro_rules! names {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            Name(self.number()).deserialize_any(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Name<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if matches!(self.0, Next::Array(_) | Next::Map(_)) {
            return Err(Mismatch::new("a property is named by more than a word"));
        }
        // Nothing lies in what is left, so nothing is read from here.
        Source::MessagePack(msgpack::Scan::new(&[], 0)).give(self.0, visitor)
    }

    // What is text where names must be may be a number where they need not.
    names! {
        deserialize_bool
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.0 {
            Next::Text(name) => visitor.visit_enum(StringDeserializer::new(name.into_owned())),
            _ => Err(Mismatch::new("no variant is named")),
        }
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any i128 u128
    }
}
