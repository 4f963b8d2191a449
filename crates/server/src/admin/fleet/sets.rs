//! `/api/v1/fleet/sets`: what is in them, changing them, going back.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequest, RawQuery, Request, State, rejection::JsonRejection},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use everwire_fleet::{
    access::Right,
    name::SetName,
    set::ChangeError,
    sets::{Author, Written},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    address::{self, Part},
    events, find,
    guest::Guest,
    patch::Patch,
    query::Query,
};
use crate::{
    node::{Node, NodeFleet},
    problem::Problem,
};

/// What a rollback takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    to: u64,
    note: Option<String>,
}

/// The names of all sets, in order.
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let fleet = find(&node)?;
    let mut query = Query::read(query.as_deref());
    let limit = query.limit()?;
    let after: Option<SetName> = query.parsed("after", "the name of a set")?;
    query.finish()?;
    // One more tells whether there is a next page.
    let mut names = fleet.fleet.sets(after.as_ref(), limit + 1);
    let has_more = names.len() > limit;
    names.truncate(limit);
    let items: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
    let next = names.last().filter(|_| has_more);
    Ok(Json(json!({ "items": items, "next": next })))
}

/// Whatever is asked of one set.
pub(super) async fn answer(
    State(node): State<Arc<Node>>,
    request: Request,
) -> Result<Response, Problem> {
    let fleet = find(&node)?;
    let uri = request.uri().clone();
    let rest = uri.path().split_once("/fleet/sets/").map_or("", |(_, rest)| rest);
    let (set, part) = address::read(rest)?;
    let guest = request.extensions().get::<Guest>().copied();
    if let Some(guest) = guest {
        let reads = request.method() == Method::GET;
        guest.check_set(fleet, if reads { Right::Read } else { Right::Write }, &set)?;
    }
    let by = Guest::name(guest);
    let query = Query::read(uri.query());
    match (part, request.method()) {
        (Part::Values, &Method::GET) => values(fleet, &set, query).await,
        (Part::Values, &Method::PATCH) => change(fleet, &set, query, by, request).await,
        (Part::History, &Method::GET) => history(fleet, &set, query).await,
        (Part::Diff, &Method::GET) => diff(fleet, &set, query).await,
        (Part::Rollback, &Method::POST) => roll_back(fleet, &set, query, by, request).await,
        (Part::Events, &Method::GET) => {
            query.finish()?;
            events::of_set(fleet, set, request.headers()).await.map(IntoResponse::into_response)
        }
        (Part::Values, _) => Err(Problem::method_not_allowed().allowing("GET, PATCH")),
        (Part::Rollback, _) => Err(Problem::method_not_allowed().allowing("POST")),
        (Part::History | Part::Diff | Part::Events, _) => {
            Err(Problem::method_not_allowed().allowing("GET"))
        }
    }
}

async fn values(fleet: &NodeFleet, set: &SetName, query: Query) -> Result<Response, Problem> {
    query.finish()?;
    let state = fleet.fleet.set(set).await.map_err(|error| problem(&error))?;
    if state.version == 0 {
        let what =
            format!("there is no set {set}; see everwire fleet get, or make it by changing it");
        return Err(Problem::not_found(what));
    }
    let tag = (header::ETAG, format!("\"{}\"", state.version));
    Ok(([tag], Json(state)).into_response())
}

async fn change(
    fleet: &NodeFleet,
    set: &SetName,
    query: Query,
    by: &str,
    request: Request,
) -> Result<Response, Problem> {
    query.finish()?;
    let expected = if_match(request.headers())?;
    let patch: Patch = body(request).await?;
    let changes = patch.changes()?;
    let author = author(by, patch.note);
    let written = fleet.fleet.change(set, &changes, author, expected).await;
    self::written(set, written)
}

async fn history(fleet: &NodeFleet, set: &SetName, mut query: Query) -> Result<Response, Problem> {
    let (limit, before) = (query.limit()?, query.parsed("before", "a version")?);
    query.finish()?;
    let history = fleet.fleet.history(set, before, limit).await.map_err(|error| problem(&error))?;
    Ok(Json(history).into_response())
}

async fn diff(fleet: &NodeFleet, set: &SetName, mut query: Query) -> Result<Response, Problem> {
    let missing = || Problem::bad_request("from: is missing; write for example ?from=6&to=7");
    let from = query.parsed("from", "a version")?.ok_or_else(missing)?;
    let to = query.parsed("to", "a version")?;
    query.finish()?;
    let to = match to {
        Some(to) => to,
        None => fleet.fleet.set(set).await.map_err(|error| problem(&error))?.version,
    };
    Ok(Json(fleet.fleet.diff(set, from, to).await.map_err(|error| problem(&error))?)
        .into_response())
}

async fn roll_back(
    fleet: &NodeFleet,
    set: &SetName,
    query: Query,
    by: &str,
    request: Request,
) -> Result<Response, Problem> {
    query.finish()?;
    let expected = if_match(request.headers())?;
    let Rollback { to, note } = body(request).await?;
    let written = fleet.fleet.rollback(set, to, author(by, note), expected).await;
    self::written(set, written)
}

fn author(by: &str, note: Option<String>) -> Author {
    Author { by: by.into(), note: note.map(Into::into) }
}

/// What is answered to who has written.
fn written(set: &SetName, written: Result<Written, ChangeError>) -> Result<Response, Problem> {
    let Written { version, is_new } = written.map_err(|error| problem(&error))?;
    Ok(Json(json!({ "set": set, "version": version, "changed": is_new })).into_response())
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let read: Result<Json<T>, JsonRejection> = Json::from_request(request, &()).await;
    Ok(read?.0)
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let text = headers.get(header::IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    text.map(address::version).transpose()
}

/// What is wrong with a change, or with reading a set.
fn problem(error: &ChangeError) -> Problem {
    let status = match error {
        ChangeError::Conflict(_) => StatusCode::PRECONDITION_FAILED,
        ChangeError::NoSuchKey(_) | ChangeError::KeyTaken(_) | ChangeError::TooManySets => {
            StatusCode::CONFLICT
        }
        ChangeError::NoSuchVersion { .. } => StatusCode::NOT_FOUND,
        ChangeError::NotAValue(_) | ChangeError::TooWordy => StatusCode::BAD_REQUEST,
        ChangeError::TooManyKeys(_) | ChangeError::TooLarge(_) | ChangeError::TooMuch => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ChangeError::Seal(_) => StatusCode::CONFLICT,
        ChangeError::NotStored(_) | ChangeError::Unknown => StatusCode::SERVICE_UNAVAILABLE,
    };
    Problem::new(status, error.to_string())
}
