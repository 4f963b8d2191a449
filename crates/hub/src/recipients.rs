//! Sending: who is to receive, then what.

mod groups;

use std::{sync::Arc, time::Duration};

use everwire_backplane::{Fate, Position, Publishing, Refusal};
use everwire_proto::signalr::{
    message::HubMessage,
    payload::{Arguments, EncodeError},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    audience::{Audience, Whom},
    fanout::{
        Across, Fanout,
        afar::Elsewhere,
        envelope::write_body,
        request::{Request, read_count, read_members},
    },
    frames::Frames,
    hub::Hub,
    id::ConnectionId,
    member::Member,
    replies::Replies,
    shard::Overloaded,
};

/// Some of a hub's clients; see [`Hub::all`] and its neighbours.
#[derive(Debug, Clone)]
pub struct Recipients {
    pub(crate) hub: Hub,
    pub(crate) audience: Audience,
    reach: Reach,
}

/// How far something that is sent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To all nodes of the hub.
    Everywhere,
    /// To this node's clients.
    Here,
}

/// The memberships of groups; see [`Hub::groups`].
#[derive(Debug, Clone)]
pub struct Groups {
    pub(crate) hub: Hub,
}

/// What became of a message on its way to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was for nobody elsewhere: the hub has no other nodes, or these clients are all here.
    Here,
    /// The backplane has it, at or before this position of the hub's channel.
    Stored(Position),
    /// It may have reached other nodes: this one left the bus before it was confirmed.
    Unknown,
}

/// Why a connection is added to no further group, or not removed from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The connection is not here, and other nodes cannot be told.
    #[error("the connection is not on this node, and others cannot be told: {0}")]
    NotStored(#[from] Refusal),
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
    /// This node's clients were sent the message, those of other nodes will not be; of a channel with a
    /// [history](crate::History) nobody is.
    #[error("other nodes cannot be told: {0}")]
    NotStored(#[from] Refusal),
}

impl Recipients {
    pub(crate) fn new(hub: Hub, whom: Whom) -> Self {
        Self { hub, audience: whom.into(), reach: Reach::Everywhere }
    }

    /// An audience that another node has resolved.
    pub(crate) const fn of(hub: Hub, audience: Audience) -> Self {
        Self { hub, audience, reach: Reach::Everywhere }
    }

    /// All of these but some connections.
    #[must_use]
    pub fn except(mut self, connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        self.audience.except.extend(connections);
        self
    }

    /// Those of them that are on this node.
    pub(crate) fn here(mut self) -> Self {
        self.reach = Reach::Here;
        self
    }

    pub(crate) fn is_everywhere(&self) -> bool {
        self.reach == Reach::Everywhere
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
        // Who wants to know what becomes of it elsewhere asks for that.
        self.publish(target, arguments).map(drop)
    }

    /// Calls a method of each of these clients like [`send`](Self::send), and waits until it is known
    /// what became of the message on its way to other nodes, or into the channel's
    /// [history](crate::History). Without a history this node's clients are sent it at once, whatever
    /// that is.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_confirmed(
        &self,
        target: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Sent, SendError> {
        match self.publish(target, Arguments::encode_all(arguments)?)? {
            None => Ok(Sent::Here),
            Some(publishing) => match publishing.await {
                Fate::Stored(position) => Ok(Sent::Stored(position)),
                Fate::NotStored(refusal) => Err(refusal.into()),
                Fate::Unknown => Ok(Sent::Unknown),
            },
        }
    }

    fn publish(&self, target: &str, arguments: Arguments) -> Result<Option<Publishing>, SendError> {
        let message = HubMessage::call(target, arguments);
        if self.reach == Reach::Everywhere
            && let Some(publishing) = self.hub.record(&self.audience, &message)?
        {
            return Ok(Some(publishing));
        }
        let frames = Arc::new(Frames::new(message));
        let audience = Arc::new(self.audience.clone());
        let _order = self.hub.fanout().map(Fanout::in_order);
        self.hub.publish(&audience, &frames)?;
        match self.reach {
            Reach::Everywhere => self.hub.publish_elsewhere(&audience, &frames),
            Reach::Here => Ok(None),
        }
    }

    /// How many connections these are now, on all nodes.
    pub async fn count(&self) -> Across<usize> {
        let here = self.hub.count_here(&Arc::new(self.audience.clone())).await;
        let fanout = self.hub.fanout().filter(|_| self.reach == Reach::Everywhere);
        match (fanout, self.hub.elsewhere(&self.audience)) {
            (Some(fanout), Some(away)) => {
                let request = Request::Count(away);
                fanout.gather(&request, here, read_count, |one, other| one + other).await
            }
            _ => Across::here(here),
        }
    }

    /// Some of these connections, on all nodes, in the order of their ids: at most so many behind one
    /// of them. The next page is behind the last of this one. Who comes or goes meanwhile may be
    /// missing or not; nobody is there twice.
    pub async fn page(&self, after: Option<ConnectionId>, limit: usize) -> Across<Vec<Member>> {
        let limit = limit.min(PAGE_MAX);
        let here = self.page_now(after, limit).await;
        match (self.hub.fanout(), self.hub.elsewhere(&self.audience)) {
            (Some(fanout), Some(audience)) => {
                let request = Request::Page { audience, after, limit: limit as u32 };
                let merge = |one, other| merge(one, other, limit);
                fanout.gather(&request, here, read_members, merge).await
            }
            _ => Across::here(here),
        }
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
        let arguments = Arguments::encode_all(arguments)?;
        let audience = Arc::new(self.audience.clone());
        let elsewhere = self.hub.elsewhere(&audience).and_then(|away| {
            let body = write_body(target, &arguments);
            Elsewhere::ask(&self.hub, &away, body, Some(patience))
        });
        let message = HubMessage::ask(id.clone(), target, arguments);
        let shards = self.hub.survey(&audience, &id, &Arc::new(Frames::new(message)))?;
        Ok(Replies::new(shards, elsewhere, patience))
    }
}

impl From<Overloaded> for SendError {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

/// What several nodes say, as one: connections in the order of their ids.
fn merge(mut one: Vec<Member>, other: Vec<Member>, limit: usize) -> Vec<Member> {
    one.extend(other);
    one.sort_unstable_by_key(|member| member.id);
    one.dedup_by_key(|member| member.id);
    one.truncate(limit);
    one
}

/// Connections of one page: with a few groups each, a page fits a payload of the bus.
const PAGE_MAX: usize = 1000;
