//! A log in one file, for a node that shares what it remembers with nobody.
//!
//! What is [committed](crate::Append::Committed) is on the disk: it outlasts the process and the loss of
//! power. One thread writes; what is asked while it waits for the disk goes to the disk together, in one
//! write and one sync. All entries are in memory as well, so that reading waits for nobody; they are
//! bounded like those of [`memory`](crate::memory), with which nodes within one process make a
//! backplane: their bus, and this log.
//!
//! ```
//! use everwire_backplane::{Append, Channel, Expected, Log, Version, journal::Journal};
//!
//! # let folder = std::env::temp_dir().join(format!("everwire-example-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("fleet.journal");
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let (journal, _) = Journal::open(&path)?;
//! let log = Channel::new("sets/shop").expect("a name");
//! let appended = journal.append(&log, Expected::At(Version(0)), "first".into()).await;
//! assert_eq!(appended, Append::Committed(Version(1)));
//! drop(journal);
//! let (journal, opened) = Journal::open(&path)?;
//! assert_eq!((opened.entries, opened.cut), (1, 0));
//! # Ok::<_, everwire_backplane::journal::JournalError>(())
//! # })?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # When something goes wrong
//!
//! - Power or process end within a write: what was written of it is cut off when the file is opened. It
//!   was never committed, and nobody has read it.
//! - Damage to what was committed, with good entries behind it: the file is refused, with the place.
//! - A full disk: appends are refused until there is room.
//! - A sync that fails: what it was for is [`Unknown`](crate::Append::Unknown), and nothing more is
//!   committed until the file is opened again, because a system may drop what it failed to write and
//!   let the next sync succeed.
//! - A second process: refused, since each would write over the other.

mod disk;
mod format;
mod opening;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::{
    disk::{Disk, LockedFile, NotOpened},
    opening::Unreadable,
    writer::{Asked, Writer},
};
use crate::{
    Append, Channel, Expected, Keep, Log, LogUnreachable, LogWork, Page, Refusal, Snapshot,
    Version, clock,
    log::fold::{Logs, Outcome, Request},
};

/// Logs in a file. A clone is the same journal; the file is free again when the last is dropped, which
/// waits for what the disk is just doing.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Handle>);

/// What was found when a journal was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Entries in all its logs.
    pub entries: usize,
    /// Bytes that were cut off its end: a write that had been broken off, and was never committed.
    pub cut: u64,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it.
    #[error(
        "{path} is in use by another process: a journal is for one node alone, and several nodes \
         need a Redis that all of them reach, `backplane.url`"
    )]
    Locked {
        /// Where it is.
        path: PathBuf,
    },
    /// The file is something else. It is left as it is.
    #[error("{path} is no journal, and is left as it is")]
    NotAJournal {
        /// Where it is.
        path: PathBuf,
    },
    /// A later release has written it.
    #[error("{path} was written by a later release of Everwire")]
    Newer {
        /// Where it is.
        path: PathBuf,
    },
    /// What was committed is damaged. The file is left as it is.
    #[error(
        "{path} is damaged at byte {offset}: {why}. It is left as it is: put a good copy in its \
         place, or, to lose everything from there on, cut it: truncate --size={offset} {path}"
    )]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// The first byte that is not good.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// The file cannot be opened, read or written.
    #[error("{path} cannot be used: {source}")]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// To the thread, which ends when this is gone.
    asks: Option<SyncSender<Asked>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its users share.
#[derive(Debug)]
struct Shared {
    epoch: u64,
    /// What is on the disk.
    logs: Mutex<Logs>,
    /// Bytes that wait to be written.
    waiting: AtomicUsize,
    /// Why nothing is written any more.
    failed: OnceLock<String>,
}

