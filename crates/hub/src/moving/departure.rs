//! A wave of sessions leaves this node; the story is in [`super`].

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::NodeId;
use futures_util::future::join_all;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::session::{Ended, SESSION_MAX, Session};
use crate::{
    clock,
    cluster::Mesh,
    connection::{Connection, Parted, Still, recovers_first},
    fanout::{Fanout, envelope::Envelope},
    history::{Histories, travel::look_up},
    hub::Hub,
    presence::Scope,
    shard::Post,
};

/// A node that sessions move to.
#[derive(Debug, Clone)]
pub(super) struct Successor {
    /// Its name on the bus.
    pub(super) name: NodeId,
    /// Where it is reached.
    pub(super) node: Arc<str>,
}

/// Sessions of which it is not known yet where they are. Dropped with some of them in it, they stay,
/// or are lost if they may have moved.
struct Departure<'a> {
    hub: &'a Hub,
    sessions: Vec<Arc<Connection>>,
}

/// Moves sessions; gives how many have moved. The others are here, or have ended.
pub(super) async fn depart(hub: &Hub, to: &Successor, sessions: Vec<Arc<Connection>>) -> usize {
    let (Some(fanout), Some(mesh)) = (hub.fanout(), hub.mesh()) else { return 0 };
    let mut departure = Departure { hub, sessions };
    departure.prepare().await;
    if departure.sessions.is_empty() {
        return 0;
    }
    // Before the successor has come so far: what is recorded by now is heard by then.
    let looked_up = look_up(hub, &departure.sessions).await;
    // So that the successor has heard of this node when it is asked how far it has come.
    if fanout.say(&Envelope::Mark).is_err() {
        return 0;
    }
    let wave = rand::random();
    let Some(there) = mesh.begin_wave(&to.node, wave).await else { return 0 };
    let own = fanout.node();
    let come_as_far = fanout.until(|here| here.covers(&there, own, to.name));
    if timeout(CATCH_UP_MAX, come_as_far).await.is_ok() {
        for part in parts(departure.freeze(fanout, &looked_up).await) {
            // What becomes of it is told at the end.
            mesh.take(&to.node, wave, part).await;
        }
    }
    match end(mesh, &to.node, wave).await {
        Some(ended) => departure.settle(fanout, to, ended).await,
        None => 0,
    }
}

/// Ends a wave, until that is answered.
async fn end(mesh: &Mesh, node: &str, wave: u64) -> Option<Ended> {
    for _ in 0..END_TRIES {
        if let Some(ended) = mesh.end_wave(node, wave).await {
            return Some(ended);
        }
        sleep(AGAIN_AFTER).await;
    }
    None
}

