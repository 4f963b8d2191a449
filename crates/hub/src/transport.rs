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

mod attach;
pub(crate) mod body;
mod bring;
pub(crate) mod carried;
mod events;
mod negotiate;
mod origin;
mod polls;
mod reply;
pub(crate) mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use everwire_proto::ws::upgrade::UpgradeRequest;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body;

use self::{attach::Visitor, body::HubBody, origin::Origin, websocket::Opening};
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
    let client = Arc::new(ClientRequest::new(&request));
    let response = match identified(hub, shard, client).await {
        Ok(visitor) => answer_visitor(visitor, request).await,
        Err(response) => response,
    };
    origin.mark(response)
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
    let visitor = identified(hub, shard, client).await?;
    websocket::open(visitor, request).map_err(attach::Detached::answer)
}

/// The client, if it may come in.
async fn identified(
    hub: &Hub,
    shard: Arc<ShardHandle>,
    client: Arc<ClientRequest>,
) -> Result<Visitor, Response<HubBody>> {
    let asked = hub.identify(Arc::clone(&client)).await;
    let identity = asked.map_err(|denied| reply::empty(denied.status()))?;
    let request = Arc::unwrap_or_clone(client);
    Ok(Visitor { hub: hub.clone(), shard, request, identity })
}

async fn answer_visitor<B>(visitor: Visitor, request: Request<B>) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    if request.uri().path().ends_with("/negotiate") {
        return negotiate::answer(visitor, request.method()).await;
    }
    match *request.method() {
        Method::GET if request.headers().contains_key(header::UPGRADE) => {
            websocket::answer(visitor, request)
        }
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
