//! The task of a book: it reads, folds and appends, one after the other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_backplane::{
    Append, Bus, Channel, Expected, Keep, Log, LogUnreachable, Page, READ_MAX, Refusal, Snapshot,
    Version,
};
use tokio::time::sleep;

use super::{
    Cursor, Fold, Folio, Keeping, Refused, hints,
    pending::{Batch, Tell},
};
use crate::entry::{Writer, write_events};

/// The task's own.
pub(super) struct Keeper<F: Fold> {
    page: Arc<Folio<F>>,
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
    keeping: Keeping,
    writer: Writer,
    /// Up to which entry the state has been kept, as far as this node knows.
    kept: Version,
    /// Whether the log could be read when that was tried last.
    is_reachable: bool,
}

impl<F: Fold> Keeper<F> {
    pub(super) fn new(
        page: Arc<Folio<F>>,
        bus: Arc<dyn Bus>,
        log: Arc<dyn Log>,
        keeping: Keeping,
    ) -> Self {
        let (writer, kept) = (Writer::random(), Version(0));
        Self { page, bus, log, keeping, writer, kept, is_reachable: true }
    }

    /// Keeps the book for as long as it is polled.
    pub(super) async fn run(mut self) {
        let mut is_due = true;
        loop {
            let hinted = self.page.bell.hinted();
            if is_due || hinted > self.cursor().version {
                self.catch_up().await;
            }
            match self.page.pending.take() {
                Some(Batch::Some(events, tells)) => self.write(&events, tells).await,
                Some(Batch::Exact(version, entry, tell)) => {
                    let written = self.write_at(version, entry).await;
                    // Who does not wait any more is told nothing.
                    let _ = tell.send(written);
                }
                None => {
                    is_due = self.rest().await;
                    continue;
                }
            }
            is_due = false;
        }
    }

    /// Waits for something to do; gives whether the log is to be read anyway.
    async fn rest(&self) -> bool {
        let pause = if self.is_reachable { self.keeping.read_every } else { RETRY_MAX };
        tokio::select! {
            () = self.page.bell.rung() => false,
            () = sleep(pause) => true,
        }
    }

    /// Reads what there is; says so once when that fails, and when it works again.
    async fn catch_up(&mut self) {
        let read = self.read_all().await;
        if let Err(error) = &read
            && self.is_reachable
        {
            tracing::warn!(log = %self.page.name, %error, "cannot be read; it is tried again");
        }
        if read.is_ok() && !self.is_reachable {
            tracing::info!(log = %self.page.name, "can be read again");
        }
        self.is_reachable = read.is_ok();
    }

    async fn read_all(&mut self) -> Result<(), LogUnreachable> {
        loop {
            let cursor = self.cursor();
            let page = self.log.read(&self.page.name, cursor.version, READ_MAX).await?;
            let is_first = cursor == Cursor::default() && page.trimmed == Version(0);
            if is_first || page.continues(cursor.epoch, cursor.version) {
                self.apply(page.epoch, &page);
            } else {
                self.begin_anew(&page).await?;
            }
            if self.cursor().version >= page.last {
                return Ok(());
            }
        }
    }

    fn apply(&self, epoch: u64, page: &Page) {
        let mut version = self.cursor().version;
        let mut fold = self.page.fold();
        for entry in &page.entries {
            fold.apply(entry.version, &entry.payload);
            version = entry.version;
        }
        self.moved(Cursor { epoch, version });
    }

    /// What this node has read does not lead to what there is: it is read from its beginning.
    async fn begin_anew(&mut self, page: &Page) -> Result<(), LogUnreachable> {
        let before = self.cursor();
        if before.epoch != 0 {
            tracing::error!(
                log = %self.page.name, %before, epoch = page.epoch, version = %page.last,
                "the log is not the one that was read; its state begins anew"
            );
        }
        let (mut fold, mut version) = self.load(page).await?;
        self.kept = version;
        loop {
            let more = self.log.read(&self.page.name, version, READ_MAX).await?;
            if !more.continues(page.epoch, version) {
                return Err(LogUnreachable("it changed while it was read".into()));
            }
            for entry in &more.entries {
                fold.apply(entry.version, &entry.payload);
                version = entry.version;
            }
            if version >= more.last {
                break;
            }
        }
        let mut there = self.page.fold();
        *there = fold;
        self.moved(Cursor { epoch: page.epoch, version });
        Ok(())
    }

