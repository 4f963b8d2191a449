//! `GET /api/v1/fleet/instances`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use everwire_fleet::fleet::InstancePage;

use super::{find, query::Query};
use crate::{node::Node, problem::Problem};

/// The instances on all nodes, in the order of their names.
pub(super) async fn list(
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
) -> Result<Json<InstancePage>, Problem> {
    let fleet = find(&node)?;
    let mut query = Query::read(query.as_deref());
    let limit = query.limit()?;
    let after = query.parsed("after", "the name of an instance, app:index:id")?;
    let target = query.target()?;
    query.finish()?;
    Ok(Json(fleet.fleet.instances(&target, after.as_ref(), limit)))
}
