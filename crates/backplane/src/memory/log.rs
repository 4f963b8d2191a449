//! Logs within one process. They end with it.

use std::time::Duration;

use bytes::Bytes;

use super::Cluster;
use crate::{
    Append, Channel, Expected, Keep, Log, LogUnreachable, LogWork, Page, Refusal, Snapshot,
    Version, clock,
    log::fold::{Change, Logs, Outcome, Request},
};

impl Log for Cluster {
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append> {
        let mut state = self.lock();
        if !state.is_reachable() {
            return LogWork::done(Append::NotStored(Refusal::Unreachable));
        }
        LogWork::done(grant(&mut state.logs, log, Request::Append(expected, entry)).appended())
    }

    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>> {
        self.on_logs(|logs, epoch| Ok(logs.read(log, after, limit, now(), epoch)))
    }

    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| grant(logs, log, Request::Keep(snapshot)).done())
    }

    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>> {
        self.on_logs(|logs, _| Ok(logs.snapshot(log, now())))
    }

    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| grant(logs, log, Request::Trim(keep)).done())
    }

    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>> {
        self.on_logs(|logs, _| grant(logs, log, Request::Remove(after)).done())
    }
}

impl Cluster {
    fn on_logs<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Logs, u64) -> Result<T, LogUnreachable>,
    ) -> LogWork<Result<T, LogUnreachable>> {
        let mut state = self.lock();
        if !state.is_reachable() {
            return LogWork::done(Err(LogUnreachable("the backplane was cut off".into())));
        }
        let epoch = state.epoch();
        LogWork::done(what(&mut state.logs, epoch))
    }
}

fn grant(logs: &mut Logs, log: &Channel, request: Request) -> Outcome {
    let now = now();
    logs.forget_ended(now);
    let judged = logs.judge(log, request, now);
    let outcome = judged.as_ref().map_or_else(|outcome| *outcome, Change::outcome);
    if let Ok(change) = judged {
        // What was just judged is in its order.
        let _ = logs.apply(change);
    }
    outcome
}

fn now() -> u64 {
    clock::now().as_millis()
}
