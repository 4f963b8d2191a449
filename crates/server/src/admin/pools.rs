//! `/api/v1/pools`: backends while running.
//!
//! Removing and draining answer when the backend's sessions have moved, so that whoever asked can
//! stop the process behind it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderName, StatusCode, header},
};
use everwire_gateway::{
    BackendId, Pool, PoolError,
    config::{BackendConfig, BackendUrl},
    pool::BackendStatus,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{node::Node, problem::Problem};

/// What POST takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackend {
    url: String,
    weight: Option<u32>,
    sessions_max: Option<u32>,
}

pub(super) async fn list(State(node): State<Arc<Node>>) -> Json<Value> {
    let item = |(name, pool): &(String, Pool)| json!({ "name": name, "backends": pool.backends() });
    Json(json!({ "items": node.pools().iter().map(item).collect::<Vec<_>>() }))
}

pub(super) async fn list_backends(
    State(node): State<Arc<Node>>,
    Path(pool): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "items": find_pool(&node, &pool)?.backends() })))
}

pub(super) async fn add(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    body: Result<Json<NewBackend>, JsonRejection>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Value>), Problem> {
    let Json(new) = body?;
    let pool = find_pool(&node, &name)?;
    let backend = backend(&new)?;
    let url = backend.url.to_string();
    let id = pool.add_backend(backend).map_err(|error| problem(&error))?;
    tracing::info!(pool = %name, backend = %url, "backend added");
    let location = (header::LOCATION, format!("/api/v1/pools/{name}/backends/{id}"));
    Ok((StatusCode::CREATED, [location], Json(json!({ "id": id, "url": url }))))
}

pub(super) async fn remove(
    State(node): State<Arc<Node>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (pool, backend) = find_backend(&node, &name, &id)?;
    tracing::info!(pool = %name, backend = %backend.url, "backend is removed; its sessions move");
    moved(&pool, &backend, node.gateway.remove_backend(&pool, backend.id)).await
}

pub(super) async fn drain(
    State(node): State<Arc<Node>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (pool, backend) = find_backend(&node, &name, &id)?;
    tracing::info!(pool = %name, backend = %backend.url, "backend drains; its sessions move");
    node.gateway.drain_backend(&pool, backend.id).map_err(|error| problem(&error))?;
    let emptied = async {
        pool.emptied(backend.id).await;
        Ok(())
    };
    moved(&pool, &backend, emptied).await
}

pub(super) async fn ready(
    State(node): State<Arc<Node>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let (pool, backend) = find_backend(&node, &name, &id)?;
    pool.ready_backend(backend.id).map_err(|error| problem(&error))?;
    tracing::info!(pool = %name, backend = %backend.url, "backend is ready");
    Ok(Json(json!({ "id": backend.id, "url": backend.url })))
}

/// Waits until the backend has no sessions: 200 then, 202 if it still has some at the limit.
async fn moved(
    pool: &Pool,
    backend: &BackendStatus,
    moving: impl Future<Output = Result<(), PoolError>>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let status = match tokio::time::timeout(MOVE_TIMEOUT, moving).await {
        Ok(moved) => moved.map(|()| StatusCode::OK).map_err(|error| problem(&error))?,
        Err(_) => StatusCode::ACCEPTED,
    };
    let sessions_left = pool
        .backends()
        .iter()
        .find(|other| other.id == backend.id)
        .map_or(0, |other| other.sessions);
    let body = json!({
        "id": backend.id,
        "url": backend.url,
        "moved": backend.sessions.saturating_sub(sessions_left),
        "sessions": sessions_left,
    });
    Ok((status, Json(body)))
}

fn backend(new: &NewBackend) -> Result<BackendConfig, Problem> {
    let url: BackendUrl =
        new.url.parse().map_err(|error| Problem::bad_request(format!("url: {error}")))?;
    let weight = new.weight.unwrap_or(1);
    if !(1..=WEIGHT_MAX).contains(&weight) {
        return Err(Problem::bad_request(format!("weight: not from 1 to {WEIGHT_MAX}")));
    }
    if new.sessions_max == Some(0) {
        return Err(Problem::bad_request("sessions_max: at least 1; leave it out for no limit"));
    }
    Ok(BackendConfig { url, weight, sessions_max: new.sessions_max })
}

fn find_pool(node: &Node, name: &str) -> Result<Pool, Problem> {
    node.pool(name).ok_or_else(|| {
        let names: Vec<_> = node.pools().into_iter().map(|(name, _)| name).collect();
        Problem::unknown("pool", name, &names)
    })
}

fn find_backend(node: &Node, name: &str, id: &str) -> Result<(Pool, BackendStatus), Problem> {
    let pool = find_pool(node, name)?;
    let wanted = id.parse::<BackendId>().ok();
    let found = pool.backends().into_iter().find(|backend| Some(backend.id) == wanted);
    match found {
        Some(backend) => Ok((pool, backend)),
        None => Err(Problem::not_found(format!("the pool {name} has no backend {id:?}"))),
    }
}

fn problem(error: &PoolError) -> Problem {
    Problem::conflict(error.to_string())
}

/// As in the configuration.
const WEIGHT_MAX: u32 = 1000;

/// Longer than any sensible `drain_max` and the dial behind it. What has not moved by then is
/// reported, not waited for.
const MOVE_TIMEOUT: Duration = Duration::from_secs(120);
