//! Who is to receive a message: plain data that any shard resolves for itself.

use crate::id::{ConnectionId, GroupName, UserId};

/// Receivers, and who of them is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Audience {
    pub(crate) whom: Whom,
    pub(crate) except: Vec<ConnectionId>,
}

/// Receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Every connection.
    All,
    /// The members of any of these groups, each once.
    Groups(Vec<GroupName>),
    /// The connections of any of these users, each once.
    Users(Vec<UserId>),
    /// These connections.
    Connections(Vec<ConnectionId>),
}

impl From<Whom> for Audience {
    fn from(whom: Whom) -> Self {
        Self { whom, except: Vec::new() }
    }
}
