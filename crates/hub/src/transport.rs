//! How clients reach the hub: which request means what.

pub(crate) mod body;
pub(crate) mod carried;
mod negotiate;
mod reply;
pub(crate) mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;

use self::body::HubBody;
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
    if hub.is_stopping() {
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, "The hub stops.");
    }
    let (parts, body) = request.into_parts();
    let client = Arc::new(ClientRequest::new(&parts));
    let identity = match hub.identify(Arc::clone(&client)).await {
        Ok(identity) => identity,
        Err(denied) => return reply::empty(denied.status()),
    };
    if parts.uri.path().ends_with("/negotiate") {
        return negotiate::answer(hub, &parts.method, &client);
    }
    if parts.headers.contains_key(header::UPGRADE) {
        drop(client);
        return websocket::answer(hub, shard, Request::from_parts(parts, body), identity);
    }
    reply::text(StatusCode::METHOD_NOT_ALLOWED, "")
}
