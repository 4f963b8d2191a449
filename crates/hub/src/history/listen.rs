//! Hearing channels with a history: has each [line](super::line) put in order what the backplane hands
//! on, reads for it, and tells this node's members. Used by the one task that listens to other nodes.

use std::{
    collections::{HashSet, VecDeque},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use everwire_backplane::{Cursor, LogUnreachable, Message, Stretch};
use everwire_proto::signalr::message::HubMessage;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::sleep;

use super::{audience, line::Line, line::Output, replay};
use crate::{
    fanout::{
        envelope::{Envelope, read_call},
        exchange::ROOM_AFTER,
    },
    frames::Frames,
    hub::Hub,
    presence::Scope,
    shard::Post,
};

/// What is read at the moment, and what is to be.
#[derive(Default)]
pub(crate) struct Reading {
    underway: FuturesUnordered<Pin<Box<dyn Future<Output = Read> + Send>>>,
    /// Each once, with where to begin.
    waiting: VecDeque<(Scope, u64)>,
}

/// A part of a channel's history, if it could be read.
pub(crate) type Read = (Scope, Result<Stretch, LogUnreachable>);

impl Reading {
    /// The next that was read; `None` if nothing is.
    pub(crate) async fn next(&mut self) -> Option<Read> {
        self.underway.next().await
    }

    fn start(&mut self, hub: &Hub) {
        while self.underway.len() < UNDERWAY_MAX {
            let Some((scope, after)) = self.waiting.pop_front() else { return };
            let history = hub.histories().and_then(|histories| histories.history(&scope));
            let Some((history, fanout)) = history.zip(hub.fanout()) else { continue };
            let reading = replay(fanout.bus(), &history, after);
            self.underway.push(Box::pin(async move { (scope, reading.await) }));
        }
    }
}

/// Takes a message of a channel with a history.
pub(crate) async fn hear(hub: &Hub, scope: Scope, message: Message, reading: &mut Reading) {
    let Some(histories) = hub.histories() else { return };
    // Sessions that come meanwhile want it.
    let _steady = histories.steady().await;
    if !is_wanted(hub, &scope) {
        // Whoever comes later does not want what has been before.
        histories.lines().remove(&scope);
        return;
    }
    let Message { origin, recorded, payload, .. } = message;
    with(hub, scope, reading, |line| match recorded {
        Some(cursor) => line.handle_message(cursor, origin, payload),
        // It had to be asked for, and the history knows where it belongs.
        None => line.handle_doubt(),
    })
    .await;
}

/// Takes what was read.
pub(crate) async fn hear_read(hub: &Hub, (scope, read): Read, reading: &mut Reading) {
    let Some(histories) = hub.histories() else { return };
    let _steady = histories.steady().await;
    with(hub, scope, reading, |line| match read {
        Ok(stretch) => line.handle_stretch(stretch),
        Err(error) => {
            tracing::debug!(%error, "a history cannot be read");
            line.handle_unread();
        }
    })
    .await;
}

/// Something was lost on the way here, or may have been.
pub(crate) async fn doubt(hub: &Hub, reading: &mut Reading) {
    let Some(histories) = hub.histories() else { return };
    let _steady = histories.steady().await;
    each(hub, reading, Line::handle_doubt).await;
}

/// Lets go of channels that nobody here is in, and tries again what could not be read.
pub(crate) async fn tick(hub: &Hub, reading: &mut Reading) {
    let Some(histories) = hub.histories() else { return };
    let _steady = histories.steady().await;
    let scopes: HashSet<Scope> = histories.lines().keys().cloned().collect();
    let unwanted = scopes.into_iter().filter(|scope| !is_wanted(hub, scope));
    unwanted.for_each(|scope| drop(histories.lines().remove(&scope)));
    each(hub, reading, Line::handle_tick).await;
}

async fn each(hub: &Hub, reading: &mut Reading, what: impl Fn(&mut Line)) {
    let Some(histories) = hub.histories() else { return };
    let scopes: Vec<Scope> = histories.lines().keys().cloned().collect();
    for scope in scopes {
        with(hub, scope, reading, &what).await;
    }
}

/// Does something with a line, and then what that says; held steady, so that who looks at the lines
/// knows what was posted.
async fn with(hub: &Hub, scope: Scope, reading: &mut Reading, what: impl FnOnce(&mut Line)) {
    let Some(histories) = hub.histories() else { return };
    let outputs: Vec<Output> = {
        let mut lines = histories.lines();
        let line = lines.entry(scope.clone()).or_default();
        what(line);
        std::iter::from_fn(|| line.poll_output()).collect()
    };
    for output in outputs {
        match output {
            Output::Deliver(cursor, payload) => deliver(hub, &scope, cursor, payload).await,
            Output::Pass(cursor) => mark(hub, &scope, cursor, false),
            Output::Gap(cursor) => {
                tracing::warn!(?scope, %cursor, "messages of a channel with a history are lost");
                mark(hub, &scope, cursor, true);
            }
            Output::Read(after) => reading.waiting.push_back((scope.clone(), after)),
        }
    }
    reading.start(hub);
}

async fn deliver(hub: &Hub, scope: &Scope, cursor: Cursor, payload: Bytes) {
    let Some(frames) = read_frames(&payload) else {
        tracing::debug!(?scope, "a recorded message cannot be told to clients");
        return mark(hub, scope, cursor, false);
    };
    let audience = audience(scope);
    for shard in hub.shards().iter().filter(|shard| hub.may_reach(shard, &audience)) {
        let post = || Post::Recorded(scope.clone(), cursor, Arc::clone(&frames));
        while shard.publish(post(), frames.charged(), hub.config().inbox_max).is_err() {
            sleep(ROOM_AFTER).await;
        }
    }
}

fn mark(hub: &Hub, scope: &Scope, cursor: Cursor, is_gap: bool) {
    let audience = audience(scope);
    for shard in hub.shards().iter().filter(|shard| hub.may_reach(shard, &audience)) {
        shard.post(Post::Mark(scope.clone(), cursor, is_gap));
    }
}

fn is_wanted(hub: &Hub, scope: &Scope) -> bool {
    let audience = audience(scope);
    hub.shards().iter().any(|shard| hub.may_reach(shard, &audience))
}

/// What clients are told, of a recorded message.
pub(super) fn read_frames(payload: &Bytes) -> Option<Arc<Frames>> {
    let Ok(Envelope::Call { body, .. }) = Envelope::read(payload) else { return None };
    let (target, arguments) = read_call(body)?;
    Some(Arc::new(Frames::new(HubMessage::call(target, arguments))))
}

/// Histories that are read at once.
const UNDERWAY_MAX: usize = 16;
