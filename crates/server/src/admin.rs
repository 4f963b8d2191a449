//! The admin listener: API under `/api/v1`, publishing under `/api/hubs`, probes, metrics.
//!
//! Its own listener, never the clients' port. No GET changes anything; every error is an RFC 9457
//! problem document. [`guard`] decides who may ask at all.

mod fleet;
mod guard;
mod hubs;
mod nodes;
mod pipes;
mod pools;
mod probes;
mod status;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware,
    routing::{any, delete, get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    node::Node,
    problem::Problem,
    rest::{self, Door},
};

/// The admin listener, bound and not yet answering.
pub(crate) struct AdminListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminListener {
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`; what is being answered then is cut off.
    pub(crate) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        let service = TowerToHyperService::new(router(node));
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            // Finished connections are collected first, so that the set stays as small as it is.
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Beyond the limit a connection is closed at once rather than kept waiting.
            if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                let service = service.clone();
                connections.spawn(async move {
                    serve(stream, service).await;
                    drop(slot);
                });
            }
        }
    }
}

async fn serve(stream: TcpStream, service: TowerToHyperService<Router>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "admin connection ended");
    }
}

fn router(node: Arc<Node>) -> Router {
    let api = Router::new()
        .route("/status", get(status::show))
        .route("/pools", get(pools::list))
        .route("/pools/{pool}/backends", get(pools::list_backends).post(pools::add))
        .route("/pools/{pool}/backends/{id}", delete(pools::remove))
        .route("/pools/{pool}/backends/{id}/drain", post(pools::drain))
        .route("/pools/{pool}/backends/{id}/ready", post(pools::ready))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{id}/drain", post(nodes::drain))
        .route("/hubs", get(hubs::list))
        .route("/hubs/{hub}/connections", get(hubs::list_connections))
        .route("/hubs/{hub}/connections/{id}", delete(hubs::close))
        .route("/hubs/{hub}/groups", get(hubs::list_groups))
        .route("/pipes", get(pipes::list))
        .route("/pipes/{id}", get(pipes::show).delete(pipes::close))
        .merge(fleet::router());
    Router::new()
        .route("/", get(probes::index))
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/metrics", get(probes::metrics))
        .nest("/api/v1", api)
        .route("/api/health", any(data_plane))
        .route("/api/hubs/{*rest}", any(data_plane))
        .fallback(async || Problem::not_found("nothing is here; / lists what there is"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), guard::check))
        .with_state(node)
}

/// The data plane; [`rest`] knows its paths.
async fn data_plane(State(node): State<Arc<Node>>, request: Request) -> rest::Answer {
    rest::answer(&node.hubs, Door::Operators, request).await
}

/// Scrapes, probes and a few operators; far below what the process has in descriptors.
const CONNECTIONS_MAX: usize = 128;

/// How long a request head may take; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest request head.
const HEAD_MAX: usize = 16 << 10;

/// Longest other request body, but for the fleet's: the largest is one backend's description.
const BODY_MAX: usize = 16 << 10;

/// After a failure to accept, which means that descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
