//! A log that is read into a state, and what nodes tell one another about it.
//!
//! A [`Book`] is a node's view of one log: it follows the log, folds each entry into a [`Fold`], and
//! appends. All nodes come to the same state, since all read the same entries.
//!
//! - What is [appended](Book::append) while an append is under way goes into one entry with all else
//!   that came meanwhile. Each such entry has its writer's number, so that one that was written
//!   twice, since the first answer was lost, counts once.
//! - What must follow a version is [appended at](Book::append_at) it, or not at all.
//! - Nodes tell one another that there is something to read by a message on the channel [`HINTS`].
//!   It is a hint: who misses it reads a little later.
//! - An emptied backplane begins another epoch: the state begins anew, and so does the version.

mod hints;
mod keeper;
mod pending;

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::{Bus, Channel, Log, LogUnreachable, Refusal, Version};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::hints::HINTS;
use self::{
    hints::{Bell, Hints},
    keeper::Keeper,
    pending::{Call, Pending},
};

/// A state that is made of a log's entries.
///
/// It is the same for all who apply the same entries, has no clock, and accepts any bytes: what it
/// does not know it passes over, and counts.
pub trait Fold: Send + 'static {
    /// The state of an empty log.
    fn new() -> Self;

    /// What an entry makes of it. Entries come in order, each once.
    fn apply(&mut self, version: Version, entry: &[u8]);

    /// The state as bytes, which replace all entries that were applied.
    fn save(&self) -> Bytes;

    /// The state that was saved as these bytes; `None` if they are none.
    fn load(bytes: &[u8]) -> Option<Self>
    where
        Self: Sized;
}

/// How far a log has been read. Written as `epoch-version`, the epoch in hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which filling of the backplane: another one after it was emptied. 0 before anything was read.
    pub epoch: u64,
    /// The last entry.
    pub version: Version,
}

/// The text is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor; one is written epoch-version, such as 1f-42")]
pub struct NotACursor;

/// What is kept of a log, and how it is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The state is kept after so many entries, so that a node that starts has not more than about
    /// twice as many to read.
    pub snapshot_every: NonZeroU64,
    /// Entries that stay though the kept state has them.
    pub entries_kept: u64,
    /// How long it may take until something is read of which no hint came.
    pub read_every: Duration,
}

/// What all books of a node share. A clone is the same.
#[derive(Clone)]
pub struct Books(Arc<Shelf>);

struct Shelf {
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    hints: Arc<Hints>,
    stop: CancellationToken,
    _task: JoinSet<()>,
}

/// A node's view of one log. A clone is the same; its task ends with the last, or when the
/// [`Books`] are stopped.
pub struct Book<F> {
    inner: Arc<Inner<F>>,
}

struct Inner<F> {
    page: Arc<Folio<F>>,
    _task: JoinSet<()>,
}

/// What a book and its task have in common.
struct Folio<F> {
    name: Channel,
    fold: Mutex<F>,
    cursor: watch::Sender<Cursor>,
    pending: Pending,
    bell: Arc<Bell>,
}

/// Why nothing was appended, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Somebody else has written: the log has this version.
    #[error("the log has version {0} already")]
    Conflict(Version),
    /// The log does not take it. That it is unreachable is temporary.
    #[error("the log does not take it: {0}")]
    NotStored(Refusal),
    /// As much waits for the log as may ([`PENDING_MAX`] bytes): it is away or too slow.
    #[error("too much waits to be written; try again when the log answers")]
    Full,
    /// The node stopped before it was known.
    #[error("the node stopped before it was known whether it was written")]
    Stopped,
}

impl Books {
    /// The books of this node, which end when `stop` is cancelled.
    pub fn new(bus: Arc<dyn Bus>, log: Arc<dyn Log>, stop: CancellationToken) -> Self {
        let hints = Arc::new(Hints::default());
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&hints).listen(Arc::clone(&bus), stop.clone()));
        Self(Arc::new(Shelf { bus, log, hints, stop, _task: task }))
    }

    /// A log as a book; it begins to read at once.
    pub fn open<F: Fold>(&self, name: Channel, keeping: Keeping) -> Book<F> {
        let page = Arc::new(Folio {
            bell: self.0.hints.bell(&name),
            name,
            fold: Mutex::new(F::new()),
            cursor: watch::Sender::new(Cursor::default()),
            pending: Pending::default(),
        });
        let keeper = Keeper::new(
            Arc::clone(&page),
            Arc::clone(&self.0.bus),
            Arc::clone(&self.0.log),
            keeping,
        );
        let (stop, mut task) = (self.0.stop.clone(), JoinSet::new());
        task.spawn(async move { stop.run_until_cancelled_owned(keeper.run()).await.unwrap_or(()) });
        Book { inner: Arc::new(Inner { page, _task: task }) }
    }

    /// The bus.
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.0.bus
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.0.log
    }

    /// Cancelled when the books end.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

