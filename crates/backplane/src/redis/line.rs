//! One channel that this node follows: how following begins.

use bytes::Bytes;
use redis::{RedisResult, Value};

use super::{
    Shared,
    core::Opening,
    server::{Connection, entry_id, text, unexpected},
};
use crate::{
    Cursor, Gap, Item, PAYLOAD_MAX, Position, Start,
    envelope::{Envelope, Kind},
    incoming::{Body, Incoming, Output},
    subscription::Followers,
};

/// A channel that is read.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) incoming: Incoming,
    pub(super) followers: Followers,
    /// The last entry that was read.
    pub(super) cursor: (u64, u64),
}

/// Entries as they lie in a stream.
pub(super) type Entries = Vec<Found>;

/// One of them.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: (u64, u64),
    /// What its first field has; nothing if that is no field of ours.
    pub(super) bytes: Bytes,
    /// Its place in a history.
    pub(super) recorded: Option<Cursor>,
}

impl Shared {
    /// Begins a subscription. If that fails, it begins on the next connection.
    pub(super) async fn open(
        &self,
        connection: &mut Connection,
        opening: &Opening,
    ) -> RedisResult<()> {
        let key = self.keys.channel(&opening.channel);
        let begun = self.core().lines.get(&opening.channel).map(|line| line.cursor);
        let (cursor, incoming) = match begun {
            Some(cursor) => (cursor, None),
            None => {
                let past = backwards(connection, &key, "+", PAST).await?;
                let cursor = past.last().map_or((0, 0), |found| found.id);
                (cursor, Some(self.after(cursor, &past)))
            }
        };
        let missed = match opening.from {
            Start::Now => Vec::new(),
            Start::After(position) => self.missed(connection, &key, position, cursor).await?,
        };
        let mut core = self.core();
        if let Some(incoming) = incoming {
            let line = Line { incoming, followers: Followers::default(), cursor };
            core.lines.insert(opening.channel.clone(), line);
        }
        let Some(line) = core.lines.get_mut(&opening.channel) else { return Ok(()) };
        opening.mailbox.deliver(Item::Reachable(true));
        missed.into_iter().for_each(|item| opening.mailbox.deliver(item));
        line.followers.add(std::sync::Arc::clone(&opening.mailbox));
        Ok(())
    }

    /// What came up to here is not new.
    fn after(&self, cursor: (u64, u64), past: &Entries) -> Incoming {
        let position = Position { epoch: self.core().epoch, entry: cursor };
        let mut incoming = Incoming::new(position, HELD_MAX, HELD_BYTES_MAX);
        for found in past {
            if let Ok(envelope) = Envelope::decode(&found.bytes, PAYLOAD_MAX) {
                incoming.handle_past(envelope.origin);
            }
        }
        incoming
    }

    /// What lies between a position and the place up to which everybody here has read.
    async fn missed(
        &self,
        connection: &mut Connection,
        key: &str,
        position: Position,
        cursor: (u64, u64),
    ) -> RedisResult<Vec<Item>> {
        let epoch = self.core().epoch;
        let mut items = Vec::new();
        let mut from = position.entry;
        if position.epoch != epoch {
            items.push(Item::Gap(Gap::Emptied));
            from = (0, 0);
        }
        let before = backwards(connection, key, &format!("{}-{}", from.0, from.1), PAST).await?;
        if before.is_empty() && from != (0, 0) {
            items.push(Item::Gap(Gap::Trimmed));
        }
        let mut incoming = self.after(from, &before);
        while from < cursor {
            let page = forwards(connection, key, from, cursor).await?;
            let Some(last) = page.last() else { break };
            from = last.id;
            for found in page {
                let position = Position { epoch, entry: found.id };
                replay(&mut incoming, position, &found, &mut items);
            }
        }
        Ok(items)
    }
}

/// What is missing in what is long stored is lost: it is not asked for.
fn replay(incoming: &mut Incoming, position: Position, found: &Found, items: &mut Vec<Item>) {
    let Ok(envelope) = Envelope::decode(&found.bytes, PAYLOAD_MAX) else { return };
    let recorded = found.recorded;
    match envelope.kind {
        Kind::Message => {
            let body = Body { payload: envelope.payload, recorded };
            incoming.handle_message(envelope.origin, position, body);
        }
        kind if kind.is_numbered() => incoming.handle_unreadable(envelope.origin, position),
        _ => {}
    }
    while let Some(output) = incoming.poll_output() {
        match output {
            Output::Deliver(message) => items.push(Item::Message(message)),
            Output::Gap(gap) => items.push(Item::Gap(gap)),
            Output::Ask { member, .. } => incoming.handle_recalled(member, []),
            Output::Duplicate => {}
        }
    }
}

/// The last entries up to a place, oldest first.
pub(super) async fn backwards(
    connection: &mut Connection,
    key: &str,
    until: &str,
    count: usize,
) -> RedisResult<Entries> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg(until).arg("-").arg("COUNT").arg(count);
    let mut entries = entries(connection.one(&command).await?).ok_or_else(unexpected)?;
    entries.reverse();
    Ok(entries)
}

async fn forwards(
    connection: &mut Connection,
    key: &str,
    after: (u64, u64),
    until: (u64, u64),
) -> RedisResult<Entries> {
    let mut command = redis::cmd("XRANGE");
    command.arg(key).arg(format!("({}-{}", after.0, after.1));
    command.arg(format!("{}-{}", until.0, until.1)).arg("COUNT").arg(PAGE);
    entries(connection.one(&command).await?).ok_or_else(unexpected)
}

/// Reads entries, each with one field, and another if it was recorded. What has other fields is an
/// entry without bytes.
pub(super) fn entries(value: Value) -> Option<Entries> {
    let Value::Array(values) = value else { return None };
    values.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Option<Found> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    let id = entry_id(&parts.next()?)?;
    let fields = if let Some(Value::Array(fields)) = parts.next() { fields } else { Vec::new() };
    let recorded = fields.get(3).and_then(cursor);
    let bytes = match fields.into_iter().nth(1) {
        Some(Value::BulkString(bytes)) => Bytes::from(bytes),
        _ => Bytes::new(),
    };
    Some(Found { id, bytes, recorded })
}

/// A place as it is written there. A log's entry has no point in its second field.
fn cursor(value: &Value) -> Option<Cursor> {
    let (epoch, offset) = text(value)?.split_once('.')?;
    Some(Cursor { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? })
}

/// How far a channel is read back to learn who has published what. Few, since each may be large: a
/// subscription that begins within a longer tail that is just being sent again may get some of it.
const PAST: usize = 128;

/// Entries that are read at once.
const PAGE: usize = 256;

/// Messages that are held behind a hole, in one channel and of one publisher.
const HELD_MAX: usize = 16_384;

/// Their bytes.
const HELD_BYTES_MAX: usize = 32 << 20;