    /// The kept state, or that of an empty log.
    async fn load(&self, page: &Page) -> Result<(F, Version), LogUnreachable> {
        let snapshot = self.log.snapshot(&self.page.name).await?;
        let fits =
            |snapshot: &Snapshot| snapshot.version >= page.trimmed && snapshot.version <= page.last;
        if let Some(snapshot) = snapshot.filter(fits) {
            match F::load(&snapshot.payload) {
                Some(fold) => return Ok((fold, snapshot.version)),
                None => tracing::error!(log = %self.page.name, "its kept state cannot be read"),
            }
        }
        if page.trimmed > Version(0) {
            let until = page.trimmed;
            tracing::error!(log = %self.page.name, %until, "entries are missing, and no state has them");
        }
        Ok((F::new(), page.trimmed))
    }

    /// Appends events in one entry.
    async fn write(&mut self, events: &[Bytes], tells: Vec<Tell>) {
        let entry = write_events(&mut self.writer, events);
        let written = match self.append(Expected::Any, &entry).await {
            (Append::Committed(version), _) => Ok(version),
            (append, _) => Err(refused(append)),
        };
        if let Ok(version) = written {
            self.committed(version, &entry).await;
        }
        // Who does not wait any more is told nothing.
        for tell in tells {
            let _ = tell.send(written);
        }
    }

    /// Appends an entry behind a version.
    async fn write_at(&mut self, version: Version, entry: Bytes) -> Result<Version, Refused> {
        let next = Version(version.0 + 1);
        let version = match self.append(Expected::At(version), &entry).await {
            (Append::Committed(version), _) => version,
            (Append::Conflict(_), true) if self.is_there(version, &entry).await => next,
            (append, _) => {
                self.catch_up().await;
                return Err(refused(append));
            }
        };
        self.committed(version, &entry).await;
        Ok(version)
    }

    /// Appends an entry, again and again until it is known what became of it; gives that, and whether
    /// it was unknown once. An entry that is there twice has the same number both times.
    async fn append(&self, expected: Expected, entry: &Bytes) -> (Append, bool) {
        let (mut pause, mut was_unknown) = (RETRY, false);
        loop {
            match self.log.append(&self.page.name, expected, entry.clone()).await {
                Append::NotStored(refusal) if was_unknown && refusal != Refusal::Left => {}
                Append::Unknown => was_unknown = true,
                known => return (known, was_unknown),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Whether what follows a version is this entry. Asked until the log answers.
    async fn is_there(&self, after: Version, entry: &Bytes) -> bool {
        loop {
            match self.log.read(&self.page.name, after, 1).await {
                Ok(page) => {
                    return page.entries.first().is_some_and(|there| there.payload == entry);
                }
                Err(_) => sleep(RETRY_MAX).await,
            }
        }
    }

    /// An entry of this node is in the log.
    async fn committed(&mut self, version: Version, entry: &Bytes) {
        let cursor = self.cursor();
        if cursor.epoch != 0 && version.0 == cursor.version.0 + 1 {
            let mut fold = self.page.fold();
            fold.apply(version, entry);
            self.moved(Cursor { version, ..cursor });
        } else if version > cursor.version {
            self.catch_up().await;
        }
        hints::tell(&*self.bus, &self.page.name, version);
        let every = self.keeping.snapshot_every.get();
        // One node does it: who has written that entry, or finds that nobody has for long.
        if version.0.is_multiple_of(every) || version.0 > self.kept.0 + LATE * every {
            self.keep().await;
        }
    }

    /// Keeps the state, which nobody else changes, and forgets the entries that nobody needs any more.
    async fn keep(&mut self) {
        let (version, payload) = (self.cursor().version, self.page.fold().save());
        let name: &Channel = &self.page.name;
        let keep = Keep::After(Version(version.0.saturating_sub(self.keeping.entries_kept)));
        let kept = match self.log.keep(name, Snapshot { version, payload }).await {
            Ok(()) => self.log.trim(name, keep).await,
            Err(error) => Err(error),
        };
        match kept {
            Ok(()) => self.kept = version,
            Err(error) => tracing::warn!(log = %name, %error, "the state was not kept"),
        }
    }

    fn cursor(&self) -> Cursor {
        *self.page.cursor.borrow()
    }

    /// Called while the state is held, so that whoever looks at both sees what belongs together.
    fn moved(&self, cursor: Cursor) {
        self.page.cursor.send_if_modified(|there| std::mem::replace(there, cursor) != cursor);
    }
}

impl<F: Fold> Drop for Keeper<F> {
    fn drop(&mut self) {
        self.page.pending.close();
    }
}

const fn refused(append: Append) -> Refused {
    match append {
        Append::Conflict(version) => Refused::Conflict(version),
        Append::NotStored(Refusal::Left) | Append::Unknown | Append::Committed(_) => {
            Refused::Stopped
        }
        Append::NotStored(refusal) => Refused::NotStored(refusal),
    }
}

/// How soon an append is tried again of which nobody knows what became.
const RETRY: Duration = Duration::from_millis(20);

/// How seldom at most.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Snapshots that may be missing before somebody else makes one.
const LATE: u64 = 2;
