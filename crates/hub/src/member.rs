//! One connection, as somebody sees it who looks who is there.

use everwire_proto::signalr::negotiate::Transport;

use crate::{
    connection::Connection,
    id::{ConnectionId, GroupName, UserId},
};

/// A connection of a hub at the moment when somebody looked; see
/// [`Recipients::members_now`](crate::Recipients::members_now).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which connection.
    pub id: ConnectionId,
    /// Whose, if it is a user's.
    pub user: Option<UserId>,
    /// How it is connected.
    pub transport: Transport,
    /// Its groups.
    pub groups: Vec<GroupName>,
}

impl Member {
    pub(crate) fn of(connection: &Connection, groups: &[GroupName]) -> Self {
        Self {
            id: connection.id(),
            user: connection.identity.user.clone(),
            transport: connection.transport,
            groups: groups.to_vec(),
        }
    }
}
