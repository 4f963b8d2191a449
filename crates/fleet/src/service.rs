//! The fleet's requests: those of its hub, and those that need no hub.
//!
//! | request | what it is |
//! |---|---|
//! | `GET {path}/sets/{set}/events` | the set's changes as server-sent events |
//! | `POST {path}/hooks/{name}` | a hook: something that happened elsewhere |
//! | anything else | the hub's |

mod answer;
mod events;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_hub::{ClientRequest, HubBody, HubService};
use everwire_proto::signalr::negotiate::segment;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use self::{answer::problem, events::Events};
use crate::{hook::BODY_MAX, shelf::Shelf};

/// Answers the fleet's requests. Mount it where the fleet is to be, with everything below.
#[derive(Clone)]
pub struct FleetService {
    hub: HubService,
    path: Arc<str>,
    shelf: Shelf,
    hooks: Option<Arc<dyn Hooks>>,
}

/// Who takes hooks.
pub trait Hooks: Send + Sync {
    /// Takes what was posted to the hook of this name; it has yet to be judged who did that.
    fn take(&self, name: String, headers: HeaderMap, body: Bytes) -> Taking;
}

/// What is answered to a hook.
pub type Taking = Pin<Box<dyn Future<Output = (StatusCode, String)> + Send>>;

/// The body of an answer of a fleet.
#[derive(Debug)]
pub struct FleetBody(Kind);

#[derive(Debug)]
enum Kind {
    Hub(HubBody),
    Whole(Full<Bytes>),
    Events(Box<Events>),
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Events(String),
    Hook(String),
    Hub,
}

impl FleetService {
    /// What is answered below `path`; also if whoever mounts this strips that from each request.
    pub(crate) fn new(
        hub: HubService,
        path: &str,
        shelf: Shelf,
        hooks: Option<Arc<dyn Hooks>>,
    ) -> Self {
        let path = path.trim_end_matches('/').into();
        Self { hub, path, shelf, hooks }
    }

    /// The service of the hub, for who has sockets at hand.
    pub const fn hub(&self) -> &HubService {
        &self.hub
    }

    /// The same with another service of the hub, such as one on a shard of its own.
    #[must_use]
    pub fn with_hub(self, hub: HubService) -> Self {
        Self { hub, ..self }
    }

    /// Answers one request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<FleetBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        match (self.route(request.uri().path()), request.method()) {
            (Route::Hub, _) => {
                self.hub.handle(request).await.map(|body| FleetBody(Kind::Hub(body)))
            }
            (Route::Events(set), &Method::GET) => {
                events::answer(&self.shelf, &set, &ClientRequest::new(&request)).await
            }
            (Route::Hook(name), &Method::POST) => self.hook(name, request).await,
            (Route::Events(_), _) => problem(StatusCode::METHOD_NOT_ALLOWED, "use GET"),
            (Route::Hook(_), _) => problem(StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        }
    }

    fn route(&self, path: &str) -> Route {
        let below = path.strip_prefix(&*self.path).unwrap_or(path);
        let set = below.strip_prefix("/sets/").and_then(|rest| rest.strip_suffix("/events"));
        if let Some(set) = set.and_then(segment) {
            return Route::Events(set);
        }
        match below.strip_prefix("/hooks/").and_then(segment) {
            Some(name) => Route::Hook(name),
            None => Route::Hub,
        }
    }

    async fn hook<B>(&self, name: String, request: Request<B>) -> Response<FleetBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        let Some(hooks) = &self.hooks else {
            return problem(StatusCode::NOT_FOUND, "no hooks are configured");
        };
        let (head, body) = request.into_parts();
        let body = Limited::new(body.map_err(|_| "cut off"), BODY_MAX).collect();
        let Ok(Ok(body)) = tokio::time::timeout(HOOK_WITHIN, body).await else {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, HOOK_TOO_LARGE);
        };
        let (status, text) = hooks.take(name, head.headers, body.to_bytes()).await;
        match status.is_success() {
            true => answer::text(status, text),
            false => problem(status, &text),
        }
    }
}

impl<B> Service<Request<B>> for FleetService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<FleetBody>;
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

impl Body for FleetBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Hub(body) => Pin::new(body).poll_frame(cx),
            Kind::Whole(body) => Pin::new(body).poll_frame(cx),
            Kind::Events(events) => {
                events.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Hub(body) => body.is_end_stream(),
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Hub(body) => body.size_hint(),
            Kind::Whole(body) => body.size_hint(),
            Kind::Events(_) => SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for FleetService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetService").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How long a hook's body may take.
const HOOK_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

const HOOK_TOO_LARGE: &str = "the body of a hook has at most 4 MiB and comes within 10 seconds";
