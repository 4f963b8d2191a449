//! What a method knows of who calls it.

mod claims;
mod items;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use everwire_proto::signalr::negotiate::Transport;
use tokio_util::sync::CancellationToken;

pub use self::{claims::Claims, items::Items};
use crate::{
    Client, ClientRequest, ConnectionId, Hub, HubError, Identity, Recipients, UserId,
    connection::Connection, declared::attendance::checked, presence::Scope, shard::Post,
};

/// One call of a method: who calls, in which hub, and whether the answer is still wanted. Cheap to
/// clone; it may outlive the call.
#[derive(Debug, Clone)]
pub struct Context {
    hub: Hub,
    connection: Arc<Connection>,
    canceled: CancellationToken,
    turn: Turn,
}

/// The turn that a call holds among those of its client, and what is to follow its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_released: AtomicBool,
    afterwards: Mutex<Option<Box<Post>>>,
}

impl Turn {
    /// The call waits for its own client, whose next call may begin meanwhile: the client may be
    /// unable to answer before it.
    pub(crate) fn release(&self) {
        self.0.is_released.store(true, Relaxed);
    }

    /// Whether it has been released since the last time.
    pub(crate) fn take_released(&self) -> bool {
        self.0.is_released.load(Relaxed) && self.0.is_released.swap(false, Relaxed)
    }

    fn afterwards(&self, post: Post) {
        *self.posts() = Some(Box::new(post));
    }

    /// What is to be posted behind the call's answer.
    pub(crate) fn take_afterwards(&self) -> Option<Box<Post>> {
        self.posts().take()
    }

    fn posts(&self) -> MutexGuard<'_, Option<Box<Post>>> {
        self.0.afterwards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// A call by the client of `connection`. `canceled` is canceled when the client wants no more
    /// of this call or is gone.
    pub(crate) const fn new(
        hub: Hub,
        connection: Arc<Connection>,
        canceled: CancellationToken,
        turn: Turn,
    ) -> Self {
        Self { hub, connection, canceled, turn }
    }

    /// The hub, to reach everybody.
    pub const fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The client that calls.
    pub fn caller(&self) -> Client {
        self.hub.connection(self.connection_id()).within(self.turn.clone())
    }

    /// All clients but the one that calls.
    pub fn others(&self) -> Recipients {
        self.hub.all().except([self.connection_id()])
    }

    /// The connection that calls.
    pub fn connection_id(&self) -> ConnectionId {
        self.connection.id()
    }

    /// The user that calls, if the connection has one.
    pub fn user_id(&self) -> Option<&UserId> {
        self.identity().user.as_ref()
    }

    /// Who calls.
    pub fn identity(&self) -> &Identity {
        &self.connection.identity
    }

    /// The request that the connection began with.
    pub fn request(&self) -> &ClientRequest {
        &self.connection.request
    }

    /// How bytes travel between the client and the hub.
    pub fn transport(&self) -> Transport {
        self.connection.transport
    }

    /// The caller is present under this name, until it is [absent](Self::absent) or its connection
    /// ends, however that does. A name that several have is present as long as one of them has it.
    ///
    /// # Errors
    /// If the name is empty or longer than 255 bytes, the caller has 100 names, as many are present
    /// as [may be](crate::Presence::names_max), or the hub was built without
    /// [presence](crate::HubBuilder::presence).
    pub fn present(&self, name: &str) -> Result<(), HubError> {
        let without = || HubError::unexpected("Presence", "The hub has no presence.");
        let attendance = self.hub.attendance().ok_or_else(without)?;
        attendance.enter(self, (Scope::Hub, checked(name)?))
    }

    /// The caller is no longer present under this name; if it was not, nothing happens.
    pub fn absent(&self, name: &str) {
        if let Some(attendance) = self.hub.attendance() {
            attendance.exit(self, name.into());
        }
    }

    /// What the application keeps for this connection, from one call to the next. It does not move to
    /// another node with the session.
    pub fn items(&self) -> &Items {
        &self.connection.items
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

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Has something posted behind the answer to this call.
    pub(crate) fn afterwards(&self, post: Post) {
        self.turn.afterwards(post);
    }

    /// What [`canceled`](Self::canceled) waits for, to be given to others.
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.canceled.clone()
    }
}
