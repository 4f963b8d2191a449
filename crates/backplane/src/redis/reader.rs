//! The reader: waits for all streams of this node at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{Cmd, ConnectionAddr, ErrorKind, RedisError, RedisResult, Value};

use super::{
    Backoff, Shared,
    core::Opening,
    line::{backwards, entries},
    server::{Connection, Session, text, unexpected},
};
use crate::{Channel, Item, clock, health::count};

/// Reads until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut backoff, mut session, mut portion) = (Backoff::default(), None, PORTION_MAX);
    let mut complaint = Complaint::default();
    loop {
        // Every end is an error: of the connection, or an answer that is none.
        let end = read(&shared, &mut session, &mut backoff, &mut portion, &mut complaint).await;
        if let Err(error) = end {
            complaint.failed(shared.server.address(), &error);
        }
        // An answer that is larger than the server lets wait for a client would end every connection.
        portion = (portion / 4).max(1);
        count(&shared.counters.cuts, 1);
        reached(&shared, false);
        backoff.pause().await;
    }
}

async fn read(
    shared: &Arc<Shared>,
    session: &mut Option<Session>,
    backoff: &mut Backoff,
    portion: &mut usize,
    complaint: &mut Complaint,
) -> RedisResult<()> {
    let mut connection = shared.server.connect(BLOCK).await?;
    let reached_now = connection.session(&shared.keys).await?;
    shared.core().handle_epoch(reached_now.epoch);
    if session.as_ref().is_some_and(|before| before.run != reached_now.run) {
        go_back(shared, &mut connection).await?;
    }
    *session = Some(reached_now);
    backoff.succeeded();
    complaint.succeeded();
    reached(shared, true);
    loop {
        open_all(shared, &mut connection).await?;
        let (command, names) = wait_for(shared, *portion);
        let answer = connection.one(&command).await?;
        handle(shared, &names, answer).ok_or_else(unexpected)?;
        *portion = (*portion * 2).min(PORTION_MAX);
    }
}

/// What is said in the log of a server that does not answer: once for each time that it is away,
/// however often it is tried. One that has only cut a connection is not away; that is counted.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    failures: u32,
}

impl Complaint {
    pub(super) fn failed(&mut self, at: &ConnectionAddr, error: &RedisError) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == AWAY_FROM {
            let hint = hint(error);
            tracing::warn!(%at, %error, "Redis is not reached, and is tried until it is: {hint}");
        }
    }

    pub(super) fn succeeded(&mut self) {
        if self.failures >= AWAY_FROM {
            tracing::info!("Redis is reached");
        }
        self.failures = 0;
    }
}

/// What to look at first.
fn hint(error: &RedisError) -> &'static str {
    let refused = matches!(error.kind(), ErrorKind::AuthenticationFailed)
        || ["NOAUTH", "WRONGPASS", "NOPERM"].iter().any(|code| error.code() == Some(code));
    if refused {
        "it refuses the user or the password, which belong into its address, \
         redis://USER:PASSWORD@HOST"
    } else if error.is_timeout() || error.is_io_error() || error.is_connection_refusal() {
        "does it run at this address, and do firewalls let this node through?"
    } else {
        "is it a Redis 7 or a Valkey, whose user may use streams, scripts, INFO and SET?"
    }
}

/// A server that was killed may have forgotten what this node has read. What it accepts next could
/// then lie before the cursor, if its clock went back.
async fn go_back(shared: &Shared, connection: &mut Connection) -> RedisResult<()> {
    let names: Vec<Channel> = shared.core().lines.keys().cloned().collect();
    for name in names {
        let last = backwards(connection, &shared.keys.channel(&name), "+", 1).await?;
        let last = last.last().map_or((0, 0), |found| found.id);
        if let Some(line) = shared.core().lines.get_mut(&name) {
            line.cursor = line.cursor.min(last);
        }
    }
    shared.core().inbox_cursor = (0, 0);
    Ok(())
}

fn reached(shared: &Shared, reachable: bool) {
    if shared.reach.set(reachable, clock::now().as_millis()) {
        shared.core().tell(&Item::Reachable(reachable));
    }
}

async fn open_all(shared: &Shared, connection: &mut Connection) -> RedisResult<()> {
    loop {
        let opening = {
            let mut core = shared.core();
            core.lines.retain(|_, line| !line.followers.is_empty());
            core.opening.pop()
        };
        let Some(opening) = opening else { return Ok(()) };
        if let Err(error) = shared.open(connection, &opening).await {
            let Opening { channel, from, mailbox } = opening;
            shared.core().opening.push(Opening { channel, from, mailbox });
            return Err(error);
        }
    }
}

/// The command that waits for what comes next, and which channel has which key.
fn wait_for(shared: &Shared, portion: usize) -> (Cmd, HashMap<String, Channel>) {
    let core = shared.core();
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(portion).arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
    command.arg(shared.keys.inbox(core.outgoing.member().node));
    let mut cursors = vec![core.inbox_cursor];
    let mut names = HashMap::new();
    for (name, line) in &core.lines {
        let key = shared.keys.channel(name);
        command.arg(&key);
        cursors.push(line.cursor);
        names.insert(key, name.clone());
    }
    for (major, minor) in cursors {
        command.arg(format!("{major}-{minor}"));
    }
    (command, names)
}

fn handle(shared: &Arc<Shared>, names: &HashMap<String, Channel>, answer: Value) -> Option<()> {
    let streams: Vec<(Value, Value)> = match answer {
        Value::Nil => return Some(()),
        Value::Map(streams) => streams,
        Value::Array(streams) => streams.into_iter().map(pair).collect::<Option<_>>()?,
        _ => return None,
    };
    let mut core = shared.core();
    for (key, values) in streams {
        let name = names.get(text(&key)?);
        for found in entries(values)? {
            match name {
                Some(name) => shared.handle_entry(&mut core, name, found),
                None => shared.handle_inbox(&mut core, found.id, &found.bytes),
            }
        }
    }
    Some(())
}

fn pair(value: Value) -> Option<(Value, Value)> {
    let Value::Array(parts) = value else { return None };
    let mut parts = parts.into_iter();
    Some((parts.next()?, parts.next()?))
}

/// Failures one after another from which on a server is away.
const AWAY_FROM: u32 = 2;

/// How long the server waits for something new before it says that there is nothing.
const BLOCK: Duration = Duration::from_secs(1);

/// Entries of each stream in one answer: a burst of small ones, and not too much of large ones.
const PORTION_MAX: usize = 256;
