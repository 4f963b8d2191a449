//! What a method may return.

use std::collections::{BTreeMap, HashMap};

use everwire_proto::signalr::{Protocol, payload::Payload};
use serde::Serialize;

use super::parameter::Opaque;
use crate::error::HubError;

/// What a method may return: `Result<T, HubError>` with any `T` that can be serialised, or, where
/// it cannot fail, one of the standard library's types as it is.
///
/// Not every type that can be serialised, because then the compiler could not tell which error is
/// meant in a closure that ends in `Ok(())`.
#[diagnostic::on_unimplemented(
    message = "a method cannot return `{Self}`",
    note = "return `Result<T, HubError>`, for instance `Ok(value)`"
)]
pub trait Reply {
    /// The result in a client's encoding.
    ///
    /// # Errors
    /// The method's own, or that its result cannot be encoded.
    fn encode(self, protocol: Protocol) -> Result<Payload, HubError>;
}

impl<T: Serialize> Reply for Result<T, HubError> {
    fn encode(self, protocol: Protocol) -> Result<Payload, HubError> {
        Ok(Payload::encode(protocol, &self?)?)
    }
}

impl Reply for Result<Opaque, HubError> {
    fn encode(self, protocol: Protocol) -> Result<Payload, HubError> {
        self?.encode(protocol)
    }
}

impl Reply for Opaque {
    fn encode(self, _: Protocol) -> Result<Payload, HubError> {
        Ok(self.0)
    }
}

macro_rules! replies {
    ($([$($parameter:ident),*] $type:ty;)*) => {$(
        impl<$($parameter: Serialize),*> Reply for $type {
            fn encode(self, protocol: Protocol) -> Result<Payload, HubError> {
                Ok(Payload::encode(protocol, &self)?)
            }
        }
    )*};
}

replies! {
    [] ();
    [] bool;
    [] i8; [] i16; [] i32; [] i64;
    [] u8; [] u16; [] u32; [] u64; [] usize;
    [] f32; [] f64;
    [] String; [] &'static str; [] Box<str>;
    [T] Option<T>; [T] Vec<T>; [K, V] BTreeMap<K, V>; [K, V] HashMap<K, V>;
    [A, B] (A, B); [A, B, C] (A, B, C);
}
