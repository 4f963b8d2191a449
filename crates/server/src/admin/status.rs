//! `GET /api/v1/status`: a snapshot of the node.

use std::sync::Arc;

use axum::{Json, extract};
use everwire_backplane::Bus;
use everwire_gateway::pool::State;
use serde_json::{Value, json};

use super::{fleet, hubs};
use crate::node::Node;

pub(super) async fn show(extract::State(node): extract::State<Arc<Node>>) -> Json<Value> {
    let totals = node.gateway.totals();
    let pools: Vec<_> = node.pools().iter().map(|(name, pool)| summary(name, pool)).collect();
    let hubs: Vec<_> = node.hubs.iter().map(|hub| hubs::brief(hub)).collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": node.state(),
        "uptime_seconds": node.uptime().as_secs(),
        "listen": node.listening(),
        "connections": node.metrics.connections.get(),
        "connections_max": node.limits.connections_max,
        "pipes": totals.pipes,
        "pipes_waiting": totals.waiting,
        "buffered_bytes": totals.buffered,
        "buffered_max": node.limits.buffered_max,
        "pools": pools,
        "hubs": hubs,
        "fleet": node.fleet.as_ref().map(|fleet| fleet::brief(fleet)),
        "backplane": node.bus.as_ref().map(|bus| backplane(&**bus)),
    }))
}

/// Whether the backplane answers, and for how long that has been so.
fn backplane(bus: &dyn Bus) -> Value {
    let health = bus.health();
    json!({
        "node": bus.member().node.to_string(),
        "reachable": health.reachable,
        "since_seconds": health.since.as_secs(),
        "refused": health.counts.refused,
        "lost": health.counts.lost,
    })
}

fn summary(name: &str, pool: &everwire_gateway::Pool) -> Value {
    let backends = pool.backends();
    let ready = backends.iter().filter(|backend| backend.state == State::Ready).count();
    let sessions: u64 = backends.iter().map(|backend| u64::from(backend.sessions)).sum();
    json!({ "name": name, "backends": backends.len(), "ready": ready, "sessions": sessions })
}
