//! Logs in Redis: a stream of entries, and beside it the version, what is trimmed, the snapshot.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{Cmd, RedisError, RedisResult, Value};

use super::{
    Backoff, Redis, Shared,
    line::entries,
    scripts,
    server::{Connection, Session, number, unexpected},
};
use crate::{
    Append, Channel, Entry, Expected, Keep, Log, LogUnreachable, LogWork, PAYLOAD_MAX, Page,
    READ_MAX, Refusal, Snapshot, Version,
};

/// Whether a failed command may have been done.
enum Failed {
    NotSent(RedisError),
    Sent(RedisError),
}

impl Shared {
    /// The connection that logs and histories are read by, and which server it has reached.
    async fn log_line(&self) -> RedisResult<(Connection, Session)> {
        let mut kept = self.log.lock().await;
        let line = match kept.take() {
            Some(line) => line,
            None => {
                let mut connection = self.server.connect(Duration::ZERO).await?;
                let session = connection.session(&self.keys).await?;
                (connection, session)
            }
        };
        *kept = Some(line.clone());
        Ok(line)
    }

    async fn on_log(&self, command: impl FnOnce(&Session) -> Cmd) -> Result<Value, Failed> {
        let (mut connection, session) = self.log_line().await.map_err(Failed::NotSent)?;
        let done = connection.one(&command(&session)).await;
        if done.is_err() {
            // Whatever was wrong: the next one begins anew.
            *self.log.lock().await = None;
        }
        done.map_err(|error| match error.is_connection_refusal() {
            true => Failed::NotSent(error),
            false => Failed::Sent(error),
        })
    }

    /// Appends. An append whose answer is lost is looked for: one that expected a version is sent again
    /// under its name, and whichever of the two the server takes first leaves no room for the other. One
    /// that did not is only read back, since the first may still be on its way.
    async fn append(&self, command: Cmd) -> Append {
        let (mut first, mut again) = (command.clone(), command);
        first.arg("");
        again.arg(READ_BACK);
        match self.on_log(|_| first).await {
            Ok(answer) => return appended(&answer).unwrap_or(Append::Unknown),
            Err(Failed::NotSent(_)) => return Append::NotStored(Refusal::Unreachable),
            Err(Failed::Sent(_)) => {}
        }
        let mut backoff = Backoff::default();
        for _ in 0..AGAIN_MAX {
            backoff.pause().await;
            if let Ok(answer) = self.on_log(|_| again.clone()).await {
                return appended(&answer).unwrap_or(Append::Unknown);
            }
        }
        Append::Unknown
    }

    pub(super) async fn work(
        &self,
        command: impl FnOnce(&Session) -> Cmd,
    ) -> Result<Value, LogUnreachable> {
        self.on_log(command).await.map_err(|failed| match failed {
            Failed::NotSent(error) | Failed::Sent(error) => LogUnreachable(error.to_string()),
        })
    }
}

impl Log for Redis {
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append> {
        if entry.len() > PAYLOAD_MAX {
            return LogWork::done(Append::NotStored(Refusal::TooLarge));
        }
        let shared = Arc::clone(&self.shared);
        let keys = [shared.keys.log(log), shared.keys.log_state(log)];
        let mut command = scripts::run(scripts::APPEND, &keys);
        match expected {
            Expected::At(version) => command.arg(version.0),
            Expected::Any => command.arg(""),
        };
        command.arg(&entry[..]).arg(rand::random::<[u8; 16]>().as_slice());
        LogWork::new(async move { shared.append(command).await })
    }

    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>> {
        let shared = Arc::clone(&self.shared);
        let keys = [shared.keys.epoch(), shared.keys.log(log), shared.keys.log_state(log)];
        let mut command = scripts::run(scripts::READ, &keys);
        command.arg(rand::random::<u64>().to_string());
        command.arg(after.0.saturating_add(1)).arg(limit.min(READ_MAX));
        LogWork::new(async move {
            let answer = shared.work(|_| command).await?;
            page(answer).ok_or_else(|| LogUnreachable(unexpected().to_string()))
        })
    }

    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>> {
        let mut command = scripts::run(scripts::KEEP, &[self.shared.keys.log_state(log)]);
        command.arg(snapshot.version.0).arg(&snapshot.payload[..]);
        self.done(command)
    }

    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>> {
        let shared = Arc::clone(&self.shared);
        let mut command = redis::cmd("HMGET");
        command.arg(shared.keys.log_state(log)).arg("snapshot").arg("data");
        LogWork::new(async move {
            let answer = shared.work(|_| command).await?;
            let Value::Array(fields) = answer else { return Ok(None) };
            let mut fields = fields.into_iter();
            let version = fields.next().as_ref().and_then(number);
            let (Some(version), Some(Value::BulkString(data))) = (version, fields.next()) else {
                return Ok(None);
            };
            Ok(Some(Snapshot { version: Version(version), payload: data.into() }))
        })
    }

    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>> {
        let keys = [self.shared.keys.log(log), self.shared.keys.log_state(log)];
        let mut command = scripts::run(scripts::TRIM, &keys);
        match keep {
            Keep::After(version) => command.arg("after").arg(version.0),
            Keep::Last(count) => command.arg("last").arg(count),
            Keep::Younger(age) => command.arg("younger").arg(age.as_millis() as u64),
        };
        self.done(command)
    }

    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>> {
        let keys = [self.shared.keys.log(log), self.shared.keys.log_state(log)];
        let mut command = scripts::run(scripts::REMOVE, &keys);
        command.arg(after.as_millis() as u64);
        self.done(command)
    }
}

impl Redis {
    fn done(&self, command: Cmd) -> LogWork<Result<(), LogUnreachable>> {
        let shared = Arc::clone(&self.shared);
        LogWork::new(async move { shared.work(|_| command).await.map(drop) })
    }
}

fn appended(answer: &Value) -> Option<Append> {
    let Value::Array(parts) = answer else { return None };
    let [done, version] = &parts[..] else { return None };
    let version = Version(number(version)?);
    match number(done)? {
        0 => Some(Append::Conflict(version)),
        1 => Some(Append::Committed(version)),
        _ => Some(Append::Unknown),
    }
}

fn page(answer: Value) -> Option<Page> {
    let Value::Array(parts) = answer else { return None };
    let [epoch, trimmed, last, found] = <[Value; 4]>::try_from(parts).ok()?;
    let found = entries(found)?.into_iter();
    let entries =
        found.map(|found| Entry { version: Version(found.id.0), payload: found.bytes }).collect();
    let (trimmed, last) = (Version(number(&trimmed)?), Version(number(&last)?));
    Some(Page { epoch: number(&epoch)?, trimmed, last, entries })
}

/// How often an append is looked for whose answer was lost: through a server that is started again, and
/// not for so long that whoever waits could not as well look for it later.
const AGAIN_MAX: usize = 3;

/// How many of the latest entries are looked through for one that may be anywhere.
const READ_BACK: u64 = 256;
