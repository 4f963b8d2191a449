//! A shard: the part of a hub's connections that one task writes to.
//!
//! Whoever has something for connections of a shard posts it once to the shard's inbox, however
//! many of them it is for, and wakes the shard's task only if it was idle. The task takes what has
//! come, in order, and writes. Nothing is shared between shards but what is being said.

mod index;
mod writer;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use everwire_backplane::Cursor;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{index::Index, writer::Writer};
use crate::{
    audience::{Audience, Whom},
    client::Question,
    cluster::Mesh,
    config::HubConfig,
    connection::{Connection, Delivered, Own, Still},
    directory::Directory,
    end::End,
    estate::{Estate, Leave, Teller, keeper::Keeper},
    fanout::exchange::Exchange,
    frames::Frames,
    history::recover::Step,
    id::{ConnectionId, GroupName, UserId},
    look::Look,
    member::Member,
    presence::Scope,
    replies::Survey,
    roster::Roll,
    standing::Standing,
    treatment::Treatment,
};

/// A shard that nobody runs yet. Whoever owns a thread with a runtime takes one and runs it there.
#[derive(Debug)]
pub struct Shard {
    pub(crate) handle: Arc<ShardHandle>,
    pub(crate) config: Arc<HubConfig>,
    pub(crate) stop: CancellationToken,
    /// What the shard keeps tidy; one does for all.
    pub(crate) tidies: Option<Tidies>,
    /// Listens to other nodes; one does for all.
    pub(crate) listens: Option<Exchange>,
    /// Writes down who is here; one does for all.
    pub(crate) keeps: Option<Keeper>,
}

/// What is looked after once a second for the whole hub.
#[derive(Debug)]
pub(crate) struct Tidies {
    pub(crate) directory: Arc<Directory>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) mesh: Option<Arc<Mesh>>,
    /// Other nodes that are being asked; each is for a few seconds, and a few seconds pass between
    /// two.
    pub(crate) reviews: JoinSet<()>,
}

/// The outside of a shard.
#[derive(Debug, Default)]
pub(crate) struct ShardHandle {
    inbox: Mutex<Inbox>,
    /// Told when there is something in the inbox of a task that waits.
    wake: Notify,
    /// The tasks of the shard's connections.
    pub(crate) tasks: TaskTracker,
    members: AtomicUsize,
    /// Only in a hub that hears other nodes.
    index: Option<Mutex<Index>>,
    /// Only in a hub whose application wants to know of lost clients.
    estate: Option<Arc<Estate>>,
    tally: Tally,
}

/// What is to be done by a shard's task, in order.
#[derive(Debug)]
pub(crate) enum Post {
    Arrive(Arc<Connection>),
    Leave(ConnectionId),
    Join(ConnectionId, GroupName),
    Part(ConnectionId, GroupName),
    Send(Arc<Audience>, Arc<Frames>),
    /// A message of a channel with a history, and its place there.
    Recorded(Scope, Cursor, Arc<Frames>),
    /// A channel with a history goes on behind this place, after a loss or without one.
    Mark(Scope, Cursor, bool),
    /// A step of a client that recovers.
    Follow(Arc<Connection>, Scope, Step),
    /// A frame of one connection's own that must not overtake what was posted before it.
    Own(Arc<Connection>, Own),
    Ask(Arc<Connection>, Question),
    /// A question to all of an audience.
    Survey(Arc<Audience>, Survey),
    /// Somebody wants to know something of who is here.
    Look(Look),
    /// Something is done with each of an audience.
    Handle(Arc<Audience>, Treatment),
    /// Somebody wants to know who is here.
    Call(Roll, oneshot::Sender<Vec<Member>>),
    End(Arc<Connection>, End),
    /// A session stops here: what was posted before this is its own.
    Freeze(Arc<Connection>, oneshot::Sender<Option<Still>>),
}

/// What was published before has not been delivered, and is as much as may wait. Some of the
/// connections may have been reached nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much that was published has not been delivered")]
pub struct Overloaded;

