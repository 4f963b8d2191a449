//! What the other nodes ask this one.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

use super::{ADDRESS_MAX, Cluster, Purpose, clocks, letter, review::REVIEW_MAX};
use crate::{
    clock,
    directory::Found,
    hub::Hub,
    id::ConnectionId,
    moving,
    request::ClientRequest,
    service::HubService,
    ticket::Home,
    transport::{body::HubBody, reply},
};

/// Answers the other nodes of a [cluster](Cluster::service).
#[derive(Clone)]
pub struct PeerService {
    cluster: Cluster,
    hubs: Arc<[HubService]>,
}

impl PeerService {
    pub(super) fn new(cluster: Cluster, hubs: impl IntoIterator<Item = HubService>) -> Self {
        Self { cluster, hubs: hubs.into_iter().collect() }
    }

    /// Answers one request: 421 if it is not a node's.
    pub async fn handle<B>(&self, mut request: Request<B>) -> Response<HubBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let method = request.method().as_str();
        let letter = request.headers().get(letter::HEADER);
        let letter = letter.and_then(|value| self.cluster.read_letter(value, method, target));
        let value = request.headers_mut().remove(letter::HEADER);
        let (Some(letter), Some(value)) = (letter, value) else {
            self.cluster.count(|tally| &tally.refused);
            return reply::text(StatusCode::MISDIRECTED_REQUEST, NOT_A_NODE);
        };
        let Some(hub) = self.hubs.iter().find(|service| service.is_of(&letter.hub)) else {
            return reply::text(StatusCode::NOT_FOUND, "No hub of that name");
        };
        match letter.purpose {
            Purpose::Pass => hub.handle_passed(request).await,
            Purpose::Claim => self.claim(&hub.hub, &ClientRequest::new(&request)),
            Purpose::Review => review(&hub.hub, request.into_body()).await,
            Purpose::Move => moving::answer(&hub.hub, hub.shard(), request).await,
            Purpose::Hello => {
                let told = clocks::tell(self.cluster.seal(), value.as_bytes(), self.cluster.time());
                reply::whole(StatusCode::OK, "application/octet-stream", told.into())
            }
        }
    }

    /// Another node has a WebSocket for a token that was issued here.
    fn claim(&self, hub: &Hub, request: &ClientRequest) -> Response<HubBody> {
        let unknown = || reply::text(StatusCode::NOT_FOUND, "No Connection with that ID");
        let ticket = request.parameter("id").and_then(|token| hub.office().read(&token));
        let ticket = ticket.filter(|ticket| hub.office().home(ticket) == Home::Here);
        let node = request.parameter("node").filter(|node| node.len() <= ADDRESS_MAX);
        let (Some(ticket), Some(node)) = (ticket, node) else { return unknown() };
        let answer = match hub.directory().lend(&ticket, &node, clock::now()) {
            Found::New => "begin".to_owned(),
            Found::Away(node) => format!("at {node}"),
            Found::Live(_) => format!("at {}", self.cluster.advertise()),
            Found::Nothing => return unknown(),
        };
        reply::whole(StatusCode::OK, "text/plain", answer.into())
    }
}

/// Which of the connections that another node asks for are not here.
async fn review<B>(hub: &Hub, body: B) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Send,
{
    let body = body.map_err(|_| "the rest did not come");
    let Ok(body) = Limited::new(body, REVIEW_MAX * ConnectionId::BYTES).collect().await else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let body = body.to_bytes();
    let (ids, []) = body.as_chunks() else { return reply::empty(StatusCode::BAD_REQUEST) };
    let ids = ids.iter().copied().map(ConnectionId::from_bytes);
    let gone = ids.filter(|id| hub.directory().find(*id).is_none());
    let gone: Vec<u8> = gone.flat_map(|id| *id.as_bytes()).collect();
    reply::whole(StatusCode::OK, "application/octet-stream", gone.into())
}

impl<B> Service<Request<B>> for PeerService
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

impl fmt::Debug for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerService").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

const NOT_A_NODE: &str = "This address is for the nodes of a cluster.";
