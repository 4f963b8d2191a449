//! `/api/v1/nodes`: the nodes of the backplane, and emptying one of them.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use crate::{node::Node, problem::Problem};

pub(super) async fn list(State(node): State<Arc<Node>>) -> Json<Value> {
    Json(json!({ "items": node.describe_all().await }))
}

/// Answers at once; how far it has come is in the list.
pub(super) async fn drain(
    State(node): State<Arc<Node>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    match node.drain_node(&id).await {
        Some(described) => {
            tracing::info!(node = %id, "node is drained by the operator");
            Ok((StatusCode::ACCEPTED, Json(described)))
        }
        None => Err(Problem::not_found(format!(
            "there is no node {id:?} that answers; see everwire node ls"
        ))),
    }
}
