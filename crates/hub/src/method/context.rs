//! What a method knows of who calls it.
//!
//! The connection fills a [`Caller`] once and a [`Context`] for each call. Everything here is cheap
//! to clone and may outlive the call.

mod claims;
mod items;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use self::{claims::Claims, items::Items};
use crate::{ConnectionId, Hub, UserId};

/// Who is at the other end of a connection, for as long as the connection lasts.
#[derive(Debug)]
pub struct Caller {
    /// The connection.
    pub connection: ConnectionId,
    /// The user, if there is one.
    pub user: Option<UserId>,
    /// What is known of the user.
    pub claims: Claims,
    /// What the application keeps for the connection.
    pub items: Items,
}

/// One call of a method: who calls, in which hub, and whether the answer is still wanted.
#[derive(Debug, Clone)]
pub struct Context {
    caller: Arc<Caller>,
    hub: Hub,
    canceled: CancellationToken,
}

impl Caller {
    /// A connection of nobody in particular.
    pub fn anonymous(connection: ConnectionId) -> Self {
        Self { connection, user: None, claims: Claims::default(), items: Items::default() }
    }
}

impl Context {
    /// A call by `caller`. `canceled` is canceled when the client wants no more of this call or is
    /// gone.
    pub const fn new(caller: Arc<Caller>, hub: Hub, canceled: CancellationToken) -> Self {
        Self { caller, hub, canceled }
    }

    /// The connection that calls.
    pub fn connection_id(&self) -> ConnectionId {
        self.caller.connection
    }

    /// The user that calls, if the connection has one.
    pub fn user_id(&self) -> Option<&UserId> {
        self.caller.user.as_ref()
    }

    /// What is known of the user.
    pub fn claims(&self) -> &Claims {
        &self.caller.claims
    }

    /// What the application keeps for this connection, from one call to the next.
    pub fn items(&self) -> &Items {
        &self.caller.items
    }

    /// The hub, to reach everybody else.
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Whether the client wants no more of this call, or is gone.
    pub fn is_canceled(&self) -> bool {
        self.canceled.is_cancelled()
    }

    /// Ready once the client wants no more of this call, or is gone. A stream ends by itself then;
    /// a method goes on until it returns.
    pub async fn canceled(&self) {
        self.canceled.cancelled().await;
    }

    /// What [`canceled`](Self::canceled) waits for, to be given to others.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.canceled.clone()
    }
}
