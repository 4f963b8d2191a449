//! Requests to other nodes, over connections that are kept for a while.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// What is brought to another node.
pub(crate) type PeerBody = UnsyncBoxBody<Bytes, io::Error>;

/// All other nodes.
pub(super) struct Peers(Client<HttpConnector, PeerBody>);

/// A node does not answer.
#[derive(Debug, thiserror::Error)]
#[error("a node does not answer: {0}")]
pub(crate) struct Unreachable(#[from] hyper_util::client::legacy::Error);

impl Peers {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_MAX));
        connector.set_keepalive(Some(SILENCE_MAX));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(SILENCE_MAX));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_MAX);
        client.pool_max_idle_per_host(IDLE_COUNT_MAX);
        Self(client.build(connector))
    }

    pub(super) async fn ask(
        &self,
        request: Request<PeerBody>,
    ) -> Result<Response<Incoming>, Unreachable> {
        Ok(self.0.request(request).await?)
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

/// How long a node may take to accept: it is near, or it is down.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// After which a node that says nothing at all, not even that it has heard, is given up.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody uses; nodes keep their end longer.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connections to one node that are kept so.
const IDLE_COUNT_MAX: usize = 64;