#[derive(Debug, Default)]
struct Inbox {
    posts: Vec<Post>,
    /// What messages in `posts` take in memory.
    bytes: usize,
    /// Whether the task is at work: it looks again before it waits.
    is_awake: bool,
}

/// What a shard has done, written by the tasks of one thread.
#[derive(Debug, Default)]
struct Tally {
    received: AtomicU64,
    slow: AtomicU64,
    floods: AtomicU64,
    delivered: AtomicU64,
    queued: AtomicU64,
    dropped: AtomicU64,
    replayed: AtomicU64,
    gaps: AtomicU64,
}

impl Shard {
    /// Writes what is published, until the hub stops.
    ///
    /// The runtime that polls this is the one that the shard's connections are to be served on.
    pub async fn run(self) {
        // A task of its own, which ends with the writer and does not wait for it.
        let mut listening = JoinSet::new();
        self.listens.into_iter().for_each(|exchange| drop(listening.spawn(exchange.run())));
        // Another one, which ends a little after the writer.
        let mut keeping = JoinSet::new();
        self.keeps.into_iter().for_each(|keeper| drop(keeping.spawn(keeper.run())));
        Writer::new(self.handle, self.config, self.tidies).run(self.stop).await;
        keeping.join_next().await;
    }
}

impl ShardHandle {
    /// One that tells whoever is not its task who may be there, or does not.
    pub(crate) fn new(is_indexed: bool, estate: Option<Arc<Estate>>) -> Self {
        Self { index: is_indexed.then(Mutex::default), estate, ..Self::default() }
    }

    /// Whether somebody of these may be here.
    pub(crate) fn may_have(&self, whom: &Whom) -> bool {
        self.index().is_none_or(|index| index.may_have(whom))
    }

    /// Has something done that others may do as often as they like, and that takes this many bytes
    /// until it is done.
    pub(crate) fn publish(
        &self,
        post: Post,
        charged: usize,
        bytes_max: usize,
    ) -> Result<(), Overloaded> {
        let mut inbox = self.inbox();
        if inbox.bytes > bytes_max {
            return Err(Overloaded);
        }
        inbox.bytes += charged;
        self.put(inbox, post);
        Ok(())
    }

