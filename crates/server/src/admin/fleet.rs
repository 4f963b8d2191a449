//! `/api/v1/fleet` and `/api/v1/events`: instances, commands, sets, and what happens to them.

mod address;
mod commands;
mod events;
mod follow;
pub(super) mod guest;
mod instances;
mod patch;
mod query;
mod sets;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    routing::{any, get},
};
use everwire_fleet::book::Refused;
use serde_json::{Value, json};

use crate::{
    node::{Node, NodeFleet},
    problem::Problem,
};

/// The addresses of the fleet.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/fleet/instances", get(instances::list))
        .route("/fleet/commands", get(commands::list).post(commands::send))
        .route("/fleet/commands/{id}", get(commands::show).delete(commands::cancel))
        .route("/fleet/sets", get(sets::list))
        .route("/fleet/sets/{*rest}", any(sets::answer))
        .route("/events", get(events::all))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

/// The fleet as `status` shows it.
pub(super) fn brief(fleet: &NodeFleet) -> Value {
    let (present, away) = fleet.present_and_away();
    json!({ "path": fleet.path, "present": present, "away": away })
}

/// The node's fleet, if it has one.
fn find(node: &Node) -> Result<&NodeFleet, Problem> {
    let none =
        "this node has no fleet; write [fleet] in its configuration, or start it with --fleet";
    node.fleet.as_deref().ok_or_else(|| Problem::not_found(none))
}

/// The log did not take something.
fn refused(refused: &Refused) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string())
}

/// The largest change of a set, and some.
const BODY_MAX: usize = 8 << 20;
