//! Histories in Redis: a stream of messages each, and beside it the epoch and the last number.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Value};

use super::{
    Shared,
    keeper::REMEMBERED,
    line::{Found, entries},
    scripts,
    server::{Session, number, unexpected},
};
use crate::{
    Channel, History, LogUnreachable, LogWork, Origin, PAYLOAD_MAX, READ_MAX, Recorded, Stretch,
    envelope::Envelope,
    history::{STRETCH_BYTES_MAX, random_epoch},
};

/// A message on its way into a history.
pub(super) struct Recording<'a> {
    pub(super) channel: &'a Channel,
    pub(super) history: &'a History,
    pub(super) origin: &'a Origin,
}

impl Recording<'_> {
    /// What the server is told to do.
    pub(super) fn command(&self, shared: &Shared, session: &Session, entry: &[u8]) -> Cmd {
        let Origin { member, sequence } = self.origin;
        let (keys, name) = (&shared.keys, &self.history.name);
        let recorded = keys.recorded(member.node, self.channel);
        let keys =
            [keys.channel(self.channel), keys.history(name), keys.history_state(name), recorded];
        let mut command = scripts::run(scripts::RECORD, &keys);
        command.arg(shared.config.entries_max).arg(entry);
        command.arg(member.incarnation.0).arg(sequence);
        add_server(&mut command, session);
        add_bounds(&mut command, self.history);
        command.arg(REMEMBERED.as_millis() as u64);
        command
    }
}

/// Reads a history.
pub(super) fn replay(
    shared: Arc<Shared>,
    history: History,
    after: u64,
    limit: usize,
) -> LogWork<Result<Stretch, LogUnreachable>> {
    LogWork::new(async move {
        let keys = [shared.keys.history(&history.name), shared.keys.history_state(&history.name)];
        let command = |session: &Session| {
            let mut command = scripts::run(scripts::REPLAY, &keys);
            add_server(&mut command, session);
            add_bounds(&mut command, &history);
            command.arg(after.saturating_add(1)).arg(limit.min(READ_MAX)).arg(STRETCH_BYTES_MAX);
            command
        };
        let answer = shared.work(command).await?;
        stretch(answer).ok_or_else(|| LogUnreachable(unexpected().to_string()))
    })
}

fn add_server(command: &mut Cmd, session: &Session) {
    let durable = if session.is_durable { "1" } else { "" };
    command.arg(&session.run).arg(durable).arg(random_epoch().to_string());
}

fn add_bounds(command: &mut Cmd, history: &History) {
    let retention = &history.retention;
    let age = retention.age_max.max(Duration::from_millis(1));
    command.arg(retention.count_max).arg(retention.bytes_max).arg(age.as_millis() as u64);
    // A cursor at the end of a quiet history stays good for a while after its messages have gone.
    command.arg((age + REMEMBERED).as_millis() as u64);
}

fn stretch(answer: Value) -> Option<Stretch> {
    let Value::Array(parts) = answer else { return None };
    let [epoch, first, last, found] = <[Value; 4]>::try_from(parts).ok()?;
    let (epoch, first, last) = (number(&epoch)?, number(&first)?, number(&last)?);
    // What others may have written there ends what can be read; the reader misses it then.
    let entries = entries(found)?.into_iter().map_while(|found| recorded(&found)).collect();
    Some(Stretch { epoch, first, last, entries })
}

fn recorded(found: &Found) -> Option<Recorded> {
    let Envelope { origin, payload, .. } = Envelope::decode(&found.bytes, PAYLOAD_MAX).ok()?;
    Some(Recorded { offset: found.id.0, origin, payload })
}
