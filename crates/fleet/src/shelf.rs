//! All sets that somebody uses on this node: a [`Book`] for each, and a task that tells its watchers.
//!
//! The task of a set does one thing after the other: who comes, who goes and what changes are in one order.
//! So nobody is told a change before the snapshot that has it, or twice. What is told to many is encoded
//! once, and handed to the hub once, for the group of those who are live on this node; other nodes read
//! the same log and tell theirs.

mod feed;
mod task;
mod tell;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_backplane::{Channel, InvalidName, Version};
use everwire_hub::{ConnectionId, Hub};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use self::task::Task;
pub(crate) use self::{
    feed::{Feed, Stream, feed},
    tell::epoch_text,
};
use crate::{
    access::Pass,
    book::{Book, Books, Keeping},
    gate::Gate,
    lobby::Lobby,
    name::SetName,
    seal::Sealer,
    set::Set,
    watch::{Pace, Seed},
};

/// The sets of a node. A clone is the same.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Inner>);

struct Inner {
    books: Books,
    sealer: Arc<Sealer>,
    gate: Gate,
    lobby: Lobby,
    sets: Mutex<HashMap<SetName, Open>>,
    tasks: TaskTracker,
    /// How many sets may be in use.
    sets_max: usize,
    /// The number of the next stream of events.
    next_stream: AtomicU64,
    /// Streams of events that there may be besides those that are.
    streams: Arc<Semaphore>,
}

/// A set in use.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) book: Book<Set>,
    mail: mpsc::Sender<Letter>,
    turns: Arc<tokio::sync::Mutex<()>>,
}

/// Somebody who watches, on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    /// A client of the hub.
    Client(ConnectionId),
    /// A stream of events, by its number.
    Stream(u64),
}

/// What a set's task is asked for.
pub(crate) enum Letter {
    Watch(Watcher),
    Unwatch(Who),
}

/// Somebody who is to watch a set.
pub(crate) struct Watcher {
    pub(crate) who: Who,
    pub(crate) way: WayTo,
    pub(crate) pass: Pass,
    pub(crate) seed: Seed,
    pub(crate) pace: Pace,
}

/// How a watcher is reached.
pub(crate) enum WayTo {
    Hub(Hub),
    Feed(Feed),
}

/// Why a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOpened {
    #[error("too many sets are in use on this node; watch fewer, or try again in a minute")]
    TooMany,
    #[error("the set can have no log: {0}")]
    Name(#[from] InvalidName),
    #[error("the node stops; connect again")]
    Stopped,
}

impl Shelf {
    /// No set is in use yet, of at most so many.
    pub(crate) fn new(
        books: Books,
        sealer: Arc<Sealer>,
        gate: Gate,
        lobby: Lobby,
        sets_max: usize,
    ) -> Self {
        let (sets, tasks) = (Mutex::default(), TaskTracker::new());
        let (next_stream, streams) = (AtomicU64::new(0), Arc::new(Semaphore::new(STREAMS_MAX)));
        Self(Arc::new(Inner {
            books,
            sealer,
            gate,
            lobby,
            sets,
            tasks,
            sets_max,
            next_stream,
            streams,
        }))
    }

    /// Where connections are until they watch something.
    pub(crate) fn lobby(&self) -> &Lobby {
        &self.0.lobby
    }

    /// The books of the node.
    pub(crate) fn books(&self) -> &Books {
        &self.0.books
    }

