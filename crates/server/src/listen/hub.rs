//! From an accepted socket to a hub.
//!
//! A good request for a WebSocket begins the connection at once. Whatever else is asked of a hub,
//! hyper answers, as many requests as the client likes: negotiation, events, polls, what is published
//! to a hub with an access key, and what is wrong with a request that is not good. Among them may be requests for a route: a load balancer
//! sends over one connection what comes from many.

use std::{convert::Infallible, io::Cursor, net::SocketAddr, time::Duration};

use axum::body::Body;
use everwire_gateway::{ClientInfo, Scheme};
use everwire_hub::{HubBody, HubService};
use everwire_proto::ws::upgrade::{HeaderLines, Refusal, UpgradeRequest};
use http::{Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Either, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
};

use super::{
    handshake::NO_ROUTE,
    refuse,
    shard::{Shard, Slot},
    stream::ClientStream,
};
use crate::{
    node::NodeHub,
    rest::{self, Door},
};

/// A connection whose first request is for a hub.
pub(super) struct Visit {
    /// Who asks.
    pub(super) peer: SocketAddr,
    /// The head of the request.
    pub(super) head: Vec<u8>,
    /// What came behind it.
    pub(super) held: Vec<u8>,
}

/// Whether a request with this head is for a hub, by a client of it or by who publishes to it.
pub(super) fn is_for(shard: &Shard, head: &[u8]) -> bool {
    let Shard { node, desk, .. } = shard;
    let is_hubs = |target: &str| desk.find(target).is_some() || rest::is_for(&node.hubs, target);
    !desk.is_empty() && target_of(head).is_some_and(is_hubs)
}

/// Serves the connection: as a WebSocket of the hub, or in a task of its own.
pub(super) async fn serve(stream: TcpStream, visit: Visit, slot: Slot, shard: &Shard) {
    let hub = target_of(&visit.head).and_then(|target| shard.desk.find(target));
    if let (Some((hub, service)), Ok(request)) = (hub, UpgradeRequest::parse(&visit.head)) {
        return open(stream, &request, &visit.held, slot, hub, service).await;
    }
    // Whoever takes nothing of an answer would keep its place for ever.
    if let Err(error) = set_tcp_user_timeout(&stream, user_timeout(shard.desk.send_timeout())) {
        tracing::debug!(%error, "a client that takes no answer is not found out");
    }
    let Visit { peer, mut head, held } = visit;
    head.extend_from_slice(&held);
    let (reader, writer) = io::split(ClientStream::new(stream, slot));
    let rewound = io::join(Cursor::new(head).chain(reader), writer);
    let serving = answer_all(rewound, peer, shard.clone());
    shard.tasks.spawn(shard.node.hubs.requests.track_future(serving));
}

async fn open(
    stream: TcpStream,
    request: &UpgradeRequest,
    held: &[u8],
    slot: Slot,
    hub: &NodeHub,
    service: &HubService,
) {
    match service.open(request).await {
        Ok(opening) => opening.start(stream, held, Some(Box::new(slot))),
        Err(response) => {
            hub.refused.inc();
            refuse::answer(stream, &refusal_of(response).await).await;
        }
    }
}

/// Answers one request after the other until the client has no more, or the node stops.
async fn answer_all<S>(stream: S, peer: SocketAddr, shard: Shard)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = shard.node.hubs.stop.clone();
    let service = service_fn(move |request| answer(shard.clone(), peer, request));
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
        tracing::debug!(%error, "requests of a hub's client ended");
    }
}

async fn answer(
    shard: Shard,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Either<HubBody, Body>>, Infallible> {
    let Some((hub, service)) = shard.desk.find(request.uri().path()) else {
        let hubs = &shard.node.hubs;
        let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        let answer = if rest::is_for(hubs, target) {
            rest::answer(hubs, Door::Clients, request).await
        } else {
            pass_on(&shard, peer, request).await.map(Body::new)
        };
        return Ok(answer.map(Either::Right));
    };
    let response = service.handle(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        hub.refused.inc();
    }
    Ok(response.map(Either::Left))
}

/// Answers a request that is for no hub as its route does, with a session if that is wanted.
async fn pass_on(
    shard: &Shard,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
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

fn no_route(shard: &Shard) -> Response<Full<Bytes>> {
    let status = StatusCode::NOT_FOUND;
    shard.node.gateway.count_refused(status.as_u16());
    let mut response = Response::new(Full::from(NO_ROUTE));
    *response.status_mut() = status;
    response
}

/// The same answer for who has the socket at hand.
async fn refusal_of(response: Response<HubBody>) -> Refusal {
    let (head, body) = response.into_parts();
    let mut headers = HeaderLines::default();
    for (name, value) in &head.headers {
        headers.push(name.as_str(), value.as_bytes());
    }
    let reason = head.status.canonical_reason().unwrap_or("Refused").to_owned();
    let body = body.collect().await.map(|body| body.to_bytes().into()).unwrap_or_default();
    Refusal { status: head.status.as_u16(), reason, headers, body }
}

/// The same in the unit of the socket's option, in which 0 would be no limit.
fn user_timeout(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// The target of the request line, if it is a path.
fn target_of(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let target = line.split(|byte| *byte == b' ').nth(1)?;
    str::from_utf8(target).ok().filter(|target| target.starts_with('/'))
}

/// How long a client may take between two requests, and for the head of one. Clients that poll ask
/// again at once.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What hyper may read ahead: a message of the default size and a head fit.
const BUFFER_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_second_word_of_the_first_line() {
        assert_eq!(target_of(b"GET /a?b HTTP/1.1\r\nX: /c\r\n\r\n"), Some("/a?b"));
        for none in [&b"GET\r\n\r\n"[..], b"", b"GET http://x/a HTTP/1.1\r\n\r\n", b"GET * H"] {
            assert_eq!(target_of(none), None);
        }
    }
}
