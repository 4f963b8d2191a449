//! Publishing from outside: the data plane of Azure SignalR, `/api/hubs/{hub}/…`, so that what
//! publishes there publishes here.
//!
//! Both listeners answer it. On the admin listener its token is what counts, or none on loopback; on
//! the clients' only hubs with an access key are published to, by who signs with that key. In this
//! order: `target` (what is asked for), [`access`] (by whom), `query` and `message` (what with), `act`,
//! `listing` and `grant` (what is done). Everything goes through the hub's own handle; nothing here
//! knows where a connection is.

pub(crate) mod access;
mod act;
mod grant;
mod listing;
mod message;
mod query;
mod target;

use axum::{body::Body as AnyBody, response::IntoResponse};
use http::{HeaderValue, Request, Response, StatusCode, request::Parts};
use http_body::Body;
use hyper::body::Bytes;

use self::{
    query::{Query, hub_name},
    target::Target,
};
use crate::{
    node::{Hubs, NodeHub},
    problem::{ERROR_CODE, Problem},
};

/// Which listener a request has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The admin listener, where whoever gets this far may do everything.
    Operators,
    /// The clients', where a hub's key decides.
    Clients,
}

pub(crate) type Answer = Response<AnyBody>;

/// Whether a request of the clients' listener is meant for this, `target` being its path and query.
/// What is not may have a route.
pub(crate) fn is_for(hubs: &Hubs, target: &str) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(target) = Target::of(path) else { return false };
    match target {
        // Applications have paths like this one; who asks this says so.
        Target::Health => {
            let is_meant = Query::read(query).is_ok_and(|query| query.version.is_some());
            is_meant && hubs.iter().any(|hub| hub.tokens.is_some())
        }
        Target::Hub(name, _) => find(hubs, Door::Clients, &hub_name(&name, query)).is_some(),
    }
}

/// Answers one request.
pub(crate) async fn answer<B>(hubs: &Hubs, door: Door, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let mut asked = None;
    let answer = perform(hubs, door, &head, body, &mut asked).await;
    let refused = |problem: Problem| {
        if let (Some(hub), Door::Clients) = (asked, door) {
            hub.refused.inc();
        }
        let code = code_of(problem.status());
        problem.coded(code).into_response()
    };
    answer.unwrap_or_else(refused)
}

/// Judges a request from outside in, and does what it asks for. `asked` becomes the hub that it is for.
async fn perform<'h, B>(
    hubs: &'h Hubs,
    door: Door,
    head: &Parts,
    body: B,
    asked: &mut Option<&'h NodeHub>,
) -> Result<Answer, Problem>
where
    B: Body<Data = Bytes>,
{
    let nothing = || Problem::not_found("the data plane has nothing at this address");
    let target = Target::of(head.uri.path()).ok_or_else(nothing)?;
    let query = head.uri.query().unwrap_or_default();
    let (name, resource) = match target {
        Target::Health => {
            target::allow(&head.method, target::LOOK)?;
            return Ok(empty(StatusCode::OK));
        }
        Target::Hub(name, resource) => (name, resource),
    };
    let name = hub_name(&name, query);
    let hub = find(hubs, door, &name).ok_or_else(|| unknown(hubs, door, &name))?;
    *asked = Some(hub);
    if let (Door::Clients, Some(tokens)) = (door, &hub.tokens) {
        tokens.judge(head)?;
    }
    let query = Query::read(query)?;
    let resource = resource.ok_or_else(nothing)?;
    target::allow(&head.method, resource.methods())?;
    act::perform(hub, resource, &query, head, body).await
}

/// A hub by its name, in any case of letters: Azure's clients write all in lower case.
fn find<'h>(hubs: &'h Hubs, door: Door, name: &str) -> Option<&'h NodeHub> {
    let exact = hubs.find(name).map(|hub| &**hub);
    let alike = || hubs.iter().map(|hub| &**hub).find(|hub| hub.name.eq_ignore_ascii_case(name));
    exact.or_else(alike).filter(|hub| door == Door::Operators || hub.tokens.is_some())
}

/// Only operators are told which hubs there are.
fn unknown(hubs: &Hubs, door: Door, name: &str) -> Problem {
    let problem = match door {
        Door::Operators => hubs.unknown(name),
        Door::Clients => Problem::not_found(format!("there is no hub {name:?} to publish to")),
    };
    problem.coded("Hub.NotExisted")
}

fn empty(status: StatusCode) -> Answer {
    (status, ()).into_response()
}

/// A success that a client may want to know more of.
fn noted(status: StatusCode, code: &'static str) -> Answer {
    let mut answer = empty(status);
    answer.headers_mut().insert(ERROR_CODE, HeaderValue::from_static(code));
    answer
}

/// The code of problems that have none of their own.
fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::REQUEST_TIMEOUT => "RequestTimeout",
        StatusCode::PAYLOAD_TOO_LARGE => "PayloadTooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "Error",
    }
}
