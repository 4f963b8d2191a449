//! The journal's one thread: what waits is judged together, written together, synced once and only then
//! answered.

use std::{
    io, mem,
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
};

use tokio::sync::oneshot;

use super::{
    Shared,
    disk::{Disk, NotReplaced},
    format::{self, Header},
    opening::{Found, write_all},
};
use crate::{
    Channel, Refusal, clock,
    log::fold::{Change, Logs, Outcome, Request},
};

/// A request, and whom to tell what became of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) log: Channel,
    pub(super) request: Request,
    /// Bytes that it has waiting.
    pub(super) size: usize,
    pub(super) tell: oneshot::Sender<Outcome>,
}

/// What the thread has.
pub(super) struct Writer<D> {
    disk: D,
    header: Header,
    shared: Arc<Shared>,
    /// What is on the disk, and what is about to be.
    ahead: Logs,
    /// Bytes of the file.
    length: u64,
    /// The latest time in it. Time in a journal does not go back.
    at: u64,
    /// From which length on the file may be written anew.
    rewritten_from: u64,
    /// Whether the disk refuses what is written, which is said once.
    is_refusing: bool,
}

/// What is written together.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    changes: Vec<Change>,
    answers: Vec<(oneshot::Sender<Outcome>, Outcome)>,
}

impl<D: Disk> Writer<D> {
    pub(super) fn new(disk: D, found: Found, shared: Arc<Shared>) -> Self {
        let Found { header, logs, at, length, .. } = found;
        let rewritten_from = GARBAGE_MIN;
        Self { disk, header, shared, ahead: logs, length, at, rewritten_from, is_refusing: false }
    }

    /// Until nobody can ask any more.
    pub(super) fn run(mut self, asked: &Receiver<Asked>) {
        while let Ok(first) = asked.recv() {
            let mut batch = Batch::default();
            self.at = self.at.max(clock::wall_millis());
            self.judge(&mut batch, first);
            while batch.body.len() < BATCH_BYTES_MAX
                && let Ok(next) = asked.try_recv()
            {
                self.judge(&mut batch, next);
            }
            self.commit(batch);
            self.rewrite_if_worth_it();
        }
    }

    fn judge(&mut self, batch: &mut Batch, asked: Asked) {
        let Asked { log, request, size, tell } = asked;
        self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
        self.ahead.forget_ended(self.at);
        let outcome = match self.ahead.judge(&log, request, self.at) {
            Ok(change) => {
                let outcome = change.outcome();
                format::put(&mut batch.body, &change);
                batch.changes.push(change.clone());
                // What was just judged is in its order.
                let _ = self.ahead.apply(change);
                outcome
            }
            Err(outcome) => outcome,
        };
        batch.answers.push((tell, outcome));
    }

    /// Writes, and answers when it is safe. Answers that changed nothing rest on the batch too: a
    /// conflict may be one with an entry that is not written in the end.
    fn commit(&mut self, batch: Batch) {
        let Batch { body, changes, answers } = batch;
        let failed = match changes.is_empty() {
            true => None,
            false => self.write(&body).err(),
        };
        match failed {
            None => {
                let mut logs = self.shared.logs();
                // They were judged, and applied ahead, in this order.
                changes.into_iter().for_each(|change| drop(logs.apply(change)));
            }
            Some(_) => self.ahead = self.shared.logs().clone(),
        }
        for (tell, outcome) in answers {
            // Who asked may have stopped waiting.
            let _ = tell.send(failed.unwrap_or(outcome));
        }
    }

    /// What becomes of all requests if it fails.
    fn write(&mut self, body: &[u8]) -> Result<(), Outcome> {
        let refused = Err(Outcome::Refused(Refusal::Disk));
        if self.shared.failed.get().is_some() {
            return refused;
        }
        let frame = self.header.frame(self.length, body);
        if let Err(error) = write_all(&mut self.disk, self.length, &frame) {
            self.refuse(&error);
            return refused;
        }
        if let Err(error) = self.disk.sync() {
            self.fail("what was written may not be on the disk", &error);
            return Err(Outcome::Unknown);
        }
        self.length += frame.len() as u64;
        if mem::take(&mut self.is_refusing) {
            tracing::info!("the journal is written again");
        }
        Ok(())
    }

    /// A write failed: nothing of it stays.
    fn refuse(&mut self, error: &io::Error) {
        if let Err(error) = self.disk.cut(self.length) {
            return self.fail("half a write could not be taken back", &error);
        }
        if !mem::replace(&mut self.is_refusing, true) {
            tracing::error!(%error, "the journal cannot be written, and nothing is accepted until it can");
        }
    }

    /// Nothing is written any more. A system may have dropped what it could not write, and say of the
    /// next sync that all is well: only reading the file again tells what is there.
    fn fail(&self, what: &str, error: &io::Error) {
        let said = format!("{what}: {error}");
        tracing::error!("the journal accepts nothing until this process is started again: {said}");
        // The first reason is the one that counts.
        let _ = self.shared.failed.set(said);
    }

    /// Writes the file anew when most of it is of no use any more.
    fn rewrite_if_worth_it(&mut self) {
        let useful = self.ahead.bytes() as u64;
        let garbage = self.length.saturating_sub(useful);
        let is_worth_it = garbage >= GARBAGE_MIN && garbage > self.length / 2;
        if !is_worth_it || self.length < self.rewritten_from || self.shared.failed.get().is_some() {
            return;
        }
        self.ahead.forget_ended(self.at);
        let header = Header { salt: rand::random(), ..self.header };
        let (mut pieces, before) = (Pieces::new(header, self.ahead.changes()), self.length);
        match self.disk.replace(&mut pieces) {
            Ok(()) => {
                let length = pieces.length;
                (self.header, self.length) = (header, length);
                // What names take of it is not counted as useful: a file of long ones never shrinks.
                self.rewritten_from = (2 * length).max(length + GARBAGE_MIN);
                tracing::info!(before, length, "the journal was written anew");
            }
            Err(NotReplaced::Kept(error)) => {
                self.rewritten_from = before + GARBAGE_MIN;
                tracing::warn!(%error, "the journal could not be written anew, and goes on growing");
            }
            Err(NotReplaced::Unknown(error)) => {
                self.fail("which of two files is there is not known", &error);
            }
        }
    }
}

/// A new file, piece by piece: its header, and frames with some changes each.
struct Pieces<I> {
    header: Header,
    changes: I,
    length: u64,
}

impl<I: Iterator<Item = Change>> Pieces<I> {
    const fn new(header: Header, changes: I) -> Self {
        Self { header, changes, length: 0 }
    }
}

impl<I: Iterator<Item = Change>> Iterator for Pieces<I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let piece = match self.length {
            0 => self.header.encode(),
            at => {
                let mut body = Vec::new();
                while body.len() < PIECE
                    && let Some(change) = self.changes.next()
                {
                    format::put(&mut body, &change);
                }
                if body.is_empty() {
                    return None;
                }
                self.header.frame(at, &body)
            }
        };
        self.length += piece.len() as u64;
        Some(piece)
    }
}

/// Bytes that one write has about: more would keep those who wait for the first of them waiting.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Bytes of a frame, about, in a file that is written anew.
const PIECE: usize = 1 << 20;

/// A file with less of no use is not written anew: that has all appends wait.
const GARBAGE_MIN: u64 = 16 << 20;
