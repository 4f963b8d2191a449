//! What an application is told about its connection.

use std::{fmt, sync::Arc};

use crate::error::{CloseReason, Loss};

/// Where a connection stands. A socket that is replaced within its session changes nothing here.
#[derive(Debug, Clone)]
pub enum State {
    /// The first connection is being made.
    Connecting,
    /// The first connection is open.
    Connected {
        /// Its id; `None` if negotiation was skipped.
        connection_id: Option<ConnectionId>,
    },
    /// The connection is lost, and others are tried. What is said now is refused.
    Reconnecting {
        /// How it was lost.
        loss: Loss,
    },
    /// Another connection is open. To the server it is a stranger: it is in no group, and calls
    /// that were in flight have failed.
    Reconnected {
        /// Its id; `None` if negotiation was skipped.
        connection_id: Option<ConnectionId>,
    },
    /// There will be no other connection.
    Closed {
        /// Why.
        why: Arc<CloseReason>,
    },
}

/// The public name of a connection, by which a server sends to it alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionId(Arc<str>);

impl State {
    /// Whether something can be sent.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Connected { .. } | Self::Reconnected { .. })
    }

    /// The id of the connection that is open.
    pub fn connection_id(&self) -> Option<ConnectionId> {
        match self {
            Self::Connected { connection_id } | Self::Reconnected { connection_id } => {
                connection_id.clone()
            }
            Self::Connecting | Self::Reconnecting { .. } | Self::Closed { .. } => None,
        }
    }
}

impl ConnectionId {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The id as it was given by the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
