//! What an application lets a server call: closures of typed parameters.

use std::{fmt::Display, future::ready, pin::Pin};

use everwire_proto::signalr::{
    Protocol,
    payload::{Arguments, DecodeError, Payload},
};
use serde::{Serialize, de::DeserializeOwned};

/// A closure that takes what a server calls it with.
///
/// It has up to eight parameters of types that serde decodes, which must be written down, and gives
/// an [`IntoAnswer`] or a future of one. `Signature` tells such closures apart and is inferred. An
/// argument that the server does not send is null, so that an `Option` takes it; one too many is
/// ignored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    note = "a handler is a closure of up to eight typed parameters that gives `()`, an `Answer`, a \
            `Result` of these, or a future of one"
)]
pub trait Handler<Signature>: Send + Sync + 'static {
    /// Calls it with these arguments.
    ///
    /// # Errors
    /// If they are of other types.
    fn call(&self, arguments: &Arguments, protocol: Protocol) -> Result<Answering, DecodeError>;
}

/// What a handler gives: nothing, an [`Answer`], or a `Result` of one of these, whose error goes to
/// the server in words.
pub trait IntoAnswer {
    /// The result for the server: `None` if there is none.
    ///
    /// # Errors
    /// The handler's error in words, or that its answer cannot be encoded.
    fn into_answer(self, protocol: Protocol) -> Result<Option<Payload>, Box<str>>;
}

/// A result for a server that waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<T>(pub T);

/// A handler at work.
pub type Answering = Pin<Box<dyn Future<Output = Result<Option<Payload>, Box<str>>> + Send>>;

/// Marks a closure that gives its answer at once.
#[derive(Debug)]
pub struct AtOnce<Parameters>(Parameters);

/// Marks a closure that gives a future of its answer.
#[derive(Debug)]
pub struct Later<Parameters>(Parameters);

impl IntoAnswer for () {
    fn into_answer(self, _protocol: Protocol) -> Result<Option<Payload>, Box<str>> {
        Ok(None)
    }
}

impl<T: Serialize> IntoAnswer for Answer<T> {
    fn into_answer(self, protocol: Protocol) -> Result<Option<Payload>, Box<str>> {
        Payload::encode(protocol, &self.0).map(Some).map_err(|error| error.to_string().into())
    }
}

impl<A: IntoAnswer, E: Display> IntoAnswer for Result<A, E> {
    fn into_answer(self, protocol: Protocol) -> Result<Option<Payload>, Box<str>> {
        self.map_err(|error| error.to_string().into())
            .and_then(|answer| answer.into_answer(protocol))
    }
}

/// The next argument as this type.
fn next<T: DeserializeOwned>(
    arguments: &mut impl Iterator<Item = Payload>,
) -> Result<T, DecodeError> {
    arguments.next().unwrap_or(Payload::null()).decode()
}

/// A function cannot be generic over how many parameters a closure has.
macro_rules! handler_of {
    ($($parameter:ident),*) => {
        impl<F, A, $($parameter,)*> Handler<AtOnce<($($parameter,)*)>> for F
        where
            F: Fn($($parameter),*) -> A + Send + Sync + 'static,
            A: IntoAnswer,
            $($parameter: DeserializeOwned,)*
        {
            #[allow(
                non_snake_case,
                unused_mut,
                unused_variables,
                reason = "a parameter is named after its type, and there may be none"
            )]
            fn call(
                &self,
                arguments: &Arguments,
                protocol: Protocol,
            ) -> Result<Answering, DecodeError> {
                let mut arguments = arguments.iter();
                $(let $parameter = next(&mut arguments)?;)*
                Ok(Box::pin(ready(self($($parameter),*).into_answer(protocol))))
            }
        }

        impl<F, T, $($parameter,)*> Handler<Later<($($parameter,)*)>> for F
        where
            F: Fn($($parameter),*) -> T + Send + Sync + 'static,
            T: Future<Output: IntoAnswer> + Send + 'static,
            $($parameter: DeserializeOwned,)*
        {
            #[allow(
                non_snake_case,
                unused_mut,
                unused_variables,
                reason = "a parameter is named after its type, and there may be none"
            )]
            fn call(
                &self,
                arguments: &Arguments,
                protocol: Protocol,
            ) -> Result<Answering, DecodeError> {
                let mut arguments = arguments.iter();
                $(let $parameter = next(&mut arguments)?;)*
                let answer = self($($parameter),*);
                Ok(Box::pin(async move { answer.await.into_answer(protocol) }))
            }
        }
    };
}

handler_of!();
handler_of!(A1);
handler_of!(A1, A2);
handler_of!(A1, A2, A3);
handler_of!(A1, A2, A3, A4);
handler_of!(A1, A2, A3, A4, A5);
handler_of!(A1, A2, A3, A4, A5, A6);
handler_of!(A1, A2, A3, A4, A5, A6, A7);
handler_of!(A1, A2, A3, A4, A5, A6, A7, A8);
