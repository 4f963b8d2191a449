//! The transport that most clients use: one WebSocket for both directions.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use everwire_proto::ws::upgrade::{Refusal, UpgradeRequest};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::net::TcpStream;

use super::{
    attach::{Attached, Detached, Visitor},
    body::HubBody,
    reply,
    tunnel::Tunnel,
};
use crate::{
    clock,
    connection::{
        Begun, Connection, Wire,
        stream::{Stream, Takeover},
        task::Task,
    },
    outgoing::Outgoing,
};

/// A WebSocket that is to be opened: its request is good, and its client may come in.
#[derive(Debug)]
pub struct Opening {
    visitor: Visitor,
    to: To,
    accept: [u8; 28],
}

/// What a WebSocket is opened to.
#[derive(Debug)]
enum To {
    New(Begun),
    There(Arc<Connection>),
    Elsewhere(Tunnel),
}

/// Answers a request to open a WebSocket; the connection begins once the server hands it over.
pub(super) async fn answer<B>(visitor: Visitor, mut request: Request<B>) -> Response<HubBody> {
    let upgrade = hyper::upgrade::on(&mut request);
    let judged = match judged(&request) {
        Ok(judged) => judged,
        Err(refusal) => return refused(refusal),
    };
    match open(visitor, &judged).await {
        Ok(opening) => {
            let response = switching(&opening.accept);
            let tasks = opening.visitor.shard.tasks.clone();
            tasks.spawn(begin(opening, upgrade));
            response
        }
        Err(response) => response,
    }
}

/// Attaches a request to its connection, or makes a new one where it names none.
pub(crate) async fn open(
    visitor: Visitor,
    request: &UpgradeRequest,
) -> Result<Opening, Response<HubBody>> {
    let attached = visitor.attach_anywhere().await.map_err(Detached::answer)?;
    let to = match attached {
        Attached::New(begun) => To::New(begun),
        Attached::There(connection) if !connection.wire().is_resumable() => {
            return Err(Detached::Active.answer());
        }
        Attached::There(connection) => To::There(connection),
        Attached::Elsewhere(node) => To::Elsewhere(dial(&visitor, &node).await?),
    };
    Ok(Opening { visitor, to, accept: *request.accept() })
}

/// Has another node go on with the session; or a third one, if it has moved there meanwhile.
async fn dial(visitor: &Visitor, node: &str) -> Result<Tunnel, Response<HubBody>> {
    let mesh = visitor.hub.mesh().ok_or_else(|| Detached::Unknown.answer())?;
    let refused = match Tunnel::dial(visitor, mesh, node).await {
        Err(refused) if refused.status() == StatusCode::NOT_FOUND => refused,
        dialed => return dialed,
    };
    match visitor.search(Err(Detached::Unknown)).await {
        Ok(Attached::Elsewhere(other)) if *other != *node => {
            Tunnel::dial(visitor, mesh, &other).await
        }
        _ => Err(refused),
    }
}

/// Begins the connection in a task of its own, which is as large as an idle connection and not as
/// large as this.
async fn begin(opening: Opening, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else {
        return tracing::debug!("client gone before its WebSocket was open");
    };
    let (stream, read_ahead) = taken(upgraded);
    opening.start_on(stream, Bytes::new(), &read_ahead, None);
}

/// The plain socket, if the server's connection was nothing else.
fn taken(upgraded: Upgraded) -> (Stream, Bytes) {
    let upgraded = match downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return (Stream::Plain(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (Stream::Plain(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
    }
}

impl Opening {
    /// Opens the WebSocket over a plain socket whose request was read by other means than hyper's,
    /// and serves it from a task of the shard. `read_ahead` came behind the request; `guard` is
    /// dropped when the connection has ended.
    pub fn start(self, stream: TcpStream, read_ahead: &[u8], guard: Option<Box<dyn Any + Send>>) {
        let head = head(&self.accept);
        self.start_on(Stream::Plain(stream), head, read_ahead, guard);
    }

    fn start_on(
        self,
        stream: Stream,
        head: Bytes,
        read_ahead: &[u8],
        guard: Option<Box<dyn Any + Send>>,
    ) {
        let begun = match self.to {
            To::New(begun) => begun,
            To::There(connection) => {
                let read_ahead = read_ahead.to_vec();
                connection.take_over(Takeover { stream, head, read_ahead, guard });
                return;
            }
            To::Elsewhere(tunnel) => {
                let (Visitor { hub, shard, .. }, ahead) = (self.visitor, read_ahead.to_vec());
                let client = stream.into_carried();
                shard.tasks.spawn(tunnel.carry(hub, client, head, ahead, guard));
                return;
            }
        };
        let (input, link) = stream.split();
        let mut outgoing = Outgoing::default();
        if !head.is_empty() {
            outgoing.push_own(head);
        }
        let mut wire = Wire::new(link, outgoing, clock::now());
        wire.pulse.expire(self.visitor.expires());
        let Visitor { hub, shard, request, identity, .. } = self.visitor;
        let connection = Connection::new(begun, identity, request, shard, wire);
        let connection = Arc::new(connection);
        hub.directory().insert(Arc::clone(&connection));
        let tasks = connection.shard.tasks.clone();
        tasks.spawn(Task::new(hub, connection, input, guard).read_ahead(read_ahead));
    }
}

/// The judgement of a request that an HTTP library has taken apart.
fn judged<B>(request: &Request<B>) -> Result<UpgradeRequest, Refusal> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let version = format!("{:?}", request.version());
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    UpgradeRequest::from_parts(request.method().as_str(), target, &version, headers)
}

fn switching(accept: &[u8; 28]) -> Response<HubBody> {
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_bytes(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn head(accept: &[u8; 28]) -> Bytes {
    let mut head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: "
        .to_vec();
    head.extend_from_slice(accept);
    head.extend_from_slice(b"\r\n\r\n");
    head.into()
}

fn refused(refusal: Refusal) -> Response<HubBody> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = reply::whole(status, "text/plain; charset=utf-8", refusal.body.into());
    for (name, value) in refusal.headers.iter() {
        let name = header::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
