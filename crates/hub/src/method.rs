//! The methods of a hub: how applications write them, and how they are found and called.
//!
//! A method is a function, as in axum: of a [`Context`], which says who calls, and of up to eight
//! [`Parameter`]s, which are the call's arguments in their order, with an [`Upload`](crate::Upload)
//! wherever the client sends a stream. It returns a [`Reply`], or streams [items](IntoItems).
//! [`Methods`] keeps them without their types. It is found by what a client calls it, whatever the
//! case of the letters, and [`begin`](Methods::begin) turns a call into [`Work`], which its
//! connection drives. Which call may begin when is not decided here but in
//! [`dispatch`](crate::dispatch).

mod context;
mod handler;
mod name;
mod parameter;
mod reply;
mod stream;
mod work;

use std::{fmt, marker::PhantomData, sync::Arc};

use everwire_proto::signalr::{Protocol, payload::Arguments};

pub(crate) use self::context::Turn;
pub use self::{
    context::{Claims, Context, Items},
    handler::{Handler, StreamHandler},
    parameter::{Binding, Opaque, Parameter, Source, Untouched},
    reply::Reply,
    stream::{Channel, EncodedItems, Fallible, IntoItems, ItemSender, Later, Plain, produce},
    work::{Answer, ItemStream, Work},
};
use self::{name::Folded, work::guarded};
use crate::{
    dispatch::{Answers, Found, MethodId, Signature},
    error::{ErrorDetail, Failure, HubError},
    identity::Identity,
    upload::Feeder,
};

/// The methods of a hub; see [`builder`](Self::builder).
#[derive(Debug)]
pub struct Methods {
    methods: Vec<Method>,
    /// What they are called by, in order.
    names: Vec<(Folded, MethodId)>,
    hub_policies: Vec<Policy>,
    detail: ErrorDetail,
}

/// Methods on their way into a hub.
#[derive(Debug, Default)]
pub struct MethodsBuilder {
    methods: Vec<Method>,
    aliases: Vec<(Box<str>, Box<str>)>,
    policies: Vec<(Box<str>, Policy)>,
    hub_policies: Vec<Policy>,
    detail: ErrorDetail,
}

/// A call that has begun.
#[derive(Debug)]
pub struct Begun {
    /// What is to be driven to its end.
    pub work: Work,
    /// The connection's ends of the call's uploads, in the order of its stream ids.
    pub feeders: Vec<Feeder>,
}

/// A mistake of the application with its methods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MethodsError {
    /// Two methods are called by one name.
    #[error("Duplicate definitions of '{0}'. Overloading is not supported.")]
    Duplicate(Box<str>),
    /// A policy or another name is for a method that there is not.
    #[error("There is no method '{0}'.")]
    Unknown(Box<str>),
}

struct Method {
    name: Box<str>,
    signature: Signature,
    policies: Vec<Policy>,
    begin: Box<dyn Begin>,
}

/// A method without its types.
trait Begin: Send + Sync {
    fn begin(&self, context: Context, binding: &mut Binding) -> Result<Work, HubError>;
}

/// A method with one result, and the parameters that it is known by.
struct Answering<H, P>(H, PhantomData<fn(P)>);

/// A method with a stream of results, and the parameters that it is known by.
struct Streaming<H, P>(H, PhantomData<fn(P)>);

/// Who may call.
#[derive(Clone)]
struct Policy(Arc<dyn Fn(&Identity) -> bool + Send + Sync>);

impl Methods {
    /// No methods yet.
    ///
    /// ```
    /// use everwire_hub::{Context, HubError, Methods};
    ///
    /// let methods = Methods::builder()
    ///     .method("Add", |_: Context, a: i64, b: i64| async move { a + b })
    ///     .method("Divide", |_: Context, a: i64, b: i64| async move {
    ///         let quotient = a.checked_div(b).ok_or_else(|| HubError::new("Not by zero."))?;
    ///         Ok(quotient)
    ///     })
    ///     .authorize("Divide", |client| client.claims.has("role", "mathematician"))
    ///     .build()
    ///     .unwrap();
    /// assert_eq!(methods.names().collect::<Vec<_>>(), ["Add", "Divide"]);
    /// ```
    pub fn builder() -> MethodsBuilder {
        MethodsBuilder::default()
    }

    /// The methods' own names, without the others that they go by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.iter().map(|method| &*method.name)
    }

    /// A method's own name: unlike what a client calls it, one of a closed set, and so fit to be a
    /// label.
    pub fn name(&self, id: MethodId) -> Option<&str> {
        self.methods.get(id.0).map(|method| &*method.name)
    }

    /// How much clients are told of errors.
    pub const fn detail(&self) -> ErrorDetail {
        self.detail
    }

    /// Whether the hub lets this client in at all.
    pub fn admits(&self, client: &Identity) -> bool {
        allowed(&self.hub_policies, client)
    }

    /// The method that a client calls `target`, in any case, and whether it may.
    pub fn find(&self, target: &str, client: &Identity) -> Found {
        let Some(id) = self.named(target) else { return Found::Nothing };
        let method = &self.methods[id.0];
        if !allowed(&method.policies, client) {
            return Found::Forbidden;
        }
        Found::Method(id, method.signature)
    }

    /// Begins a call of a method that was found: binds the arguments and has the method started.
    ///
    /// # Errors
    /// If the arguments are not those of the method, or it panics before it has begun.
    pub fn begin(
        &self,
        id: MethodId,
        arguments: &Arguments,
        context: Context,
        protocol: Protocol,
    ) -> Result<Begun, Failure> {
        let method = &self.methods[id.0];
        let (mut binding, feeders) =
            Binding::new(arguments, method.signature, protocol, self.detail)
                .map_err(Failure::Binding)?;
        let begun = guarded(|| method.begin.begin(context, &mut binding));
        let work = begun.map_err(Failure::Invoking)?.map_err(Failure::Binding)?;
        Ok(Begun { work, feeders })
    }
}

