//! `/api/v1/hubs`: the hubs, who is connected, and in which groups.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use everwire_hub::{ConnectionId, GroupName, Member};
use serde_json::{Value, json};

use crate::{
    node::{Node, NodeHub},
    problem::Problem,
};

pub(super) async fn list(State(node): State<Arc<Node>>) -> Json<Value> {
    let items: Vec<_> = node.hubs.iter().map(|hub| summary(hub)).collect();
    Json(json!({ "items": items }))
}

pub(super) async fn list_connections(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let members = find(&node, &name)?.hub.members_now().await;
    let items: Vec<_> = members.iter().map(connection).collect();
    Ok(Json(json!({ "items": items })))
}

pub(super) async fn list_groups(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let mut groups: BTreeMap<GroupName, usize> = BTreeMap::new();
    for member in find(&node, &name)?.hub.members_now().await {
        for group in member.groups {
            *groups.entry(group).or_default() += 1;
        }
    }
    let item = |(group, connections): (&GroupName, &usize)| json!({ "name": group.as_str(), "connections": connections });
    Ok(Json(json!({ "items": groups.iter().map(item).collect::<Vec<_>>() })))
}

pub(super) async fn close(
    State(node): State<Arc<Node>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let hub = find(&node, &name)?;
    let unknown = || {
        Problem::not_found(format!(
            "the hub {name} has no connection {id:?}; it may have ended: see everwire hub ls {name}"
        ))
    };
    let connection = parse(&id).ok_or_else(unknown)?;
    if !hub.hub.abort(connection) {
        return Err(unknown());
    }
    tracing::info!(hub = %name, %connection, "connection closed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

/// The hub as `status` shows it.
pub(super) fn brief(hub: &NodeHub) -> Value {
    json!({ "name": hub.name, "path": hub.path, "connections": hub.hub.connected() })
}

fn summary(hub: &NodeHub) -> Value {
    let totals = hub.hub.totals();
    json!({
        "name": hub.name,
        "path": hub.path,
        "connections": totals.connected,
        "messages_in": totals.received,
        "messages_out": totals.delivered,
        "messages_queued": totals.queued,
        "messages_dropped": totals.dropped,
        "slow_consumers": totals.slow,
        "refused": hub.refused.get(),
    })
}

fn connection(member: &Member) -> Value {
    let groups: Vec<_> = member.groups.iter().map(GroupName::as_str).collect();
    json!({
        "id": member.id.to_string(),
        "user": member.user.as_ref().map(everwire_hub::UserId::as_str),
        "transport": member.transport.name(),
        "groups": groups,
    })
}

fn find<'n>(node: &'n Node, name: &str) -> Result<&'n NodeHub, Problem> {
    node.hubs.find(name).map(|hub| &**hub).ok_or_else(|| node.hubs.unknown(name))
}

fn parse(id: &str) -> Option<ConnectionId> {
    id.parse().ok()
}
