//! The writer: appends what waits, in pipelines, and hears what is stored.

use std::{collections::VecDeque, future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use redis::{Pipeline, RedisResult, Value};

use super::{
    Backoff, Shared,
    core::Core,
    history::Recording,
    server::{Connection, Session, entry_id, unexpected},
};
use crate::{
    Fate, Origin, Position,
    envelope::{HEAD, Kind, head},
    health::count,
    outgoing::Stream,
};

/// Pipelines on their way, the oldest first.
type Underway = VecDeque<Pin<Box<dyn Future<Output = RedisResult<Vec<Value>>> + Send>>>;

/// Writes until the node ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut backoff, mut run) = (Backoff::default(), None);
    loop {
        // Every end is an error: of the connection, or an entry that was not taken.
        let _ = write(&shared, &mut run, &mut backoff).await;
        backoff.pause().await;
    }
}

async fn write(
    shared: &Shared,
    run: &mut Option<String>,
    backoff: &mut Backoff,
) -> RedisResult<()> {
    let mut connection = shared.server.connect(std::time::Duration::ZERO).await?;
    let session = connection.session(&shared.keys).await?;
    let reached = session.clone();
    let is_other = run.as_ref().is_some_and(|run| *run != session.run);
    let again = {
        let mut core = shared.core();
        core.handle_epoch(session.epoch);
        if is_other { core.outgoing.handle_forgotten() } else { core.outgoing.handle_cut() }
    };
    count(&shared.counters.resent, again as u64);
    *run = Some(session.run);
    let mut underway = Underway::new();
    // How many of each pipeline's entries are numbered; what is announced stands behind them.
    let mut numbered = VecDeque::new();
    loop {
        while underway.len() < UNDERWAY_MAX {
            let Some((pipeline, count)) = batch(shared, &reached) else { break };
            underway.push_back(send(connection.clone(), pipeline).await);
            numbered.push_back(count);
        }
        let underway_has_room = underway.len() < UNDERWAY_MAX;
        let Some(oldest) = underway.front_mut() else {
            shared.to_write.notified().await;
            continue;
        };
        // In no order of importance: an answer makes room, something new fills what room there is.
        let answers = tokio::select! {
            answers = oldest => answers?,
            () = shared.to_write.notified(), if underway_has_room => continue,
        };
        underway.pop_front();
        confirm(shared, &answers, numbered.pop_front().unwrap_or_default())?;
        backoff.succeeded();
    }
}

/// Begins to send: what is begun first goes first.
async fn send(
    mut connection: Connection,
    pipeline: Pipeline,
) -> Pin<Box<dyn Future<Output = RedisResult<Vec<Value>>> + Send>> {
    let mut sending: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(async move { connection.many(&pipeline).await });
    let early = poll_fn(|ctx| {
        Poll::Ready(match sending.as_mut().poll(ctx) {
            Poll::Ready(answers) => Some(answers),
            Poll::Pending => None,
        })
    });
    match early.await {
        Some(answers) => Box::pin(std::future::ready(answers)),
        None => sending,
    }
}

/// The next pipeline and how many entries of it are numbered; `None` if there is nothing to say.
fn batch(shared: &Shared, session: &Session) -> Option<(Pipeline, usize)> {
    let mut core = shared.core();
    let mut pipeline = redis::pipe();
    let (mut numbered, mut bytes) = (0, 0);
    let mut entry = Vec::new();
    while numbered < BATCH_MAX && bytes < BATCH_BYTES_MAX {
        let Some(sent) = core.outgoing.poll_send() else { break };
        let key = shared.keys.stream(&sent.stream);
        entry.clear();
        entry.extend_from_slice(&head(&sent.origin, sent.kind));
        entry.extend_from_slice(&sent.payload);
        match (&sent.history, &sent.stream) {
            (Some(history), Stream::Channel(channel)) => {
                let recording = Recording { channel, history, origin: &sent.origin };
                pipeline.add_command(recording.command(shared, session, &entry));
            }
            _ => append(shared, &mut pipeline, &key, &entry),
        }
        numbered += 1;
        bytes += sent.payload.len() + HEAD;
    }
    if !core.outgoing.has_unsent() {
        announce(shared, &mut core, &mut pipeline);
    }
    if std::mem::take(&mut core.wake_reader) {
        let origin = Origin { member: core.outgoing.member(), sequence: 0 };
        let key = shared.keys.inbox(origin.member.node);
        append(shared, &mut pipeline, &key, &head(&origin, Kind::Wake));
    }
    (!pipeline.is_empty()).then_some((pipeline, numbered))
}

/// Last numbers, behind the messages that have them.
fn announce(shared: &Shared, core: &mut Core, pipeline: &mut Pipeline) {
    if !std::mem::take(&mut core.announce) {
        return;
    }
    for (channel, origin) in core.outgoing.announcements(crate::clock::now()) {
        let key = shared.keys.channel(channel);
        append(shared, pipeline, &key, &head(&origin, Kind::Announcement));
    }
}

fn append(shared: &Shared, pipeline: &mut Pipeline, key: &str, entry: &[u8]) {
    pipeline.cmd("XADD").arg(key).arg("MAXLEN").arg("~").arg(shared.config.entries_max);
    pipeline.arg("*").arg("e").arg(entry);
}

/// Tells the publishers. An entry that was not taken ends the connection, so that it and what
/// follows are sent again in order.
fn confirm(shared: &Shared, answers: &[Value], numbered: usize) -> RedisResult<()> {
    let mut core = shared.core();
    let epoch = core.epoch;
    for answer in &answers[..numbered.min(answers.len())] {
        let entry = entry_id(answer).ok_or_else(unexpected)?;
        let tell = core.outgoing.handle_confirmed();
        count(&shared.counters.stored, u64::from(tell.is_some()));
        if let Some(tell) = tell.flatten() {
            // Who published may not care.
            let _ = tell.send(Fate::Stored(Position { epoch, entry }));
        }
    }
    if core.left && core.outgoing.is_settled() {
        shared.settled.notify_waiters();
    }
    Ok(())
}

/// Entries of one pipeline.
const BATCH_MAX: usize = 1024;

/// Bytes of one pipeline, about.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Pipelines underway: one that the server works on, and one that it finds when it has done so.
const UNDERWAY_MAX: usize = 2;