impl MethodsBuilder {
    /// A method with one result. Clients call it by `name` in any case.
    #[must_use]
    pub fn method<P: 'static>(self, name: impl Into<Box<str>>, handler: impl Handler<P>) -> Self {
        let sources = handler.sources();
        let begin = Box::new(Answering(handler, PhantomData));
        self.add(name.into(), Answers::Once, sources, begin)
    }

    /// A method with a stream of results. Clients call it by `name` in any case.
    #[must_use]
    pub fn stream<P: 'static>(
        self,
        name: impl Into<Box<str>>,
        handler: impl StreamHandler<P>,
    ) -> Self {
        let sources = handler.sources();
        let begin = Box::new(Streaming(handler, PhantomData));
        self.add(name.into(), Answers::Stream, sources, begin)
    }

    /// Another name for a method.
    #[must_use]
    pub fn alias(mut self, method: impl Into<Box<str>>, alias: impl Into<Box<str>>) -> Self {
        self.aliases.push((method.into(), alias.into()));
        self
    }

    /// Lets only those call a method whom `policy` allows; with several policies, all must. It is
    /// asked for each call, before anything of the arguments is looked at.
    #[must_use]
    pub fn authorize(
        mut self,
        method: impl Into<Box<str>>,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.policies.push((method.into(), Policy(Arc::new(policy))));
        self
    }

    /// Lets only those into the hub whom `policy` allows; with several policies, all must.
    #[must_use]
    pub fn authorize_hub(
        mut self,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hub_policies.push(Policy(Arc::new(policy)));
        self
    }

    /// How much clients are told of errors; by default that there was one.
    #[must_use]
    pub const fn error_detail(mut self, detail: ErrorDetail) -> Self {
        self.detail = detail;
        self
    }

    /// The methods, in their hub's hands from now on.
    ///
    /// # Errors
    /// If two methods go by one name, or something is said of a method that there is not.
    pub fn build(self) -> Result<Methods, MethodsError> {
        let Self { methods, aliases, policies, hub_policies, detail } = self;
        let mut built = Methods { methods, names: Vec::new(), hub_policies, detail };
        for index in 0..built.methods.len() {
            let name = built.methods[index].name.clone();
            built.call_it(&name, MethodId(index))?;
        }
        for (method, alias) in aliases {
            let id = built.named(&method).ok_or(MethodsError::Unknown(method))?;
            built.call_it(&alias, id)?;
        }
        for (method, policy) in policies {
            let id = built.named(&method).ok_or(MethodsError::Unknown(method))?;
            built.methods[id.0].policies.push(policy);
        }
        Ok(built)
    }

    fn add(
        mut self,
        name: Box<str>,
        answers: Answers,
        sources: &[Source],
        begin: Box<dyn Begin>,
    ) -> Self {
        let count = |wanted| sources.iter().filter(|source| **source == wanted).count();
        let is_open = count(Source::Everything) > 0;
        let arguments = (!is_open).then(|| count(Source::Argument));
        let signature = Signature { answers, arguments, uploads: count(Source::Upload) };
        self.methods.push(Method { name, signature, policies: Vec::new(), begin });
        self
    }
}

impl Methods {
    fn named(&self, name: &str) -> Option<MethodId> {
        let at = self.names.binary_search_by(|(there, _)| there.compare(name)).ok()?;
        Some(self.names[at].1)
    }

    fn call_it(&mut self, name: &str, id: MethodId) -> Result<(), MethodsError> {
        match self.names.binary_search_by(|(there, _)| there.compare(name)) {
            Ok(_) => Err(MethodsError::Duplicate(name.into())),
            Err(at) => {
                self.names.insert(at, (Folded::new(name), id));
                Ok(())
            }
        }
    }
}

impl<H: Handler<P>, P> Begin for Answering<H, P> {
    fn begin(&self, context: Context, binding: &mut Binding) -> Result<Work, HubError> {
        self.0.call(context, binding).map(Work::Answer)
    }
}

impl<H: StreamHandler<P>, P> Begin for Streaming<H, P> {
    fn begin(&self, context: Context, binding: &mut Binding) -> Result<Work, HubError> {
        let canceled = context.cancellation();
        let items = self.0.call(context, binding)?;
        Ok(Work::Stream(ItemStream::new(items, canceled)))
    }
}

fn allowed(policies: &[Policy], client: &Identity) -> bool {
    policies.iter().all(|policy| policy.0(client))
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, signature, policies, begin: _ } = self;
        let mut shown = f.debug_struct("Method");
        shown.field("name", name).field("signature", signature).field("policies", &policies.len());
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