    /// Whether something more may be published.
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.inbox().bytes <= bytes_max
    }

    /// The same for who has seen that there was room, which others may have used since.
    pub(crate) fn publish_all_the_same(&self, post: Post, charged: usize) {
        let mut inbox = self.inbox();
        inbox.bytes += charged;
        self.put(inbox, post);
    }

    /// Has something done that connections do, of which there is a limited number.
    pub(crate) fn post(&self, post: Post) {
        self.put(self.inbox(), post);
    }

    /// Takes a frame of a connection's own, which waits for its client as any does.
    pub(crate) fn post_own(&self, post: Post) {
        let mut inbox = self.inbox();
        if let Post::Own(_, Own::Counted(frame) | Own::Passing(frame)) = &post {
            inbox.bytes += frame.len();
        }
        self.put(inbox, post);
    }

    /// Whether everything that was posted has been done.
    pub(crate) fn is_clear(&self) -> bool {
        !self.inbox().is_awake
    }

    /// How many connections there are, those that only just come or go included.
    pub(crate) fn members(&self) -> usize {
        self.members.load(Relaxed)
    }

    pub(crate) fn arrive(&self, connection: Arc<Connection>) {
        self.members.fetch_add(1, Relaxed);
        self.index().into_iter().for_each(|mut index| {
            index.arrive(connection.identity.user.as_ref());
        });
        self.post(Post::Arrive(connection));
    }

    pub(crate) fn leave(&self, connection: &Connection) {
        self.members.fetch_sub(1, Relaxed);
        let groups = connection.close_groups();
        self.index().into_iter().for_each(|mut index| {
            index.leave(connection.identity.user.as_ref(), groups.iter());
        });
        self.post(Post::Leave(connection.id()));
    }

    /// A client has come, and is in these groups.
    pub(crate) fn came(
        &self,
        id: ConnectionId,
        user: Option<&UserId>,
        groups: &BTreeSet<GroupName>,
    ) {
        self.estate.iter().for_each(|estate| estate.came(id, user, groups));
    }

    /// A client has gone that had come; gives who tells of it.
    pub(crate) fn gone(&self, id: ConnectionId) -> Leave {
        self.estate.as_ref().map_or(Leave::Known(Teller::Own), |estate| estate.gone(id))
    }

    /// A connection joins a group.
    pub(crate) fn join(&self, id: ConnectionId, group: GroupName) {
        self.estate.iter().for_each(|estate| estate.joined(id, &group));
        self.index().into_iter().for_each(|mut index| index.join(&group));
        self.post(Post::Join(id, group));
    }

    /// A connection leaves a group.
    pub(crate) fn part(&self, id: ConnectionId, group: GroupName) {
        self.estate.iter().for_each(|estate| estate.parted(id, &group));
        self.index().into_iter().for_each(|mut index| index.part(&group));
        self.post(Post::Part(id, group));
    }

    /// Messages delivered so far, how many of them had to wait, and how many more were dropped.
    pub(crate) fn delivered(&self) -> Delivered {
        let Tally { delivered, queued, dropped, .. } = &self.tally;
        Delivered {
            messages: delivered.load(Relaxed),
            queued: queued.load(Relaxed),
            dropped: dropped.load(Relaxed),
        }
    }

    /// Messages of clients so far.
    pub(crate) fn received(&self) -> u64 {
        self.tally.received.load(Relaxed)
    }

    /// Connections so far that have ended because their clients were slow.
    pub(crate) fn slow(&self) -> u64 {
        self.tally.slow.load(Relaxed)
    }

    /// Connections so far that have ended because their clients said too much.
    pub(crate) fn floods(&self) -> u64 {
        self.tally.floods.load(Relaxed)
    }

    /// Messages so far that were read from a history for a client.
    pub(crate) fn replayed(&self) -> u64 {
        self.tally.replayed.load(Relaxed)
    }

    /// Gaps so far that clients were told of.
    pub(crate) fn gaps(&self) -> u64 {
        self.tally.gaps.load(Relaxed)
    }

    pub(crate) fn count_replayed(&self, messages: usize) {
        self.tally.replayed.fetch_add(messages as u64, Relaxed);
    }

    pub(crate) fn count_gap(&self) {
        self.tally.gaps.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_received(&self) {
        self.tally.received.fetch_add(1, Relaxed);
    }

    /// Counts how a connection has ended.
    pub(crate) fn count_end(&self, end: &End) {
        let counter = match end {
            End::Slow => &self.tally.slow,
            End::Flooding => &self.tally.floods,
            _ => return,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn put(&self, mut inbox: MutexGuard<'_, Inbox>, post: Post) {
        inbox.posts.push(post);
        if !inbox.is_awake {
            inbox.is_awake = true;
            drop(inbox);
            self.wake.notify_one();
        }
    }

    /// Takes everything that has come, into what is empty; `false` if there is nothing, and then
    /// the task is told of the next.
    fn take(&self, posts: &mut Vec<Post>) -> bool {
        let mut inbox = self.inbox();
        std::mem::swap(&mut inbox.posts, posts);
        inbox.bytes = 0;
        inbox.is_awake = !posts.is_empty();
        inbox.is_awake
    }

    fn count(&self, delivered: Delivered) {
        self.tally.delivered.fetch_add(delivered.messages, Relaxed);
        self.tally.queued.fetch_add(delivered.queued, Relaxed);
        self.tally.dropped.fetch_add(delivered.dropped, Relaxed);
    }

    fn index(&self) -> Option<MutexGuard<'_, Index>> {
        self.index.as_ref().map(|index| index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
