//! `/api/v1/pipes`: the live sessions.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use everwire_gateway::{PipeId, PipeStatus};
use serde_json::{Value, json};

use crate::{node::Node, problem::Problem};

pub(super) async fn list(State(node): State<Arc<Node>>) -> Json<Value> {
    Json(json!({ "items": node.gateway.pipes() }))
}

pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<Json<PipeStatus>, Problem> {
    parse(&id).and_then(|id| node.gateway.pipe(id)).map(Json).ok_or_else(|| unknown(&id))
}

pub(super) async fn close(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match parse(&id) {
        Some(pipe) if node.gateway.close_pipe(pipe) => {
            tracing::info!(pipe = pipe.0, "session closed by the operator");
            Ok(StatusCode::NO_CONTENT)
        }
        _ => Err(unknown(&id)),
    }
}

fn parse(id: &str) -> Option<PipeId> {
    id.parse().ok().map(PipeId)
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no session {id:?}; it may have ended: see everwire pipe ls"
    ))
}
