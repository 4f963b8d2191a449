//! The task that writes down a node's clients, as long as the node lives.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use everwire_backplane::{Bus, Channel, Member};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Batch, Estate,
    ledger::{Ledger, Wrote},
    note::{Entry, Note, write_notes},
};
use crate::{
    end::End,
    hub::{Hub, Inner},
    shard::Post,
};

/// The task's own. It does not keep the hub alive. When it ends, each end is told here.
pub(crate) struct Keeper {
    hub: Weak<Inner>,
    estate: Arc<Estate>,
    bus: Arc<dyn Bus>,
    stop: CancellationToken,
}

/// The log of one life of the node.
struct Book {
    member: Member,
    ledger: Ledger,
    /// Notes in it, about.
    notes: usize,
}

impl Keeper {
    pub(crate) const fn new(
        hub: Weak<Inner>,
        estate: Arc<Estate>,
        bus: Arc<dyn Bus>,
        stop: CancellationToken,
    ) -> Self {
        Self { hub, estate, bus, stop }
    }

    /// Writes until the hub has stopped and its last client has gone, and not much longer than that
    /// takes where the backplane is away.
    pub(crate) async fn run(self) {
        let is_late = async {
            self.stop.cancelled().await;
            sleep(SETTLE_MAX).await;
        };
        tokio::select! {
            () = self.keep() => {}
            () = is_late => {}
        }
    }

    async fn keep(&self) {
        let Some(mut book) = self.open() else { return };
        let mut is_stopping = false;
        loop {
            let member = self.bus.member();
            if member != book.member {
                self.come_back(&mut book, member).await;
                let Some(next) = self.open() else { return };
                book = next;
            }
            if let Some(batch) = self.estate.take() {
                match self.write(&mut book, batch).await {
                    Wrote::Last => {}
                    Wrote::Forgotten => self.estate.forget(),
                    Wrote::TakenOver => self.lose(&book).await,
                }
            } else if is_stopping && self.estate.len() == 0 {
                return book.ledger.remove(Duration::ZERO).await;
            } else {
                tokio::select! {
                    () = self.estate.wake.notified() => {}
                    () = self.stop.cancelled(), if !is_stopping => is_stopping = true,
                }
            }
        }
    }

    /// The log of the life that the node has now.
    fn open(&self) -> Option<Book> {
        let member = self.bus.member();
        let name: Channel = self.estate.name(member)?;
        let ledger = Ledger::new(Arc::clone(&self.estate.log), name);
        Some(Book { member, ledger, notes: 0 })
    }

    async fn write(&self, book: &mut Book, batch: Batch) -> Wrote {
        let Batch { notes, noted, is_anew } = batch;
        if is_anew && book.ledger.version().0 > 0 {
            match book.ledger.write(&Entry::Anew.write()).await {
                Wrote::Last => {}
                wrote => return wrote,
            }
        }
        let wrote = self.write_all(book, &notes).await;
        if wrote != Wrote::Last {
            return wrote;
        }
        self.estate.settle(noted);
        if book.notes > self.estate.len() * NOTES_EACH + NOTES_MIN {
            return self.tidy(book).await;
        }
        Wrote::Last
    }

    async fn write_all(&self, book: &mut Book, notes: &[Note]) -> Wrote {
        let mut rest = notes;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(one_entry(rest));
            match book.ledger.write(&write_notes(part)).await {
                Wrote::Last => {}
                wrote => return wrote,
            }
            self.estate.wrote(part);
            book.notes += part.len();
            rest = behind;
        }
        Wrote::Last
    }

    /// Writes once more who is there, and forgets what stands before that.
    async fn tidy(&self, book: &mut Book) -> Wrote {
        let until = book.ledger.version();
        book.notes = 0;
        let wrote = self.write_all(book, &self.estate.everybody()).await;
        if wrote == Wrote::Last {
            book.ledger.trim(until).await;
        }
        wrote
    }

    /// The others had given this node up, which has another life now: its clients stay, unless
    /// somebody tells of their end already.
    async fn come_back(&self, book: &mut Book, member: Member) {
        match book.ledger.write(&Entry::Seal(member).write()).await {
            Wrote::Last => book.ledger.remove(REMEMBERED).await,
            Wrote::Forgotten => {}
            Wrote::TakenOver => self.end_disowned(),
        }
        self.estate.forget();
    }

    /// Somebody has inherited this node: it waits for its next life.
    async fn lose(&self, book: &Book) {
        self.end_disowned();
        while self.bus.member() == book.member {
            sleep(LOOK_AFTER).await;
        }
    }

    /// Ends the connections of which the heir tells.
    fn end_disowned(&self) {
        let disowned = self.estate.disown();
        let Some(hub) = self.hub.upgrade().map(Hub::from_inner) else { return };
        if !disowned.is_empty() {
            tracing::warn!(
                connections = disowned.len(),
                "end, since other nodes had given them up"
            );
        }
        for connection in disowned.into_iter().filter_map(|id| hub.find(id)) {
            let shard = Arc::clone(&connection.shard);
            shard.post(Post::End(connection, End::GivenUp));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.estate.close();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("estate", &self.estate).finish_non_exhaustive()
    }
}

/// How many of these make one entry; at least one.
fn one_entry(notes: &[Note]) -> usize {
    let mut bytes = 0;
    let fits = |note: &&Note| {
        bytes += note.bytes();
        bytes <= ENTRY_MAX
    };
    notes.iter().take_while(fits).count().max(1)
}

/// Bytes of one entry, but for a client that is in very many groups.
const ENTRY_MAX: usize = 256 * 1024;

/// Notes for each client that is there, beyond which the log is written anew, and at least so many.
const NOTES_EACH: usize = 4;
const NOTES_MIN: usize = 4096;

/// How long what was written last may take once the hub has stopped: its clients have to be gone
/// first.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// How often a node looks whether it has a new life.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// How long it is remembered that a log has an end: longer than a node is away and still writes.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);
