//! The groups that users are to be in, whichever of their connections come and go, on all nodes: each
//! remembers all of it, is told by the others what changes, and reads the rest from them when it starts.
//!
//! What is remembered is changed first, then the connections that are there. One that comes meanwhile
//! is either counted among those, or reads what is remembered after the change: it comes under the
//! lock of the memory. Changes of users wait for each other, so that connections and memory agree.

mod learning;
mod memory;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::Refusal;
use everwire_proto::time::Time;

pub(crate) use self::memory::{Kind, Stay};
use self::{learning::Learning, memory::Memory};
use crate::{
    audience::{Audience, Whom},
    clock,
    config::HubConfig,
    connection::{Connection, groups::NAME_MAX},
    fanout::{
        Across, Fanout,
        envelope::Envelope,
        request::{Request, read_flag},
    },
    id::{ConnectionId, GroupName, UserId},
    member::Member,
    recipients::{GroupError, Groups},
    shard::{Post, ShardHandle},
    treatment::Treatment,
};

/// The memory, and who is told when a time is over.
#[derive(Debug)]
pub(crate) struct Standing {
    memory: Mutex<Memory>,
    /// Held by who changes what users are in.
    turn: tokio::sync::Mutex<()>,
    learning: Mutex<Learning>,
    shards: Box<[Arc<ShardHandle>]>,
    inbox_max: usize,
    groups_max: usize,
}

/// Why a user is not, or not with every connection, added to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// More memberships of users are remembered than may be: nothing is changed.
    #[error("{STAYS_MAX} memberships of users are remembered, which is as many as may be")]
    TooMany,
    /// A connection cannot be added; the others are.
    #[error(transparent)]
    Connection(#[from] GroupError),
    /// On this node it is done, and other nodes cannot be told.
    #[error("it is done on this node, and others cannot be told: {0}")]
    NotStored(#[from] Refusal),
}

/// What is said of the groups that users are to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A user is to be in a group for so long, or for as long as may be.
    Add {
        user: UserId,
        group: GroupName,
        stay: Option<Duration>,
    },
    Remove {
        user: UserId,
        group: GroupName,
    },
    RemoveAll {
        user: UserId,
    },
}

impl Groups {
    /// Adds a user to a group for so long, at most and by default for a year: the connections that
    /// are there, on all nodes, and those that come until then. For no time at all it is only those that
    /// are there, which stay. When the time is over the user's connections leave the group, those included
    /// that joined it by themselves. Of what is added without a time the latest 100 groups of a user stay.
    ///
    /// Each node remembers it. Where two nodes say different things of the same user and group in the
    /// same moment, each node goes by what it hears last.
    ///
    /// # Errors
    /// See [`StandingError`].
    pub async fn add_user(
        &self,
        user: impl Into<UserId>,
        group: impl Into<GroupName>,
        stay: Option<Duration>,
    ) -> Result<(), StandingError> {
        self.change(Change::Add { user: user.into(), group: group.into(), stay }).await
    }

    /// Takes a user out of a group, on all nodes: all connections, and those that come later.
    ///
    /// # Errors
    /// [`StandingError::NotStored`].
    pub async fn remove_user(
        &self,
        user: impl Into<UserId>,
        group: impl Into<GroupName>,
    ) -> Result<(), StandingError> {
        self.change(Change::Remove { user: user.into(), group: group.into() }).await
    }

    /// Takes a user out of all groups, on all nodes: all connections, and those that come later.
    ///
    /// # Errors
    /// [`StandingError::NotStored`].
    pub async fn remove_user_from_all(&self, user: impl Into<UserId>) -> Result<(), StandingError> {
        self.change(Change::RemoveAll { user: user.into() }).await
    }

    /// Whether a user is in a group: one of its connections is, on any node, or will be when it comes.
    pub async fn has_user(
        &self,
        user: impl Into<UserId>,
        group: impl Into<GroupName>,
    ) -> Across<bool> {
        let (user, group) = (user.into(), group.into());
        let here = self.has_user_here(&user, &group).await;
        match self.hub.fanout().filter(|_| !here) {
            Some(fanout) => {
                let request = Request::HasUser { user, group };
                fanout.gather(&request, false, read_flag, |one, other| one | other).await
            }
            None => Across::here(here),
        }
    }

    pub(crate) async fn has_user_here(&self, user: &UserId, group: &GroupName) -> bool {
        self.hub.standing().has(user, group)
            || self.connections_of(user).await.iter().any(|member| member.groups.contains(group))
    }

    /// Does what another node says.
    pub(crate) async fn follow(&self, change: &Change) -> Result<(), StandingError> {
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        standing.learning().note(change);
        self.apply(change).await
    }

    /// Takes over what another node remembers, unless something newer was said of it.
    pub(crate) async fn learn(&self, Stay { user, group, left, kind }: Stay) {
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        if standing.has(&user, &group) || standing.learning().has_removed(&user, &group) {
            return;
        }
        if standing.memory().learn(&user, &group, left, kind, clock::now()) {
            for member in self.connections_of(&user).await {
                // Its own limit is told to whoever adds to it.
                let _ = self.add_here(member.id, &group);
            }
        }
    }

