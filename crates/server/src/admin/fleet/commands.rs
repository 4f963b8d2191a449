//! `/api/v1/fleet/commands`: sending them, and what became of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, RawQuery, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use everwire_fleet::{
    command::CommandId,
    fleet::{CancelError, CommandPage, CommandState, NewCommand, SendError},
    rollout::Rollout,
    target::{Pattern, Target},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{find, guest::Guest, query::Query, refused};
use crate::{
    config,
    node::{Node, NodeFleet},
    problem::Problem,
};

/// What POST takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    target: String,
    #[serde(default)]
    labels: BTreeMap<Box<str>, Box<str>>,
    name: String,
    #[serde(default)]
    args: Value,
    deadline: Option<String>,
    key: Option<String>,
    #[serde(default)]
    rollout: Rollout,
}

/// The commands, the latest first.
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    guest: Option<Extension<Guest>>,
    RawQuery(query): RawQuery,
) -> Result<Json<CommandPage>, Problem> {
    let fleet = find(&node)?;
    if let Some(Extension(guest)) = guest {
        // The list names commands for all applications.
        guest.check_target(fleet, &Pattern::default())?;
    }
    let mut query = Query::read(query.as_deref());
    let (limit, after) = (query.limit()?, query.parsed("after", "a command's id")?);
    query.finish()?;
    Ok(Json(fleet.fleet.commands(after, limit)))
}

/// Sends one: 202 when it is accepted, 200 when it was before, under the same key.
pub(super) async fn send(
    State(node): State<Arc<Node>>,
    guest: Option<Extension<Guest>>,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, Problem> {
    let fleet = find(&node)?;
    let Json(body) = body?;
    let guest = guest.map(|Extension(guest)| guest);
    let command = command(body, header_key(&headers)?, Guest::name(guest))?;
    if let Some(guest) = guest {
        guest.check_target(fleet, &command.target.pattern)?;
    }
    let (target, name) = (command.target.pattern.to_string(), command.name.clone());
    let accepted = fleet.fleet.send(command).await.map_err(not_sent)?;
    let (id, expected) = (accepted.id, accepted.expected.len());
    if accepted.repeated {
        let body = json!({ "id": id, "expected": accepted.expected });
        return Ok((StatusCode::OK, Json(body)).into_response());
    }
    tracing::info!(command = %id, %name, %target, expected, by = Guest::name(guest), "command sent");
    let body = json!({ "id": id, "expected": accepted.expected });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// What became of one; `outcomes=none` leaves out at whom.
pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
    guest: Option<Extension<Guest>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let fleet = find(&node)?;
    check_known(fleet, &id, guest)?;
    let mut query = Query::read(query.as_deref());
    let outcomes = query.take("outcomes");
    query.finish()?;
    let state: CommandState =
        id.parse().ok().and_then(|id| fleet.fleet.command(id)).ok_or_else(|| unknown(&id))?;
    match outcomes.as_deref() {
        None | Some("all") => Ok(Json(state).into_response()),
        Some("none") => Ok(Json(state.summary).into_response()),
        Some(_) => Err(Problem::bad_request("outcomes: is neither all nor none")),
    }
}

/// Nobody else is to do it.
pub(super) async fn cancel(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
    guest: Option<Extension<Guest>>,
) -> Result<Response, Problem> {
    let fleet = find(&node)?;
    check_known(fleet, &id, guest)?;
    let known: CommandId = id.parse().map_err(|_| unknown(&id))?;
    fleet.fleet.cancel(known).await.map_err(|error| match error {
        CancelError::NoSuchCommand(_) => unknown(&id),
        CancelError::Refused(why) => refused(&why),
    })?;
    tracing::info!(command = %known, by = Guest::name(guest.map(|Extension(guest)| guest)), "command cancelled");
    let state = fleet.fleet.command(known).ok_or_else(|| unknown(&id))?;
    Ok(Json(state.summary).into_response())
}

/// Refuses a guest a command that it could not have sent; one that is not known is nobody's.
fn check_known(
    fleet: &NodeFleet,
    id: &str,
    guest: Option<Extension<Guest>>,
) -> Result<(), Problem> {
    let Some(Extension(guest)) = guest else { return Ok(()) };
    let known = id.parse().ok().and_then(|id| fleet.fleet.command(id));
    let target = known.and_then(|known| known.summary.target.parse().ok());
    guest.check_target(fleet, &target.ok_or_else(|| unknown(id))?)
}

fn command(body: Body, header_key: Option<String>, by: &str) -> Result<NewCommand, Problem> {
    let Body { target, labels, name, args, deadline, key, rollout } = body;
    let wrong = |error| Problem::bad_request(format!("target: {error}"));
    let target = Target { pattern: target.parse().map_err(wrong)?, labels };
    let mut command = NewCommand::new(target, name);
    if let Some(text) = deadline {
        command.deadline = self::deadline(&text)?;
    }
    command.key = match (header_key, key) {
        (Some(header), Some(body)) if header != body => {
            let what = "key: the body says another one than the header Idempotency-Key";
            return Err(Problem::bad_request(what));
        }
        (header, body) => header.or(body),
    };
    Ok(NewCommand { args, rollout, by: Some(by.to_owned()), ..command })
}

fn deadline(text: &str) -> Result<Duration, Problem> {
    config::parse_duration(text).ok_or_else(|| {
        let what = "deadline: is not a duration; write for example \"30s\", \"5m\" or \"24h\"";
        Problem::bad_request(what)
    })
}

fn header_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let wrong = |_| Problem::bad_request("Idempotency-Key: is not plain text");
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str().map(str::to_owned));
    key.transpose().map_err(wrong)
}

fn not_sent(error: SendError) -> Problem {
    match error {
        SendError::NotACommand(wrong) => Problem::bad_request(wrong.to_string()),
        SendError::Refused(why) => refused(&why),
        SendError::Full => Problem::conflict(error.to_string()),
        SendError::Lost => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no command {id:?}; it may have been forgotten: see everwire fleet status"
    ))
}

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Whom the fleet knows who asks here: whoever may.
pub(super) const BY: &str = "operator";
