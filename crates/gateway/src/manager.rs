//! Opening pipes: from a client's handshake to a running pipe.

use std::{net::SocketAddr, sync::Arc};

use everwire_proto::ws::upgrade::{Forwarded, Refusal, Scheme, UpgradeRequest, client_response};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    config::{BackendConfig, PoolConfig, RouteConfig},
    dial::Leg,
    gateway::{Admission, Gateway, GatewayConfig},
    pipe::PersistentPipe,
    pool::{BackendId, Pool, PoolError},
    route::Route,
};

/// Opens pipes by one set of rules towards one pool. Cheap to clone; clones share everything.
///
/// This is the first way to use the gateway as a library: give it the handshakes that a server of
/// yours receives, and run the pipes it opens. [`crate::InterruptibleProxy`] is the second.
#[derive(Debug, Clone)]
pub struct PipeManager {
    pub(crate) route: Arc<Route>,
}

/// Where a handshake came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub scheme: Scheme,
}

/// A pipe whose backend has said yes; the client waits for its 101.
#[derive(Debug)]
pub struct Opened {
    pub(crate) request: UpgradeRequest,
    pub(crate) leg: Leg,
    admission: Admission,
    forwarded: Forwarded,
    session: u128,
    client: SocketAddr,
    route: Arc<Route>,
}

/// Why a backend cannot be added or removed.
#[derive(Debug, Error)]
pub enum BackendError {
    /// The URL cannot be used.
    #[error("backend url {url:?}: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The pool refuses.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// There is no such backend.
    #[error("no backend {url:?} in this pool")]
    Unknown {
        /// What was given.
        url: String,
    },
}

impl PipeManager {
    /// A manager with a pool and a gateway of its own, for use in another program.
    pub fn new(config: RouteConfig) -> Self {
        let pool = Pool::new("default", PoolConfig::default());
        Self::with(Gateway::new(GatewayConfig::default()), pool, "default", config)
    }

    /// A manager for one of several routes that share a gateway, and perhaps a pool.
    pub fn with(gateway: Gateway, pool: Pool, name: &str, config: RouteConfig) -> Self {
        let config = Arc::new(config);
        Self { route: Arc::new(Route::new(name, config, pool, gateway)) }
    }

    /// The gateway that the pipes belong to.
    pub fn gateway(&self) -> &Gateway {
        &self.route.gateway
    }

    /// The pool that backends are chosen from.
    pub fn pool(&self) -> &Pool {
        &self.route.pool
    }

    /// Adds a backend, `ws://host:port` with or without a path.
    ///
    /// # Errors
    /// A URL that cannot be used, or that is in the pool already.
    pub fn add_backend(&self, url: &str) -> Result<BackendId, BackendError> {
        let parsed = url
            .parse()
            .map_err(|error| BackendError::Url { url: url.to_owned(), why: format!("{error}") })?;
        Ok(self.route.pool.add_backend(BackendConfig::new(parsed))?)
    }

    /// Removes a backend after moving its pipes to others; every question asked before is
    /// answered. Returns once no pipe uses it, at most about `drain_max` later.
    ///
    /// # Errors
    /// There is no such backend.
    pub async fn remove_backend(&self, url: &str) -> Result<(), BackendError> {
        let unknown = || BackendError::Unknown { url: url.to_owned() };
        let id = self.route.pool.find(url).ok_or_else(unknown)?;
        Ok(self.route.gateway.remove_backend(&self.route.pool, id).await?)
    }

    /// Opens a pipe: chooses a backend and opens the first leg to it.
    ///
    /// On success the caller sends [`Opened::response_head`] and then runs the pipe. Dropping the
    /// future, or what it gives, leaves nothing behind.
    ///
    /// # Errors
    /// The HTTP response for the client: 403 for a foreign origin, 503 without a place or a
    /// backend, or whatever the backend itself answered.
    pub async fn open(
        &self,
        request: UpgradeRequest,
        client: ClientInfo,
    ) -> Result<Opened, Refusal> {
        let opened = self.try_open(request, client).await;
        opened.inspect_err(|refusal| self.gateway().metrics().refused(refusal.status))
    }

    async fn try_open(
        &self,
        request: UpgradeRequest,
        client: ClientInfo,
    ) -> Result<Opened, Refusal> {
        self.check_origin(request.origin())?;
        let admission = self.route.gateway.admit()?;
        let forwarded = Forwarded::new(&request, client.scheme);
        let session = rand::random();
        let leg = self.route.dial_first(&request, &forwarded, client.address.ip(), session).await?;
        let (route, client) = (self.route.clone(), client.address);
        Ok(Opened { request, leg, admission, forwarded, session, client, route })
    }

    /// Browsers name the page that connects; other clients name none and are let in.
    pub(crate) fn check_origin(&self, origin: Option<&str>) -> Result<(), Refusal> {
        let allowed = &self.route.config.origins;
        match origin {
            Some(origin) if !allowed.is_empty() => {
                let known = allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
                if known { Ok(()) } else { Err(Refusal::new(403, "origin not allowed")) }
            }
            _ => Ok(()),
        }
    }
}

impl Opened {
    /// The 101 for the client, to be sent before the pipe is run.
    pub fn response_head(&self) -> Vec<u8> {
        client_response(&self.request, &self.leg.welcome)
    }

    /// The pipe over the client's connection. `read_ahead` is what came after the client's head.
    pub fn into_pipe<S>(self, stream: S, read_ahead: &[u8]) -> PersistentPipe<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Self { leg, admission, forwarded, session, client, route, .. } = self;
        let handle = admission.register(
            client,
            forwarded,
            leg.welcome.agreed.clone(),
            session,
            route.clone(),
        );
        PersistentPipe::new(stream, read_ahead, leg, handle, route)
    }
}