impl Journal {
    /// Opens the journal at a path, or begins one; the file's folder must exist. Reads all of it.
    ///
    /// # Errors
    /// It is another process', or damaged, or cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Opened), JournalError> {
        let path = path.as_ref();
        let unreadable = |error| unreadable(path.to_owned(), error);
        let disk = LockedFile::open(path).map_err(|error| match error {
            NotOpened::Locked => JournalError::Locked { path: path.to_owned() },
            NotOpened::Io(error) => unreadable(Unreadable::Io(error)),
        })?;
        let (journal, opened) = Self::on(disk).map_err(unreadable)?;
        if opened.cut > 0 {
            let (path, cut) = (path.display(), opened.cut);
            tracing::warn!(%path, cut, "the last write to the journal was broken off, and is cut off");
        }
        Ok((journal, opened))
    }

    /// Why nothing is committed any more, if that is so: a sync has failed. Opening it again tells what
    /// the disk has.
    pub fn failure(&self) -> Option<&str> {
        self.0.shared.failed.get().map(String::as_str)
    }

    fn on(mut disk: impl Disk) -> Result<(Self, Opened), Unreadable> {
        let found = opening::open(&mut disk)?;
        let opened = Opened { entries: found.logs.len(), cut: found.cut };
        let shared = Arc::new(Shared {
            epoch: found.header.epoch,
            logs: Mutex::new(found.logs.clone()),
            waiting: AtomicUsize::new(0),
            failed: OnceLock::new(),
        });
        let (asks, asked) = sync_channel(WAITING_MAX);
        let writer = Writer::new(disk, found, Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || writer.run(&asked))?;
        Ok((Self(Arc::new(Handle { shared, asks: Some(asks), thread: Some(thread) })), opened))
    }

    /// Has the thread do something. It is begun when it is first waited for.
    async fn ask(self, log: Channel, request: Request) -> Outcome {
        let (tell, told) = oneshot::channel();
        let size = match &request {
            Request::Append(_, payload) | Request::Keep(Snapshot { payload, .. }) => payload.len(),
            Request::Trim(_) | Request::Remove(_) => 0,
        };
        let Handle { shared, asks, .. } = &*self.0;
        let waiting = shared.waiting.fetch_add(size, Ordering::Relaxed);
        let asked = Asked { log, request, size, tell };
        let taken = match asks {
            // A large snapshot waits alone.
            Some(asks) if waiting == 0 || waiting + size <= WAITING_BYTES_MAX => {
                asks.try_send(asked).is_ok()
            }
            _ => false,
        };
        if !taken {
            shared.waiting.fetch_sub(size, Ordering::Relaxed);
            return Outcome::Refused(Refusal::Full);
        }
        told.await.unwrap_or(Outcome::Unknown)
    }

    fn done(&self, log: &Channel, request: Request) -> LogWork<Result<(), LogUnreachable>> {
        let asked = self.clone().ask(log.clone(), request);
        LogWork::new(async move { asked.await.done() })
    }
}

impl Shared {
    fn logs(&self) -> MutexGuard<'_, Logs> {
        // A state that somebody's panic left behind is still one that every method accepts.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Journal {
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append> {
        let asked = self.clone().ask(log.clone(), Request::Append(expected, entry));
        LogWork::new(async move { asked.await.appended() })
    }

    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>> {
        let Shared { epoch, .. } = *self.0.shared;
        let now = clock::wall_millis();
        LogWork::done(Ok(self.0.shared.logs().read(log, after, limit, now, epoch)))
    }

    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>> {
        self.done(log, Request::Keep(snapshot))
    }

    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>> {
        LogWork::done(Ok(self.0.shared.logs().snapshot(log, clock::wall_millis())))
    }

    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>> {
        self.done(log, Request::Trim(keep))
    }

    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>> {
        self.done(log, Request::Remove(after))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.asks.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn unreadable(path: PathBuf, error: Unreadable) -> JournalError {
    match error {
        Unreadable::Foreign => JournalError::NotAJournal { path },
        Unreadable::Newer => JournalError::Newer { path },
        Unreadable::Damaged { at, why } => JournalError::Damaged { path, offset: at, why },
        Unreadable::Io(source) => JournalError::Io { path, source },
    }
}

/// Requests that wait for the disk; what comes then is refused.
const WAITING_MAX: usize = 8192;

/// Their bytes. One request that is larger waits alone.
const WAITING_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests;
