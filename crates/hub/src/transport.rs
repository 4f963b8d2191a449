//! How clients reach the hub: which request means what.
//!
//! | request | what it is |
//! |---|---|
//! | `POST {hub}/negotiate` | [`negotiate`]: a connection is named |
//! | `GET {hub}` with `Upgrade` | [`websocket`] |
//! | `GET {hub}` that accepts `text/event-stream` | [`events`] |
//! | `GET {hub}` otherwise | [`polls`] |
//! | `POST {hub}` | [`bring`]: what a client of the last two says |
//! | `DELETE {hub}` | the end of a connection that polls |
//!
//! In a cluster a request may be for a connection at another node: it is passed on, by [`elsewhere`],
//! or its WebSocket carried there, by [`tunnel`].

mod attach;
pub(crate) mod body;
mod bring;
pub(crate) mod carried;
mod elsewhere;
mod events;
mod negotiate;
mod origin;
mod polls;
pub(crate) mod receipt;
pub(crate) mod reply;
mod tunnel;
pub(crate) mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use everwire_proto::ws::upgrade::UpgradeRequest;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body;

use self::{
    attach::{Visitor, Way},
    body::HubBody,
    origin::Origin,
    websocket::Opening,
};
use crate::{hub::Hub, request::ClientRequest, shard::ShardHandle};

/// Answers a request below the hub's path.
pub(crate) async fn answer<B>(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    request: Request<B>,
) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    let origin = Origin::of(request.headers(), &hub.config().origins);
    if matches!(origin, Origin::Foreign) {
        return reply::text(StatusCode::FORBIDDEN, NOT_WELCOME);
    }
    if request.method() == Method::OPTIONS {
        return origin.preflight(request.headers());
    }
    origin.mark(answer_on(hub, shard, request, Way::Direct).await)
}

/// Answers a request that came to another node, which has judged its origin and marks the answer.
pub(crate) async fn answer_passed<B>(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    request: Request<B>,
) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    answer_on(hub, shard, request, Way::Passed).await
}

/// Judges a request for a WebSocket that was read by other means than hyper's.
pub(crate) async fn open(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    request: &UpgradeRequest,
) -> Result<Opening, Response<HubBody>> {
    let (origin, host) = (request.origin(), request.host().as_bytes());
    let is_foreign =
        |origin: &str| !origin::is_welcome(origin.as_bytes(), host, &hub.config().origins);
    if origin.is_some_and(is_foreign) {
        return Err(reply::text(StatusCode::FORBIDDEN, NOT_WELCOME));
    }
    let client = Arc::new(ClientRequest::from_fields(request.target(), request.headers()));
    let visitor = identified(hub, shard, client, Way::Direct).await?;
    websocket::open(visitor, request).await
}

/// The client, if it may come in.
async fn identified(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    client: Arc<ClientRequest>,
    way: Way,
) -> Result<Visitor, Response<HubBody>> {
    let asked = hub.identify(Arc::clone(&client)).await;
    let identity = asked.map_err(|denied| reply::empty(denied.status()))?;
    let request = Arc::unwrap_or_clone(client);
    Ok(Visitor::new(hub.clone(), shard, request, identity, way))
}

/// Answers whoever may come in.
async fn answer_on<B>(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    request: Request<B>,
    way: Way,
) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    let client = Arc::new(ClientRequest::new(&request));
    match identified(hub, shard, client, way).await {
        Ok(visitor) => answer_visitor(visitor, request).await,
        Err(response) => response,
    }
}

async fn answer_visitor<B>(visitor: Visitor, request: Request<B>) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    if request.uri().path().ends_with("/negotiate") {
        if let Some((mesh, node)) = visitor.successor()
            && request.method() == Method::POST
        {
            return elsewhere::pass(&visitor, mesh, &node, request).await;
        }
        return negotiate::answer(visitor, request.method()).await;
    }
    if *request.method() == Method::GET && request.headers().contains_key(header::UPGRADE) {
        return websocket::answer(visitor, request).await;
    }
    if let Some((mesh, node)) = visitor.elsewhere()
        && [Method::GET, Method::POST, Method::DELETE].contains(request.method())
    {
        return elsewhere::pass(&visitor, mesh, node, request).await;
    }
    match *request.method() {
        Method::GET if accepts_events(request.headers()) => events::answer(visitor),
        Method::GET => polls::answer(visitor).await,
        Method::POST => bring::answer(visitor, request.into_body()).await,
        Method::DELETE => polls::end(&visitor),
        _ => reply::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let mut accepted =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

const NOT_WELCOME: &str = "This origin may not connect.";