impl<F: Fold> Book<F> {
    /// Appends events, each a JSON value, in one entry, perhaps with others before and behind them.
    /// Gives its version when the log has it; this node has folded it then, unless the log went away
    /// in the same moment ([`reached`](Self::reached) waits).
    ///
    /// # Errors
    /// See [`Refused`]. Who drops this does not know whether it is appended.
    pub async fn append(&self, events: Vec<Bytes>) -> Result<Version, Refused> {
        let (tell, told) = oneshot::channel();
        self.submit(Call::some(events, tell))?;
        told.await.unwrap_or(Err(Refused::Stopped))
    }

    /// Appends this entry, if the log has this version. Two entries that could be meant for the same
    /// version should differ, by an id of each for instance: when an answer was lost, an equal one is
    /// taken for this one.
    ///
    /// # Errors
    /// See [`Refused`]. After a conflict this node has folded what is there instead, unless the log
    /// went away in the same moment.
    pub async fn append_at(&self, version: Version, entry: Bytes) -> Result<Version, Refused> {
        let (tell, told) = oneshot::channel();
        self.submit(Call::exact(version, entry, tell))?;
        told.await.unwrap_or(Err(Refused::Stopped))
    }

    /// Looks at the state. Nothing is folded meanwhile, so the look is to be short.
    pub fn read<R>(&self, look: impl FnOnce(&F) -> R) -> R {
        look(&self.inner.page.fold())
    }

    /// Looks at the state together with how far the log has been read.
    pub(crate) fn look<R>(&self, look: impl FnOnce(Cursor, &F) -> R) -> R {
        let fold = self.inner.page.fold();
        let cursor = *self.inner.page.cursor.borrow();
        look(cursor, &fold)
    }

    /// Takes of the state what is not of the log, such as news.
    pub fn take<R>(&self, take: impl FnOnce(&mut F) -> R) -> R {
        take(&mut self.inner.page.fold())
    }

    /// How far the log has been read.
    pub fn cursor(&self) -> Cursor {
        *self.inner.page.cursor.borrow()
    }

    /// Told whenever something was folded. A version that goes back, or another epoch, says that the
    /// state began anew.
    pub fn changes(&self) -> watch::Receiver<Cursor> {
        self.inner.page.cursor.subscribe()
    }

    /// Ready when the log has been read once.
    ///
    /// # Errors
    /// [`Refused::Stopped`] if the node stops before.
    pub async fn ready(&self) -> Result<(), Refused> {
        self.wait(|cursor| cursor.epoch != 0).await
    }

    /// Ready when this version has been folded; or when the state has begun anew meanwhile, since it
    /// may never be.
    ///
    /// # Errors
    /// [`Refused::Stopped`] if the node stops before.
    pub async fn reached(&self, version: Version) -> Result<(), Refused> {
        let now = self.cursor();
        let is_anew = |then: &Cursor| {
            now.epoch != 0 && (then.epoch != now.epoch || then.version < now.version)
        };
        self.wait(|then| is_anew(then) || then.epoch != 0 && then.version >= version).await
    }

    async fn wait(&self, until: impl FnMut(&Cursor) -> bool) -> Result<(), Refused> {
        let mut changes = self.changes();
        let is_over = self.inner.page.pending.closed();
        tokio::select! {
            reached = changes.wait_for(until) => reached.map(drop).map_err(|_| Refused::Stopped),
            () = is_over => Err(Refused::Stopped),
        }
    }

    fn submit(&self, call: Call) -> Result<(), Refused> {
        self.inner.page.pending.add(call)?;
        self.inner.page.bell.wake();
        Ok(())
    }
}

impl<F> Folio<F> {
    fn fold(&self) -> MutexGuard<'_, F> {
        // A look that panicked has changed nothing.
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Clone for Book<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<F> fmt::Debug for Book<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("log", &self.inner.page.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.version)
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (epoch, version) = text.split_once('-').ok_or(NotACursor)?;
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| NotACursor)?;
        let version = version.parse().map_err(|_| NotACursor)?;
        Ok(Self { epoch, version: Version(version) })
    }
}

impl From<LogUnreachable> for Refused {
    fn from(_: LogUnreachable) -> Self {
        Self::NotStored(Refusal::Unreachable)
    }
}

pub use self::pending::{ENTRY_MAX, PENDING_MAX};

#[cfg(test)]
mod tests;
