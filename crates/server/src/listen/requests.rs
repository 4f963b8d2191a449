//! A connection that carries requests: for hubs, for routes, one after the other.
//!
//! hyper answers them, as many as the client likes. A load balancer sends over one connection what
//! comes from many, so that each request is led anew, and may still open a session.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::body::Body;
use everwire_fleet::FleetBody;
use everwire_gateway::{ClientInfo, HttpBody, Scheme};
use everwire_hub::HubBody;
use everwire_proto::ws::upgrade::speaks_of_websocket;
use http::{HeaderValue, Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::Either;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;

use super::{
    handshake::NO_ROUTE,
    judged::Judged,
    shard::{Shard, Slot},
    stream::ClientStream,
    unconfirmed::{Observed, Unconfirmed},
};
use crate::{
    node::{Found, Phase},
    rest::{self, Door},
};

/// The body of a hub's answer, or of the fleet's.
type OwnBody = Either<HubBody, FleetBody>;

/// The body of such an answer, of one to who publishes to a hub, or of a route's.
type AnyBody = Either<OwnBody, Either<Body, HttpBody>>;

/// A connection whose first head has been read.
pub(super) struct Visit {
    /// Who asks.
    pub(super) peer: SocketAddr,
    /// The head of the first request.
    pub(super) head: Vec<u8>,
    /// What came behind it.
    pub(super) held: Vec<u8>,
}

/// Serves the connection in a task of its own. `send_timeout` is how long its client may take
/// nothing of what it is sent.
pub(super) fn serve(
    stream: TcpStream,
    visit: Visit,
    send_timeout: Duration,
    slot: Slot,
    shard: &Shard,
) {
    // Whoever takes nothing of an answer would keep its place, and a backend's, for ever.
    if let Err(error) = set_tcp_user_timeout(&stream, user_timeout(send_timeout)) {
        tracing::debug!(%error, "a client that takes no answer is not found out");
    }
    let Visit { peer, mut head, held } = visit;
    head.extend_from_slice(&held);
    let gateway = shard.node.gateway.clone();
    let judged = Judged::new(ClientStream::new(stream, slot), head, gateway);
    let serving = answer_all(judged, peer, shard.clone());
    shard.tasks.spawn(shard.node.hubs.requests.track_future(serving));
}

/// Answers one request after the other until the client has no more, or the node stops.
async fn answer_all(stream: Judged, peer: SocketAddr, shard: Shard) {
    let stop = shard.node.hubs.stop.clone();
    let last = Unconfirmed::default();
    let stream = Observed::new(stream, last.clone());
    let service = service_fn(move |request| {
        last.confirm();
        let (answering, last) = (answer(shard.clone(), peer, request), last.clone());
        async move {
            let mut response = answering.await?;
            last.answer(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX).max_buf_size(BUFFER_MAX);
    let mut connection =
        std::pin::pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's requests ended");
    }
}

async fn answer(
    shard: Shard,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<AnyBody>, Infallible> {
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let wants_session = speaks_of_websocket(fields);
    let mut response = match shard.desk.find(request.uri().path()) {
        None => of_no_hub(&shard, peer, request).await.map(Either::Right),
        Some(found) => {
            let response = of_found(&found, request).await;
            if response.status().is_client_error() || response.status().is_server_error() {
                found.refused().inc();
            }
            response.map(Either::Left)
        }
    };
    let refused = wants_session && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    // What stands behind a handshake was not judged as a request. A node that stops has no more
    // answers, and says so while it has one.
    if refused || shard.node.phase() == Phase::Stopping {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response)
}

/// Answers who asks a hub, or the fleet.
async fn of_found(found: &Found<'_>, request: Request<Incoming>) -> Response<OwnBody> {
    match found {
        Found::Hub(_, service) => service.handle(request).await.map(Either::Left),
        Found::Fleet(_, service) => service.handle(request).await.map(Either::Right),
    }
}

/// Answers who publishes, and whoever asks for a route.
async fn of_no_hub(
    shard: &Shard,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Either<Body, HttpBody>> {
    let hubs = &shard.node.hubs;
    let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    if rest::is_for(hubs, target) {
        return rest::answer(hubs, Door::Clients, request).await.map(Either::Left);
    }
    pass_on(shard, peer, request).await.map(Either::Right)
}

/// Answers a request that is for no hub as its route does, with a session if that is wanted.
async fn pass_on(
    shard: &Shard,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<HttpBody> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let routes = shard.node.routes();
    let Some(routed) = routes.find(host.unwrap_or_default(), request.uri().path()) else {
        return no_route(shard);
    };
    let from = ClientInfo { address: peer, scheme: Scheme::Http };
    let (response, pipe) = routed.manager.answer(request, from).await;
    if let Some(pipe) = pipe {
        shard.tasks.spawn(pipe);
    }
    response
}

fn no_route(shard: &Shard) -> Response<HttpBody> {
    let status = StatusCode::NOT_FOUND;
    shard.node.gateway.count_refused(status.as_u16());
    let mut response = Response::new(HttpBody::from(format!("{NO_ROUTE}\n")));
    *response.status_mut() = status;
    response
}

/// The same in the unit of the socket's option, in which 0 would be no limit.
fn user_timeout(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// How long the client of a route may take nothing of an answer.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take between two requests, and for the head of one. Clients that poll ask
/// again at once.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What hyper may read ahead: a message of the default size and a head fit.
const BUFFER_MAX: usize = 64 << 10;
