//! The gateway inside another program's HTTP server: hyper, axum, anything of tower.

use std::{
    convert::Infallible,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_proto::ws::upgrade::{Refusal, Scheme, UpgradeRequest, speaks_of_websocket};
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::{
    http::{HttpBody, append, refused},
    manager::{ClientInfo, Opened, PipeManager},
    pipe::PipeEnd,
};

/// A tower service that answers WebSocket handshakes with uninterrupted pipes, and passes other
/// requests to the same backends.
///
/// Mount it in any axum or hyper application. Its pipes run as long as the service, or a clone of
/// it, lives.
#[derive(Debug, Clone)]
pub struct InterruptibleProxy {
    manager: PipeManager,
    client: fn(&Parts) -> Option<SocketAddr>,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl InterruptibleProxy {
    /// A proxy that opens pipes with this manager.
    pub fn new(manager: PipeManager) -> Self {
        let client = |parts: &Parts| parts.extensions.get::<SocketAddr>().copied();
        Self { manager, client, running: Arc::default() }
    }

    /// Says how to find the client's address in a request, for `X-Forwarded-For` and the list of
    /// pipes. Without it a `SocketAddr` among the request's extensions is used.
    #[must_use]
    pub fn client_from(mut self, client: fn(&Parts) -> Option<SocketAddr>) -> Self {
        self.client = client;
        self
    }

    /// The manager, to add and remove backends.
    pub const fn manager(&self) -> &PipeManager {
        &self.manager
    }

    /// Answers one request: 101 and a running pipe, a backend's answer, or the reason why not.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<HttpBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let address = (self.client)(&parts);
        let request = Request::from_parts(parts, body);
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let client = ClientInfo { address: address.unwrap_or(unknown), scheme: Scheme::Http };
        let (response, pipe) = self.manager.answer(request, client).await;
        if let Some(pipe) = pipe {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            while running.try_join_next().is_some() {}
            running.spawn(async move {
                pipe.await;
            });
        }
        response
    }
}

/// A pipe that begins once the server has handed over the client's connection; see
/// [`PipeManager::answer`].
pub type Upgrading = Pin<Box<dyn Future<Output = Option<PipeEnd>> + Send>>;

impl PipeManager {
    /// Answers a request that a hyper server has received. The response goes to the client; the
    /// pipe, where there is one, is to be run in a task of its own. A request that opens no
    /// WebSocket is passed to a backend, unless the route's `http` is `None`; its response streams,
    /// and dropping it ends it.
    ///
    /// The server must have judged how long the request is: of two lengths in one head hyper
    /// drops one.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        client: ClientInfo,
    ) -> (Response<HttpBody>, Option<Upgrading>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.route.config.http {
            Some(http) if !speaks_of_websocket(fields(&request)) => {
                (self.pass(request, client, &http).await, None)
            }
            _ => self.switch(request, client).await,
        }
    }

    /// Answers a handshake, or says that it is none.
    async fn switch<B>(
        &self,
        mut request: Request<B>,
        client: ClientInfo,
    ) -> (Response<HttpBody>, Option<Upgrading>) {
        let upgrade = hyper::upgrade::on(&mut request);
        let opened = match judged(&request) {
            Ok(request) => self.open(request, client).await,
            Err(refusal) => {
                self.gateway().count_refused(refusal.status);
                Err(refusal)
            }
        };
        match opened {
            Ok(opened) => {
                let response = switching(&opened);
                let pipe: Upgrading = Box::pin(async move {
                    let upgraded = upgrade.await.ok()?;
                    Some(opened.into_pipe(TokioIo::new(upgraded), &[]).run().await)
                });
                (response, Some(pipe))
            }
            Err(refusal) => {
                let mut response = refused(refusal);
                // What follows may be meant for the WebSocket that there is not.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                (response, None)
            }
        }
    }
}

/// The judgement of a request that an HTTP library has taken apart.
fn judged<B>(request: &Request<B>) -> Result<UpgradeRequest, Refusal> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let version = format!("{:?}", request.version());
    UpgradeRequest::from_parts(request.method().as_str(), target, &version, fields(request))
}

fn fields<B>(request: &Request<B>) -> impl Iterator<Item = (&str, &[u8])> {
    request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

impl<B> Service<Request<B>> for InterruptibleProxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<HttpBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.handle(request).await) })
    }
}

fn switching(opened: &Opened) -> Response<HttpBody> {
    let mut response = Response::new(HttpBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    let welcome = &opened.leg.welcome;
    let accept = HeaderValue::from_bytes(opened.request.accept());
    let protocol = welcome.agreed.protocol.as_ref().map(|name| HeaderValue::from_str(name));
    let extensions = welcome.agreed.deflate.as_ref().map(|deflate| {
        let mut answer = Vec::new();
        deflate.write_answer(&mut answer);
        HeaderValue::from_bytes(&answer)
    });
    let fields = [
        (header::SEC_WEBSOCKET_ACCEPT, Some(accept)),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
        (header::SEC_WEBSOCKET_EXTENSIONS, extensions),
    ];
    for (name, value) in fields {
        if let Some(Ok(value)) = value {
            headers.insert(name, value);
        }
    }
    append(headers, welcome.headers.iter());
    response
}
