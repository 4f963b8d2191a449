//! Logs within one process. They end with it.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use everwire_proto::time::Time;

use super::Cluster;
use crate::{
    Append, Channel, Entry, Expected, Keep, Log, LogUnreachable, LogWork, Page, READ_MAX, Refusal,
    Snapshot, Version, clock,
};

/// All logs, and the bytes in them.
#[derive(Debug, Default)]
pub(super) struct Logs {
    logs: HashMap<Channel, Entries>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    entries: VecDeque<(Entry, Time)>,
    last: Version,
    snapshot: Option<Snapshot>,
    /// When it is to be forgotten.
    ends: Option<Time>,
}

impl Logs {
    fn append(&mut self, log: &Channel, expected: Expected, payload: Bytes) -> Append {
        self.forget_ended();
        let last = self.logs.get(log).map(|log| log.last).unwrap_or_default();
        if expected != Expected::Any && expected != Expected::At(last) {
            return Append::Conflict(last);
        }
        if payload.len() > crate::PAYLOAD_MAX {
            return Append::NotStored(Refusal::TooLarge);
        }
        if self.bytes + payload.len() > BYTES_MAX {
            return Append::NotStored(Refusal::Full);
        }
        self.bytes += payload.len();
        let version = Version(last.0 + 1);
        let log = self.logs.entry(log.clone()).or_default();
        log.entries.push_back((Entry { version, payload }, clock::now()));
        log.last = version;
        Append::Committed(version)
    }

    fn read(&self, log: &Channel, after: Version, limit: usize, epoch: u64) -> Page {
        let Some(log) = self.logs.get(log) else { return Page { epoch, ..Page::default() } };
        let later =
            log.entries.iter().map(|(entry, _)| entry).filter(|entry| entry.version > after);
        let entries = later.take(limit.min(READ_MAX)).cloned().collect();
        Page { epoch, trimmed: log.trimmed(), last: log.last, entries }
    }

    fn keep(&mut self, log: &Channel, snapshot: Snapshot) {
        let kept = &mut self.logs.entry(log.clone()).or_default().snapshot;
        if kept.as_ref().is_none_or(|kept| kept.version <= snapshot.version) {
            *kept = Some(snapshot);
        }
    }

    fn remove(&mut self, log: &Channel, after: Duration) {
        if let Some(log) = self.logs.get_mut(log) {
            log.ends = Some(clock::now() + after);
        }
        self.forget_ended();
    }

    /// Forgets what was to be removed by now.
    fn forget_ended(&mut self) {
        let now = clock::now();
        let is_over = |log: &Entries| log.ends.is_some_and(|ends| ends <= now);
        for (_, gone) in self.logs.extract_if(|_, log| is_over(log)) {
            self.bytes -= gone.entries.iter().map(|(entry, _)| entry.payload.len()).sum::<usize>();
        }
    }

    fn trim(&mut self, log: &Channel, keep: Keep) {
        let Some(log) = self.logs.get_mut(log) else { return };
        let now = clock::now();
        while let Some((oldest, appended)) = log.entries.front() {
            let stays = match keep {
                Keep::After(version) => oldest.version > version,
                Keep::Last(count) => oldest.version.0 + count > log.last.0,
                Keep::Younger(age) => now.saturating_since(*appended) <= age,
            };
            if stays {
                break;
            }
            self.bytes -= oldest.payload.len();
            log.entries.pop_front();
        }
    }
}

impl Entries {
    fn trimmed(&self) -> Version {
        self.entries.front().map_or(self.last, |(oldest, _)| Version(oldest.version.0 - 1))
    }
}

impl Log for Cluster {
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append> {
        let mut state = self.lock();
        if !state.is_reachable() {
            return LogWork::done(Append::NotStored(Refusal::Unreachable));
        }
        LogWork::done(state.logs.append(log, expected, entry))
    }

    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>> {
        self.on_logs(|logs, epoch| logs.read(log, after, limit, epoch))
    }

    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| logs.keep(log, snapshot))
    }

    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>> {
        self.on_logs(|logs, _| logs.logs.get(log).and_then(|log| log.snapshot.clone()))
    }

    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| logs.trim(log, keep))
    }

    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| logs.remove(log, after))
    }
}

impl Cluster {
    fn on_logs<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Logs, u64) -> T,
    ) -> LogWork<Result<T, LogUnreachable>> {
        let mut state = self.lock();
        if !state.is_reachable() {
            return LogWork::done(Err(LogUnreachable("the backplane was cut off".into())));
        }
        let epoch = state.epoch();
        LogWork::done(Ok(what(&mut state.logs, epoch)))
    }
}

/// Bytes of all entries in memory; beyond them nothing is appended until something is trimmed.
const BYTES_MAX: usize = 256 << 20;