impl Departure<'_> {
    /// Has the calls of all sessions finished.
    async fn prepare(&mut self) {
        let quiet = join_all(self.sessions.iter().map(|session| prepared(session))).await;
        let mut quiet = quiet.into_iter();
        let unprepared = self.sessions.extract_if(.., |_| !quiet.next().unwrap_or_default());
        unprepared.for_each(|session| session.part_with(Parted::Stayed));
    }

    /// Stops the sessions.
    async fn freeze(&mut self, fanout: &Fanout, looked_up: &HashSet<Scope>) -> Vec<Bytes> {
        let histories = self.hub.histories();
        let steady = join_all(histories.map(Histories::steady));
        let Ok(_steady) = timeout(STEADY_MAX, steady).await else { return Vec::new() };
        let mut freezing = Vec::new();
        let progress = {
            let _standstill = fanout.standstill();
            for session in &self.sessions {
                let (groups, (tell, told)) = (session.begin_leaving(), oneshot::channel());
                session.shard.post(Post::Freeze(Arc::clone(session), tell));
                freezing.push((Arc::clone(session), groups, told));
            }
            fanout.ledger().progress.clone()
        };
        let mut frozen = Vec::new();
        for (session, groups, told) in freezing {
            let (Ok(Some(still)), Some(protocol)) = (told.await, session.protocol()) else {
                continue;
            };
            let Still { kept, follows } = still;
            let follows = match histories.filter(|_| !recovers_first(&session.request)) {
                Some(histories) => histories.complete(follows, &groups, looked_up),
                None => Some(follows),
            };
            let Some(follows) = follows else {
                tracing::debug!(connection = %session.id(), "stays: its place is unknown");
                continue;
            };
            let attending = self.hub.attendance().map(|attendance| attendance.of(session.id()));
            let session = Session {
                id: session.id(),
                protocol,
                identity: session.identity.clone(),
                request: session.request.clone(),
                groups,
                kept,
                follows,
                progress: progress.clone(),
                node: fanout.node(),
                attending: attending.unwrap_or_default(),
            };
            frozen.push(session.write());
        }
        frozen
    }

    /// Lets those go that the successor has.
    async fn settle(mut self, fanout: &Fanout, to: &Successor, ended: Ended) -> usize {
        let adopted: HashSet<_> = ended.adopted.into_iter().collect();
        let moved: Vec<_> =
            self.sessions.extract_if(.., |session| adopted.contains(&session.id())).collect();
        for session in &moved {
            self.hub.directory().depart(session.id(), &to.node, clock::now());
            session.part_with(Parted::Gone);
            session.shard.leave(session);
            // For the application it has not gone.
            drop(session.shard.gone(session.id()));
            tracing::debug!(connection = %session.id(), node = &*to.node, "has moved");
        }
        self.hub.moving().moved_out.fetch_add(moved.len() as u64, Relaxed);
        for session in self.sessions.drain(..) {
            session.part_with(Parted::Stayed);
        }
        self.hub.moving().settled.notify_waiters();
        if let Some(attendance) = self.hub.attendance() {
            // Who is present goes here once it has come there, so that nobody is told of either.
            let own = fanout.node();
            let come = fanout.until(|here| here.covers(&ended.progress, own, to.name));
            let _ = timeout(CATCH_UP_MAX, come).await;
            moved.iter().for_each(|session| attendance.gone(self.hub, session.id()));
        }
        moved.len()
    }
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        for session in &self.sessions {
            let is_leaving = session.is_leaving();
            session.part_with(if is_leaving { Parted::Lost } else { Parted::Stayed });
        }
        let lost = self.sessions.len() as u64;
        self.hub.moving().failed.fetch_add(lost, Relaxed);
        self.hub.moving().settled.notify_waiters();
    }
}

/// Has the calls of a session finished; gives whether they have.
async fn prepared(session: &Connection) -> bool {
    let (tell, mut told) = oneshot::channel();
    session.prepare(tell);
    if let Ok(told) = timeout(QUIET_MAX, &mut told).await {
        return told.is_ok();
    }
    session.hurry();
    matches!(timeout(HURRY_MAX, told).await, Ok(Ok(())))
}

/// Sessions in lists of a size that is handed over at once. One that is too large stays.
fn parts(sessions: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut parts: Vec<Vec<Bytes>> = Vec::new();
    let mut bytes = usize::MAX;
    for session in sessions.into_iter().filter(|session| session.len() <= SESSION_MAX) {
        if bytes.saturating_add(session.len()) > PART_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += session.len();
        parts.last_mut().into_iter().for_each(|part| part.push(session.clone()));
    }
    parts
}

/// How long calls have to finish by themselves, before their client is told that they did not.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// How long a task takes to give them up.
const HURRY_MAX: Duration = Duration::from_secs(1);

/// How long this node has to hear what its successor has heard.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// How long what was recorded takes to be handed to the shards.
const STEADY_MAX: Duration = Duration::from_secs(2);

/// How often it is tried to learn which sessions have moved, each time for a few seconds.
const END_TRIES: u32 = 3;

/// How long is waited before.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Bytes of sessions that are handed over at once, unless one alone is larger.
const PART_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_handed_over_in_parts() {
        let session = |bytes| Bytes::from(vec![0; bytes]);
        let sizes = [1, PART_MAX - 1, 1, SESSION_MAX + 1, PART_MAX + 1, 5];
        let parts = parts(sizes.map(session).into());
        let lengths: Vec<Vec<usize>> =
            parts.iter().map(|part| part.iter().map(Bytes::len).collect()).collect();
        assert_eq!(lengths, [vec![1, PART_MAX - 1], vec![1], vec![PART_MAX + 1], vec![5]]);
    }
}
