//! A WebSocket whose session lives at another node: its bytes are carried there and back.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    attach::{Detached, Visitor},
    body::HubBody,
    carried::Carried,
};
use crate::{
    cluster::{Mesh, boxed, strip_hop},
    hub::Hub,
    request::ClientRequest,
};

/// The other node's end of it, open.
pub(crate) struct Tunnel(TokioIo<Upgraded>);

impl Tunnel {
    /// Asks the other node to go on with the session.
    pub(super) async fn dial(
        visitor: &Visitor,
        mesh: &Arc<Mesh>,
        node: &str,
    ) -> Result<Self, Response<HubBody>> {
        let unknown = || Detached::Unknown.answer();
        let request = opening(&visitor.request).ok_or_else(unknown)?;
        let mut response = mesh.tunnel(node, request).await.ok_or_else(unknown)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            strip_hop(response.headers_mut());
            response.extensions_mut().clear();
            return Err(response.map(HubBody::passed));
        }
        let upgraded = hyper::upgrade::on(&mut response).await.map_err(|_| unknown())?;
        Ok(Self(TokioIo::new(upgraded)))
    }

    /// Carries everything until one of the two has said its last, and the other has had time to; or
    /// until this node stops. `head` is what the client is told first, `ahead` what it has said.
    pub(super) async fn carry(
        self,
        hub: Hub,
        client: Box<dyn Carried>,
        head: Bytes,
        ahead: Vec<u8>,
        guard: Option<Box<dyn Any + Send>>,
    ) {
        let (from_client, to_client) = io::split(client);
        let (from_node, to_node) = io::split(self.0);
        let (send, close) = (hub.config().send_timeout, hub.config().close_timeout);
        let up = copy(from_client, to_node, ahead.into(), send);
        let down = copy(from_node, to_client, head, send);
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        // Who is gone, or took nothing, needs no error: the session goes on with another socket.
        tokio::select! {
            _ = &mut up => drop(timeout(close, down).await),
            _ = &mut down => drop(timeout(close, up).await),
            () = hub.stopping() => {}
        }
        drop(guard);
    }
}

/// Copies to the end, and says so. The receiver may take its time, as long as it takes something.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    first: Bytes,
    patience: Duration,
) -> io::Result<()> {
    timeout(patience, to.write_all(&first)).await??;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return timeout(patience, to.shutdown()).await?;
        }
        timeout(patience, to.write_all(&buffer[..count])).await??;
        timeout(patience, to.flush()).await??;
    }
}

/// The client's request as another node is to see it; `None` if it is none.
fn opening(request: &ClientRequest) -> Option<Request<crate::cluster::PeerBody>> {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    strip_hop(&mut headers);
    let key = STANDARD.encode(rand::random::<[u8; 16]>());
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).ok()?);
    let mut opening = Request::new(boxed(Bytes::new()));
    *opening.method_mut() = Method::GET;
    *opening.uri_mut() = request.target().parse().ok()?;
    *opening.headers_mut() = headers;
    Some(opening)
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

/// Bytes that are on their way in each direction: some small messages, or a part of a large one.
const BUFFER: usize = 8 << 10;
