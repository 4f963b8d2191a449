//! Functions that can be methods.
//!
//! A method is a function of a [`Context`] and up to eight parameters. The traits here are
//! implemented for those functions by the one macro at the end and for nothing else; `P` stands for
//! the parameters' types, so that the compiler can tell the implementations apart.

use std::future::Future;

use super::{
    context::Context,
    parameter::{Binding, Parameter, Source},
    reply::Reply,
    stream::{EncodedItems, IntoItems},
    work::Answer,
};
use crate::error::HubError;

/// A function that can be a method with one result: of a [`Context`] and at most eight
/// [`Parameter`]s, whose future gives a [`Reply`].
#[diagnostic::on_unimplemented(
    message = "this function cannot be a hub's method",
    note = "it takes a `Context` and up to eight parameters that implement `Parameter`, and \
            returns a `Send` future of `Result<T, HubError>` or of another `Reply`"
)]
pub trait Handler<P>: Send + Sync + 'static {
    /// Where each parameter comes from.
    fn sources(&self) -> &'static [Source];

    /// Begins a call.
    ///
    /// # Errors
    /// If the arguments are not the method's.
    fn call(&self, context: Context, binding: &mut Binding) -> Result<Answer, HubError>;
}

/// A function that can be a method with a stream of results: of a [`Context`] and at most eight
/// [`Parameter`]s, which gives what can be [`EncodedItems`].
#[diagnostic::on_unimplemented(
    message = "this function cannot be a hub's method that streams",
    note = "it takes a `Context` and up to eight parameters that implement `Parameter`, and \
            returns a `Send` stream of `Result<T, HubError>`"
)]
pub trait StreamHandler<P>: Send + Sync + 'static {
    /// Where each parameter comes from.
    fn sources(&self) -> &'static [Source];

    /// Begins a call.
    ///
    /// # Errors
    /// If the arguments are not the method's.
    fn call(&self, context: Context, binding: &mut Binding) -> Result<EncodedItems, HubError>;
}

macro_rules! handlers {
    ($($parameter:ident),*) => {
        impl<F, Fut, R, $($parameter),*> Handler<($($parameter,)*)> for F
        where
            F: Fn(Context, $($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: Reply,
            $($parameter: Parameter,)*
        {
            fn sources(&self) -> &'static [Source] {
                &[$($parameter::SOURCE),*]
            }

            #[allow(unused_variables, non_snake_case, reason = "variables are named like types")]
            fn call(&self, context: Context, binding: &mut Binding) -> Result<Answer, HubError> {
                $(let $parameter = $parameter::bind(binding)?;)*
                let protocol = binding.protocol();
                let work = self(context, $($parameter),*);
                Ok(Answer::new(async move { work.await.encode(protocol) }))
            }
        }

        impl<F, S, Form, $($parameter),*> StreamHandler<(Form, $($parameter,)*)> for F
        where
            F: Fn(Context, $($parameter),*) -> S + Send + Sync + 'static,
            S: IntoItems<Form>,
            $($parameter: Parameter,)*
        {
            fn sources(&self) -> &'static [Source] {
                &[$($parameter::SOURCE),*]
            }

            #[allow(unused_variables, non_snake_case, reason = "variables are named like types")]
            fn call(&self, context: Context, binding: &mut Binding) -> Result<EncodedItems, HubError> {
                $(let $parameter = $parameter::bind(binding)?;)*
                Ok(self(context, $($parameter),*).into_items(binding.protocol()))
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);
handlers!(A, B, C, D, E);
handlers!(A, B, C, D, E, G);
handlers!(A, B, C, D, E, G, H);
handlers!(A, B, C, D, E, G, H, I);