    /// Changes what is here, and tells the other nodes in the same order.
    async fn change(&self, change: Change) -> Result<(), StandingError> {
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        standing.learning().note(&change);
        let applied = self.apply(&change).await;
        if matches!(applied, Err(StandingError::TooMany)) {
            return applied;
        }
        if let Some(fanout) = self.hub.fanout() {
            // What becomes of it later is told by the counters of the bus.
            drop(fanout.say(&Envelope::Users(change))?);
        }
        applied
    }

    async fn apply(&self, change: &Change) -> Result<(), StandingError> {
        match change {
            Change::Add { user, group, stay } => self.apply_addition(user, group, *stay).await,
            Change::Remove { user, group } => {
                self.hub.standing().memory().remove(user, group);
                for member in self.connections_of(user).await {
                    self.remove_here(member.id, group.clone());
                }
                Ok(())
            }
            Change::RemoveAll { user } => {
                self.hub.standing().memory().remove_all(user);
                for member in self.connections_of(user).await {
                    self.hub.leave_all_here(member.id);
                }
                Ok(())
            }
        }
    }

    async fn apply_addition(
        &self,
        user: &UserId,
        group: &GroupName,
        stay: Option<Duration>,
    ) -> Result<(), StandingError> {
        let outdated = match stay {
            Some(Duration::ZERO) => None,
            stay => self.hub.standing().remember(user, group, stay)?,
        };
        let mut all = Ok(());
        for member in self.connections_of(user).await {
            if let Some(outdated) = &outdated {
                self.remove_here(member.id, outdated.clone());
            }
            if let Err(error) = self.add_here(member.id, group) {
                all = Err(error.into());
            }
        }
        all
    }

    fn add_here(&self, connection: ConnectionId, group: &GroupName) -> Result<(), GroupError> {
        let _order = self.hub.fanout().map(Fanout::in_order);
        let Some(there) = self.hub.find(connection) else { return Ok(()) };
        there.join(group.clone(), self.hub.config().groups_max)?;
        self.tell_successor(&there, group.clone(), true)
    }

    /// The connections of a user on this node.
    async fn connections_of(&self, user: &UserId) -> Vec<Member> {
        self.hub.user(user.clone()).members_now().await
    }
}

impl Standing {
    pub(crate) fn new(shards: Box<[Arc<ShardHandle>]>, config: &HubConfig) -> Self {
        let HubConfig { inbox_max, groups_max, .. } = *config;
        let memory = Mutex::new(Memory::new(STAYS_MAX));
        let (turn, learning) = Default::default();
        Self { memory, turn, learning, shards, inbox_max, groups_max }
    }

    /// The node has begun to listen to others, and learns from those it meets now.
    pub(crate) fn begin_learning(&self, now: Time) {
        *self.learning() = Learning::begin(now);
    }

    /// Whether it still does.
    pub(crate) fn learns(&self, now: Time) -> bool {
        self.learning().is_on(now)
    }

    /// Some of what is remembered, behind a cursor, and the cursor behind that if there is more.
    pub(crate) fn page(&self, after: Option<&Bytes>) -> (Vec<Stay>, Option<Bytes>) {
        self.memory().page(after, PAGE_MAX, clock::now())
    }

    /// Takes a connection in, and into its user's groups.
    pub(crate) fn arrive(&self, user: &UserId, connection: &Arc<Connection>) {
        let memory = self.memory();
        connection.shard.arrive(Arc::clone(connection));
        for group in memory.groups(user) {
            if let Err(error) = connection.join(group.clone(), self.groups_max) {
                tracing::debug!(connection = %connection.id(), %error, "not in all of its user's groups");
                return;
            }
        }
    }

    /// Has users leave the groups where their time is over.
    pub(crate) fn sweep(&self, now: Time) {
        let mut memory = self.memory();
        // A few at a time, so that nobody waits long; the rest is done a second later.
        for _ in 0..SWEPT_MAX {
            let Some((user, group)) = memory.next_over(now) else { return };
            if !self.part(&user, &group) {
                return;
            }
            memory.remove(&user, &group);
        }
    }

    /// Has the connections of a user leave a group; gives whether all have been told.
    fn part(&self, user: &UserId, group: &GroupName) -> bool {
        let audience = Arc::new(Audience::from(Whom::Users(vec![user.clone()])));
        let told = self.shards.iter().filter(|shard| shard.members() > 0).map(|shard| {
            let post = Post::Handle(Arc::clone(&audience), Treatment::Part(group.clone()));
            shard.publish(post, Treatment::CHARGED, self.inbox_max).is_ok()
        });
        told.fold(true, |all, told| all & told)
    }

    /// Remembers a membership; gives the group that the user has to leave for it, if any.
    fn remember(
        &self,
        user: &UserId,
        group: &GroupName,
        stay: Option<Duration>,
    ) -> Result<Option<GroupName>, StandingError> {
        if group.as_str().len() > NAME_MAX {
            return Err(GroupError::TooLong.into());
        }
        self.memory().add(user, group, stay, clock::now()).ok_or(StandingError::TooMany)
    }

    /// Whether it is remembered that a user is in a group.
    fn has(&self, user: &UserId, group: &GroupName) -> bool {
        self.memory().groups(user).any(|there| there == group)
    }

    fn learning(&self) -> MutexGuard<'_, Learning> {
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memberships of users that are remembered in one hub, about 30 MB of them.
const STAYS_MAX: usize = 100_000;

/// Memberships of one page: with the longest names some 2 MiB.
const PAGE_MAX: usize = 1000;

/// Memberships that end within a second.
const SWEPT_MAX: usize = 10_000;
