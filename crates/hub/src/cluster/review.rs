//! Forgetting which connections live at other nodes, once they do not: those nodes are asked now and
//! then. One that has been started anew says so by not knowing them.

use std::sync::Arc;

use super::Mesh;
use crate::{clock, directory::Directory, id::ConnectionId};

/// Asks a node for connections that began there and whose tokens were issued here.
pub(crate) async fn review(
    directory: Arc<Directory>,
    mesh: Arc<Mesh>,
    node: Arc<str>,
    ids: Vec<ConnectionId>,
) {
    let Some(gone) = mesh.review(&node, &ids).await else { return };
    let now = clock::now();
    ids.iter().for_each(|id| directory.confirm_away(*id, now));
    gone.iter().for_each(|id| directory.forget_away(*id));
}

/// Connections that a node is asked for at once.
pub(crate) const REVIEW_MAX: usize = 1024;
