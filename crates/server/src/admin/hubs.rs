//! `/api/v1/hubs`: the hubs, who is connected, and in which groups.

use std::sync::Arc;

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
    let mut items = Vec::new();
    for hub in node.hubs.iter() {
        items.push(summary(hub).await);
    }
    Json(json!({ "items": items }))
}

/// The connections of all nodes, in the order of their ids, and how many nodes have not answered.
pub(super) async fn list_connections(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let all = find(&node, &name)?.hub.all();
    let (mut items, mut unreached, mut after) = (Vec::new(), 0, None);
    loop {
        let page = all.page(after, PAGE).await;
        unreached = unreached.max(page.unreached);
        items.extend(page.value.iter().map(connection));
        match page.value.last() {
            Some(last) if page.value.len() == PAGE => after = Some(last.id),
            _ => return Ok(Json(json!({ "items": items, "unreached": unreached }))),
        }
    }
}

/// The groups that have members on any node, in the order of their names.
pub(super) async fn list_groups(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    let groups = find(&node, &name)?.hub.groups();
    let (mut items, mut unreached, mut after) = (Vec::new(), 0, None);
    loop {
        let page = groups.page(after.as_ref(), PAGE).await;
        unreached = unreached.max(page.unreached);
        let item = |(group, connections): &(GroupName, usize)| json!({ "name": group.as_str(), "connections": connections });
        items.extend(page.value.iter().map(item));
        match page.value.into_iter().enumerate().last() {
            Some((at, (last, _))) if at + 1 == PAGE => after = Some(last),
            _ => return Ok(Json(json!({ "items": items, "unreached": unreached }))),
        }
    }
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
    if !hub.hub.abort(connection).await.value {
        return Err(unknown());
    }
    tracing::info!(hub = %name, %connection, "connection closed by the operator");
    Ok(StatusCode::NO_CONTENT)
}

/// The hub as `status` shows it.
pub(super) fn brief(hub: &NodeHub) -> Value {
    json!({ "name": hub.name, "path": hub.path, "connections": hub.hub.connected() })
}

async fn summary(hub: &NodeHub) -> Value {
    let totals = hub.hub.totals();
    let everywhere = hub.hub.all().count().await;
    json!({
        "name": hub.name,
        "path": hub.path,
        "connections": totals.connected,
        "connections_everywhere": everywhere.value,
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

/// Connections, or groups, that are asked for at once.
const PAGE: usize = 1000;
