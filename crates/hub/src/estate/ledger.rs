//! One log and the one who writes to it, until somebody else does.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_backplane::{
    Append, Channel, Entry as Logged, Expected, Keep, Log, LogUnreachable, Page, Version,
};
use tokio::time::sleep;

/// A log, and up to where it is known.
pub(super) struct Ledger {
    log: Arc<dyn Log>,
    name: Channel,
    /// Which filling of the backplane it was read from.
    epoch: Option<u64>,
    version: Version,
}

/// What has become of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    /// It is the log's last.
    Last,
    /// Somebody else has written.
    TakenOver,
    /// The backplane has forgotten the log, or the last of it.
    Forgotten,
}

impl Ledger {
    pub(super) const fn new(log: Arc<dyn Log>, name: Channel) -> Self {
        Self { log, name, epoch: None, version: Version(0) }
    }

    /// Up to which entry the log is known.
    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Writes an entry behind what is known, however long the backplane is away.
    pub(super) async fn write(&mut self, entry: &Bytes) -> Wrote {
        loop {
            match self.log.append(&self.name, Expected::At(self.version), entry.clone()).await {
                Append::Committed(version) => {
                    self.version = version;
                    return Wrote::Last;
                }
                Append::NotStored(_) => {}
                Append::Conflict(_) | Append::Unknown => {
                    if let Some(wrote) = self.judge(entry).await {
                        return wrote;
                    }
                }
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// The next entries behind what is known, none at the end; `None` if the log has been forgotten
    /// meanwhile, and then it is read from its beginning.
    pub(super) async fn read_on(&mut self) -> Option<Vec<Logged>> {
        loop {
            let Ok(page) = self.read(READ_AT_ONCE).await else {
                sleep(AGAIN_AFTER).await;
                continue;
            };
            if self.is_forgotten(&page) {
                self.version = Version(0);
                return None;
            }
            if page.trimmed > self.version {
                self.version = page.trimmed;
                continue;
            }
            self.version = page.entries.last().map_or(self.version, |last| last.version);
            return Some(page.entries);
        }
    }

    /// Forgets what stands up to this version. What cannot be forgotten now is the next time.
    pub(super) async fn trim(&self, until: Version) {
        if let Err(error) = self.log.trim(&self.name, Keep::After(until)).await {
            tracing::debug!(%error, "a log is not trimmed");
        }
    }

    /// Forgets the log after so much time.
    pub(super) async fn remove(&self, after: Duration) {
        while self.log.remove(&self.name, after).await.is_err() {
            sleep(AGAIN_AFTER).await;
        }
    }

    /// What has become of an entry that may be there; `None` if it is not.
    async fn judge(&mut self, entry: &Bytes) -> Option<Wrote> {
        let page = self.read(1).await.ok()?;
        if self.is_forgotten(&page) {
            self.version = page.last;
            return Some(Wrote::Forgotten);
        }
        match page.entries.first() {
            Some(next) if next.payload == *entry => {
                self.version = next.version;
                Some(Wrote::Last)
            }
            Some(_) => Some(Wrote::TakenOver),
            None => (page.trimmed > self.version).then_some(Wrote::TakenOver),
        }
    }

    fn is_forgotten(&mut self, page: &Page) -> bool {
        let epoch = self.epoch.replace(page.epoch);
        epoch.is_some_and(|epoch| epoch != page.epoch) || page.last < self.version
    }

    async fn read(&self, limit: usize) -> Result<Page, LogUnreachable> {
        self.log.read(&self.name, self.version, limit).await
    }
}

/// Entries that are read at once: with the largest some 2 MiB.
const READ_AT_ONCE: usize = 8;

/// After which time it is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
