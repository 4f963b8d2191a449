//! What nodes remember together: entries in an order that all agree on.

pub(crate) mod fold;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

use crate::{Channel, Refusal};

/// Numbers the entries of a log: 1, 2, 3 …; 0 is the version of an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Logs that all nodes share. Shared as `Arc<dyn Log>`.
///
/// A log is created by its first entry. Two writers who expect the same version cannot both
/// succeed, so whoever folds a log comes to the same state as everybody else.
pub trait Log: Send + Sync {
    /// Appends one entry, if the log's version is as expected. Check and append are one step.
    ///
    /// After [`Append::Unknown`] a caller that expected a version may read what follows it: the
    /// entry is there or it never will be, if the next append expects that version again.
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append>;

    /// At most `limit` entries after a version, oldest first. A limit over [`READ_MAX`] means it.
    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>>;

    /// Keeps a state that replaces all entries up to its version. An older one than what is kept
    /// changes nothing; entries stay until they are [trimmed](Log::trim).
    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>>;

    /// The latest snapshot.
    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>>;

    /// Forgets the oldest entries. The version stays.
    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>>;

    /// Forgets the log, its version and its snapshot, when so much time has passed, and whatever is
    /// done to it until then: it is as if there had never been one.
    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>>;
}

/// Which version a writer has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This one: nobody may have written since.
    At(Version),
    /// Any: the entry's place does not matter.
    Any,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// The entry has this version.
    Committed(Version),
    /// Somebody else has written: the log's version is this.
    Conflict(Version),
    /// It was not appended.
    NotStored(Refusal),
    /// The answer was lost, or did not come in time: the entry may be there, or come.
    Unknown,
}

/// Which entries to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What follows this version.
    After(Version),
    /// So many of the latest.
    Last(u64),
    /// What was appended not longer ago than this.
    Younger(Duration),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its version.
    pub version: Version,
    /// What was appended.
    pub payload: Bytes,
}

/// Entries, and what the log is like where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Which filling of the backplane; another one after it was emptied, and versions begin again.
    pub epoch: u64,
    /// Everything up to this version has been trimmed. A reader who has less has missed something.
    pub trimmed: Version,
    /// The log's version.
    pub last: Version,
    /// What was asked for.
    pub entries: Vec<Entry>,
}

impl Page {
    /// Whether nothing is missing for a reader who has everything up to this version of this epoch.
    pub fn continues(&self, epoch: u64, version: Version) -> bool {
        self.epoch == epoch && version >= self.trimmed && version <= self.last
    }
}

/// A state that replaces all entries up to its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Up to which entry.
    pub version: Version,
    /// The state.
    pub payload: Bytes,
}

/// The backplane did not answer, or did not do as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be reached: {0}")]
pub struct LogUnreachable(pub String);

/// Work on a log. It is begun when first polled; dropping it leaves open whether it is done.
pub struct LogWork<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> LogWork<T> {
    /// The work is what the future does.
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }
}

impl<T: Send + 'static> LogWork<T> {
    /// Work that is done already.
    pub fn done(result: T) -> Self {
        Self::new(std::future::ready(result))
    }
}

impl<T> Future for LogWork<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        self.0.as_mut().poll(ctx)
    }
}

impl<T> fmt::Debug for LogWork<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogWork")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Entries of one page.
pub const READ_MAX: usize = 1024;
