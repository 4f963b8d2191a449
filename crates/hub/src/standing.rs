//! The groups that users are to be in, whichever of their connections come and go.
//!
//! What is remembered is changed first, then the connections that are there. One that comes meanwhile
//! is either counted among those, or reads what is remembered after the change: it comes under the
//! lock of the memory. Changes of users wait for each other, so that connections and memory agree.

mod memory;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use everwire_proto::time::Time;

use self::memory::Memory;
use crate::{
    audience::{Audience, Whom},
    clock,
    config::HubConfig,
    connection::{Connection, groups::NAME_MAX},
    id::{GroupName, UserId},
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
}

impl Groups {
    /// Adds a user to a group for so long, at most and by default for a year: the connections that
    /// are there, and those that come until then. For no time at all it is only those that are there,
    /// which stay. When the time is over the user's connections leave the group, those included that
    /// joined it by themselves. Of what is added without a time the latest 100 groups of a user stay.
    ///
    /// # Errors
    /// See [`StandingError`].
    pub async fn add_user(
        &self,
        user: impl Into<UserId>,
        group: impl Into<GroupName>,
        stay: Option<Duration>,
    ) -> Result<(), StandingError> {
        let (user, group) = (user.into(), group.into());
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        let outdated = match stay {
            Some(Duration::ZERO) => None,
            stay => standing.remember(&user, &group, stay)?,
        };
        let mut all = Ok(());
        for member in self.connections_of(&user).await {
            if let Some(outdated) = &outdated {
                self.remove(member.id, outdated.clone());
            }
            if let Err(error) = self.add(member.id, group.clone()) {
                all = Err(error.into());
            }
        }
        all
    }

    /// Takes a user out of a group: all connections, and those that come later.
    pub async fn remove_user(&self, user: impl Into<UserId>, group: impl Into<GroupName>) {
        let (user, group) = (user.into(), group.into());
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        standing.memory().remove(&user, &group);
        for member in self.connections_of(&user).await {
            self.remove(member.id, group.clone());
        }
    }

    /// Takes a user out of all groups: all connections, and those that come later.
    pub async fn remove_user_from_all(&self, user: impl Into<UserId>) {
        let user = user.into();
        let standing = self.hub.standing();
        let _turn = standing.turn.lock().await;
        standing.memory().remove_all(&user);
        for member in self.connections_of(&user).await {
            self.remove_from_all(member.id);
        }
    }

    /// Whether a user is in a group: one of its connections is, or will be when it comes.
    pub async fn has_user(&self, user: impl Into<UserId>, group: impl Into<GroupName>) -> bool {
        let (user, group) = (user.into(), group.into());
        if self.hub.standing().has(&user, &group) {
            return true;
        }
        self.connections_of(&user).await.iter().any(|member| member.groups.contains(&group))
    }

    async fn connections_of(&self, user: &UserId) -> Vec<Member> {
        self.hub.user(user.clone()).members_now().await
    }
}

impl Standing {
    pub(crate) fn new(shards: Box<[Arc<ShardHandle>]>, config: &HubConfig) -> Self {
        let HubConfig { inbox_max, groups_max, .. } = *config;
        let memory = Mutex::new(Memory::new(STAYS_MAX));
        Self { memory, turn: tokio::sync::Mutex::default(), shards, inbox_max, groups_max }
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

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memberships of users that are remembered in one hub, about 30 MB of them.
const STAYS_MAX: usize = 100_000;

/// Memberships that end within a second.
const SWEPT_MAX: usize = 10_000;
