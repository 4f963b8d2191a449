//! A hub on its way: its methods, what it does for whom, and its limits.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    thread::available_parallelism,
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Hub, Inner, Running};
use crate::{
    config::HubConfig,
    end::End,
    error::{ErrorDetail, HubError},
    events::Events,
    identity::{Authenticate, Denied, Identity},
    keepers::Keepers,
    method::{Context, Handler, MethodsBuilder, MethodsError, StreamHandler},
    raw::{RawHandler, RawSocket},
    redirect::{Redirect, Redirects},
    request::ClientRequest,
    shard::ShardHandle,
    standing::Standing,
};

/// A hub on its way.
#[derive(Default)]
pub struct HubBuilder {
    config: HubConfig,
    shards: Option<NonZeroUsize>,
    methods: MethodsBuilder,
    authenticate: Option<Authenticate>,
    events: Events,
    raw: Option<RawHandler>,
    redirects: Option<Redirects>,
}

impl HubBuilder {
    /// Sets limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: HubConfig) -> Self {
        self.config = config;
        self
    }

    /// How many shards there are. Default: one per processor.
    #[must_use]
    pub const fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// A method with one result: a function of a [`Context`] and of up to eight
    /// [parameters](crate::method::Parameter). Clients call it by `name` in any case.
    #[must_use]
    pub fn method<P: 'static>(
        mut self,
        name: impl Into<Box<str>>,
        handler: impl Handler<P>,
    ) -> Self {
        self.methods = self.methods.method(name, handler);
        self
    }

    /// A method with a stream of results. Clients call it by `name` in any case.
    #[must_use]
    pub fn stream<P: 'static>(
        mut self,
        name: impl Into<Box<str>>,
        handler: impl StreamHandler<P>,
    ) -> Self {
        self.methods = self.methods.stream(name, handler);
        self
    }

    /// Another name for a method.
    #[must_use]
    pub fn alias(mut self, method: impl Into<Box<str>>, alias: impl Into<Box<str>>) -> Self {
        self.methods = self.methods.alias(method, alias);
        self
    }

    /// Lets only those clients call a method whom `policy` allows; with several, all must.
    #[must_use]
    pub fn authorize(
        mut self,
        method: impl Into<Box<str>>,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.methods = self.methods.authorize(method, policy);
        self
    }

    /// Lets only those clients in whom `policy` allows; with several, all must.
    #[must_use]
    pub fn authorize_hub(
        mut self,
        policy: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.methods = self.methods.authorize_hub(policy);
        self
    }

    /// Asks for each request who the client is. Without this nobody is anybody in particular.
    #[must_use]
    pub fn authenticate<F>(
        mut self,
        ask: impl Fn(Arc<ClientRequest>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Identity, Denied>> + Send + 'static,
    {
        self.authenticate = Some(Authenticate::by(ask));
        self
    }

    /// Asks for each negotiation, once the client may come in, whether it is to negotiate elsewhere.
    /// Clients begin here again whenever they reconnect, so this can balance load and empty a
    /// node; a hub that [takes no more clients](Hub::refuse_new) is asked too. Who opens a
    /// WebSocket without negotiation is not redirected.
    #[must_use]
    pub fn redirect<F>(
        mut self,
        ask: impl Fn(Arc<ClientRequest>, Identity) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Redirect>> + Send + 'static,
    {
        self.redirects = Some(Redirects::by(ask));
        self
    }

    /// Gives connections to a handler as they are, without a hub protocol: no methods, no groups, no
    /// broadcasts. The connection ends with the handler, with an error if that has one; a handler
    /// whose client has gone hears no more and ends by itself.
    #[must_use]
    pub fn raw<F>(mut self, handler: impl Fn(RawSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.raw = Some(RawHandler::by(handler));
        self
    }

    /// What is done when a client has come, before any of its calls. An error turns it away.
    #[must_use]
    pub fn connected<F>(mut self, greet: impl Fn(Context) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HubError>> + Send + 'static,
    {
        self.events.on_connected(greet);
        self
    }

    /// What is done when a client has gone that had come: once for each, however it went, as long
    /// as its runtime lives.
    #[must_use]
    pub fn disconnected<F>(
        mut self,
        leave: impl Fn(Context, End) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.events.on_disconnected(leave);
        self
    }

    /// The hub.
    ///
    /// # Errors
    /// If two methods go by one name, or something is said of a method that there is not.
    pub fn build(self) -> Result<Hub, MethodsError> {
        let Self { config, shards, methods, authenticate, events, raw, redirects } = self;
        let detail = if config.detailed_errors { ErrorDetail::Shown } else { ErrorDetail::Hidden };
        let methods = methods.error_detail(detail).build()?;
        let asks = config.asked_max.min(Semaphore::MAX_PERMITS);
        let processors = || available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let shards = shards.unwrap_or_else(processors).get();
        let bytes_max = config.stateful_total_max;
        let shards: Box<[Arc<ShardHandle>]> = (0..shards).map(|_| Arc::default()).collect();
        let standing = Arc::new(Standing::new(shards.clone(), &config));
        Ok(Hub(Arc::new(Inner {
            config: Arc::new(config),
            shards,
            directory: Arc::default(),
            standing,
            methods,
            authenticate,
            events,
            raw,
            redirects,
            keepers: Arc::new(Keepers::new(bytes_max)),
            questions: AtomicU64::new(1),
            asks: Arc::new(Semaphore::new(asks)),
            refuses_new: AtomicBool::new(false),
            stop: CancellationToken::new(),
            running: Mutex::new(Running::NotYet),
            next_shard: AtomicUsize::new(0),
        })))
    }
}

impl fmt::Debug for HubBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
