//! The hub as a service of HTTP requests, for axum, hyper, or anything of tower.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_proto::ws::upgrade::UpgradeRequest;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    hub::Hub,
    shard::{Shard, ShardHandle},
    transport::{self, body::HubBody, websocket::Opening},
};

/// Answers negotiation, and opens connections. Mount it where the hub is to be, with everything
/// below: `router.nest_service("/chat", hub.service())`.
#[derive(Debug, Clone)]
pub struct HubService {
    pub(crate) hub: Hub,
    /// Where connections go; `None` leaves it to the hub.
    shard: Option<Arc<ShardHandle>>,
}

impl HubService {
    pub(crate) const fn new(hub: Hub, shard: Option<Arc<ShardHandle>>) -> Self {
        Self { hub, shard }
    }

    /// The same with its connections on one shard: the one that runs on the runtime from which the
    /// service is called.
    #[must_use]
    pub fn on(self, shard: &Shard) -> Self {
        Self { shard: Some(Arc::clone(&shard.handle)), ..self }
    }

    /// Judges a request for a WebSocket that was read by other means than hyper's, for who has the
    /// socket at hand: [`Opening::start`] begins the connection.
    ///
    /// # Errors
    /// The answer to a client that may not come in.
    pub async fn open(&self, request: &UpgradeRequest) -> Result<Opening, Response<HubBody>> {
        let shard = self.shard();
        transport::open(&self.hub, shard, request).await
    }

    /// The shard of the next connection.
    pub(crate) fn shard(&self) -> Arc<ShardHandle> {
        self.shard.clone().unwrap_or_else(|| self.hub.pick_shard())
    }

    /// Whether the nodes of a cluster know the hub by this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.hub.mesh().is_some_and(|mesh| *mesh.hub == *name)
    }

    /// Answers a request that came to another node.
    pub(crate) async fn handle_passed<B>(&self, request: Request<B>) -> Response<HubBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let shard = self.shard();
        transport::answer_passed(&self.hub, shard, request).await
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<HubBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let shard = self.shard();
        transport::answer(&self.hub, shard, request).await
    }
}

impl<B> Service<Request<B>> for HubService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<HubBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request).await) })
    }
}
