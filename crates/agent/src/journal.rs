//! What is known of commands, and the file that it is written to. Nothing here waits for the disk but
//! whoever notes something.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{
    record::{Note, Records, Verdict},
    store::{CommandFile, StoreError},
    wire::Outcome,
};

/// A handle; clones are the same journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held for a moment only.
    records: Mutex<Records>,
    /// Held while the disk writes. Without a state directory there is none.
    file: Option<Mutex<CommandFile>>,
    changed: watch::Sender<()>,
}

impl Journal {
    pub(crate) fn new(records: Records, file: Option<CommandFile>) -> Self {
        let (changed, _) = watch::channel(());
        let (records, file) = (Mutex::new(records), file.map(Mutex::new));
        Self { shared: Arc::new(Shared { records, file, changed }) }
    }

    /// A command comes.
    pub(crate) fn handle_command(&self, id: &str) -> Verdict {
        self.records().handle_command(id)
    }

    /// Notes something; it is on the disk when this returns without an error, and known in any case.
    pub(crate) async fn note(&self, note: Note) -> Result<(), StoreError> {
        self.records().handle_note(&note);
        self.shared.changed.send_replace(());
        if self.shared.file.is_none() {
            return Ok(());
        }
        let journal = self.clone();
        let written = tokio::task::spawn_blocking(move || journal.write(&note));
        written.await.unwrap_or(Ok(()))
    }

    /// The oldest outcome that the manager may not know.
    pub(crate) fn next_untold(&self) -> Option<(String, Outcome)> {
        let records = self.records();
        records.next_untold().map(|(id, outcome)| (id.to_owned(), outcome.clone()))
    }

    /// Tells of everything that is noted.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Waits until every command has come to its end and the manager knows it.
    pub(crate) async fn settled(&self) {
        let mut changes = self.changes();
        while self.records().has_open() || self.next_untold().is_some() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn write(&self, note: &Note) -> Result<(), StoreError> {
        let Some(file) = &self.shared.file else { return Ok(()) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.note(note, || self.records().notes())
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
