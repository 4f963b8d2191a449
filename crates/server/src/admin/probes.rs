//! What machines ask without knowing the API: probes, metrics, and an index for people.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    node::{Node, Phase},
    problem::Problem,
};

/// What there is.
pub(super) async fn index() -> &'static str {
    INDEX
}

/// The process runs and answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Whether clients should be sent here.
pub(super) async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    match node.phase() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Phase::Drained => (StatusCode::SERVICE_UNAVAILABLE, "drained\n"),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// All metrics.
pub(super) async fn metrics(State(node): State<Arc<Node>>) -> Response {
    match node.metrics.page() {
        Ok(page) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Problem::new(status, "the metrics cannot be written").into_response()
        }
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "\
Everwire admin listener

GET    /livez /readyz /metrics
GET    /api/v1/status
GET    /api/v1/pools
GET    /api/v1/pools/{pool}/backends
POST   /api/v1/pools/{pool}/backends              {\"url\": \"ws://127.0.0.1:9001\"}
DELETE /api/v1/pools/{pool}/backends/{id}         answers when its sessions have moved
POST   /api/v1/pools/{pool}/backends/{id}/drain   answers when its sessions have moved
POST   /api/v1/pools/{pool}/backends/{id}/ready
GET    /api/v1/nodes
POST   /api/v1/nodes/{id}/drain                   answers at once; id may be self
GET    /api/v1/hubs
GET    /api/v1/hubs/{hub}/connections
DELETE /api/v1/hubs/{hub}/connections/{id}
GET    /api/v1/hubs/{hub}/groups
POST   /api/hubs/{hub}/:send                      {\"target\": \"Receive\", \"arguments\": [1]}
POST   /api/hubs/{hub}/groups/{group}/:send
POST   /api/hubs/{hub}/users/{user}/:send
POST   /api/hubs/{hub}/connections/{id}/:send
       /api/hubs/{hub}/…                          groups, users, closing, tokens: docs/publishing.md
GET    /api/v1/fleet/instances
GET    /api/v1/fleet/commands
POST   /api/v1/fleet/commands                     {\"target\": \"shop\", \"name\": \"refresh\"}
GET    /api/v1/fleet/commands/{id}
DELETE /api/v1/fleet/commands/{id}
GET    /api/v1/fleet/sets
GET    /api/v1/fleet/sets/{set}                   and …/history, …/diff, …/events
PATCH  /api/v1/fleet/sets/{set}                   {\"changes\": {\"KEY\": \"value\"}}
POST   /api/v1/fleet/sets/{set}/rollback          {\"to\": 7}
GET    /api/v1/events
GET    /api/v1/pipes
GET    /api/v1/pipes/{id}
DELETE /api/v1/pipes/{id}
";