    pub(crate) fn sealer(&self) -> &Arc<Sealer> {
        &self.0.sealer
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// A set, which is read from now on and for a while after the last use. A set that nobody has written
    /// to is empty.
    pub(crate) fn open(&self, name: &SetName) -> Result<Open, NotOpened> {
        let mut sets = self.0.sets();
        if let Some(open) = sets.get(name) {
            return Ok(open.clone());
        }
        if sets.len() >= self.0.sets_max {
            return Err(NotOpened::TooMany);
        }
        let book = self.0.books.open(log_of(name)?, KEEPING);
        let (mail, letters) = mpsc::channel(LETTERS_MAX);
        let open = Open { book: book.clone(), mail, turns: Arc::default() };
        sets.insert(name.clone(), open.clone());
        let task = Task::new(name.clone(), book, letters, Arc::downgrade(&self.0), &self.0.gate);
        let stop = self.0.books.stop().clone();
        self.0.tasks.spawn(task.run(Arc::clone(&self.0.sealer), stop));
        Ok(open)
    }

    /// A stream of events, and its place among as many as there may be; `None` if there is none.
    pub(crate) fn stream(&self) -> Option<(Who, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.0.streams).try_acquire_owned().ok()?;
        Some((Who::Stream(self.0.next_stream.fetch_add(1, Relaxed)), place))
    }

    /// Somebody watches a set from now on.
    pub(crate) async fn watch(&self, set: &SetName, watcher: Watcher) -> Result<(), NotOpened> {
        let mut letter = Letter::Watch(watcher);
        loop {
            let open = self.open(set)?;
            match open.mail.send(letter).await {
                Ok(()) => return Ok(()),
                Err(_) if self.0.books.stop().is_cancelled() => return Err(NotOpened::Stopped),
                // The set was put away in this moment, and is opened again.
                Err(mpsc::error::SendError(back)) => letter = back,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Somebody watches a set no more.
    pub(crate) async fn unwatch(&self, set: &SetName, who: Who) {
        let there = self.0.sets().get(set).cloned();
        if let Some(open) = there {
            // A set that was put away has no watchers.
            let _ = open.mail.send(Letter::Unwatch(who)).await;
        }
    }

    /// The latest version of a set, as the log says; cheap if it is this one.
    pub(crate) async fn last(&self, set: &SetName, after: Version) -> Result<Version, String> {
        let log = log_of(set).map_err(|error| error.to_string())?;
        let page = self.0.books.log().read(&log, after, 1).await;
        page.map(|page| page.last).map_err(|error| error.to_string())
    }

    /// How many sets are in use.
    #[cfg(test)]
    pub(crate) fn in_use(&self) -> usize {
        self.0.sets().len()
    }

    /// Ready when the tasks of all sets have ended; they do when the books are stopped.
    pub(crate) async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

impl Open {
    /// The turn among those of this node who change the set.
    pub(crate) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.turns).lock_owned().await
    }
}

impl Inner {
    fn sets(&self) -> MutexGuard<'_, HashMap<SetName, Open>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a set away that nobody uses. If somebody has just begun to, gives what that one asks for, and
    /// where further letters come.
    fn put_away(
        &self,
        name: &SetName,
        letters: &mut mpsc::Receiver<Letter>,
    ) -> Option<(Vec<Letter>, mpsc::Receiver<Letter>)> {
        let mut sets = self.sets();
        // Who has looked the set up before may still write, until this.
        letters.close();
        let mut last = Vec::new();
        while let Ok(letter) = letters.try_recv() {
            last.push(letter);
        }
        if last.is_empty() {
            sets.remove(name);
            return None;
        }
        let (mail, letters) = mpsc::channel(LETTERS_MAX);
        sets.get_mut(name)?.mail = mail;
        Some((last, letters))
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("sets", &self.0.sets().len()).finish_non_exhaustive()
    }
}

/// The log of a set.
fn log_of(name: &SetName) -> Result<Channel, InvalidName> {
    Channel::new(format!("{LOGS}{name}"))
}

/// Where the logs of sets are.
const LOGS: &str = "fleet/sets/";

/// The state of a set has its history, so that nothing else needs the entries that it replaces.
const KEEPING: Keeping = Keeping {
    snapshot_every: NonZeroU64::MIN.saturating_add(1023),
    entries_kept: 0,
    read_every: Duration::from_secs(5),
};

/// Letters that wait for a set's task; who writes more waits.
const LETTERS_MAX: usize = 1024;

/// Streams of events of one node at once.
pub(crate) const STREAMS_MAX: usize = 10_000;
