//! Sending: who is to receive, then what.

use std::{sync::Arc, time::Duration};

use everwire_proto::signalr::{
    message::HubMessage,
    payload::{Arguments, EncodeError},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    audience::{Audience, Whom},
    frames::Frames,
    hub::Hub,
    id::{ConnectionId, GroupName},
    replies::Replies,
    shard::Overloaded,
};

/// Some of a hub's clients; see [`Hub::all`] and its neighbours.
#[derive(Debug, Clone)]
pub struct Recipients {
    pub(crate) hub: Hub,
    pub(crate) audience: Audience,
}

/// The memberships of groups; see [`Hub::groups`].
#[derive(Debug, Clone)]
pub struct Groups {
    pub(crate) hub: Hub,
}

/// Why a connection is added to no further group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It is in as many as it may be; see [`HubConfig::groups_max`](crate::HubConfig::groups_max).
    #[error("the connection is in as many groups as it may be")]
    TooMany,
    /// The name is longer than 1,024 bytes.
    #[error("the name of a group is longer than 1024 bytes")]
    TooLong,
}

/// Why nothing was sent: the application's fault, or it publishes more than clients take.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The arguments cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// What was published before has not been delivered, and is as much as may wait. Some of the
    /// receivers may have been sent the message nevertheless.
    #[error("too much that was published has not been delivered")]
    Overloaded,
}

impl Recipients {
    pub(crate) fn new(hub: Hub, whom: Whom) -> Self {
        Self { hub, audience: whom.into() }
    }

    /// All of these but some connections.
    #[must_use]
    pub fn except(mut self, connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        self.audience.except.extend(connections);
        self
    }

    /// Calls a method of each of these clients, and wants no answer. `arguments` is a tuple, a
    /// list or a slice.
    ///
    /// Returns when the message is on its way: what one publisher sends arrives in its order.
    ///
    /// # Errors
    /// See [`SendError`]. That somebody does not receive is none.
    pub fn send(
        &self,
        target: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<(), SendError> {
        self.send_encoded(target, Arguments::encode_all(arguments)?)
    }

    /// The same with arguments that are encoded already, such as a published body.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_encoded(&self, target: &str, arguments: Arguments) -> Result<(), SendError> {
        let frames = Arc::new(Frames::new(HubMessage::call(target, arguments)));
        let audience = Arc::new(self.audience.clone());
        Ok(self.hub.publish(&audience, &frames)?)
    }

    /// Calls a method of each of these clients and gives their answers as they come, for at most
    /// `patience`. The question is encoded once, like a message, and comes after everything that was
    /// sent before. Asked is who is there and has shaken hands when the question gets there. Unlike
    /// with [`Context::caller`](crate::Context::caller), a method that asks does not give up its turn
    /// meanwhile.
    ///
    /// ```no_run
    /// # async fn count(hub: everwire_hub::Hub) -> Result<u32, everwire_hub::SendError> {
    /// let patience = std::time::Duration::from_secs(2);
    /// let mut replies = hub.group("players").invoke::<u32>("Score", &(), patience)?;
    /// let mut sum = 0;
    /// while let Some(reply) = replies.next().await {
    ///     match reply.answer {
    ///         Ok(score) => sum += score,
    ///         Err(error) => eprintln!("{}: {error}", reply.connection),
    ///     }
    /// }
    /// # Ok(sum) }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]; what goes wrong with a client is in its [`Reply`](crate::Reply).
    pub fn invoke<R: DeserializeOwned>(
        &self,
        target: &str,
        arguments: &(impl Serialize + ?Sized),
        patience: Duration,
    ) -> Result<Replies<R>, SendError> {
        let id = self.hub.next_question();
        let message = HubMessage::ask(id.clone(), target, Arguments::encode_all(arguments)?);
        let audience = Arc::new(self.audience.clone());
        let shards = self.hub.survey(&audience, &id, &Arc::new(Frames::new(message)))?;
        Ok(Replies::new(shards, patience))
    }
}

impl From<Overloaded> for SendError {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl Groups {
    /// Adds a connection to a group; what is sent to the group after this reaches it. One that is
    /// gone, or in the group already, changes nothing.
    ///
    /// # Errors
    /// See [`GroupError`]; the groups that the connection is in stay.
    pub fn add(
        &self,
        connection: ConnectionId,
        group: impl Into<GroupName>,
    ) -> Result<(), GroupError> {
        let Some(there) = self.hub.find(connection) else { return Ok(()) };
        there.join(group.into(), self.hub.config().groups_max)
    }

    /// Takes a connection out of a group. When a connection ends this happens by itself.
    pub fn remove(&self, connection: ConnectionId, group: impl Into<GroupName>) {
        if let Some(there) = self.hub.find(connection) {
            there.part(group.into());
        }
    }

    /// Takes a connection out of all groups.
    pub fn remove_from_all(&self, connection: ConnectionId) {
        if let Some(there) = self.hub.find(connection) {
            there.part_all();
        }
    }
}
