//! Emptying a node: sessions move, other clients are told to come back, a few at a time.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use everwire_backplane::Answer;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};

use super::departure::{Successor, depart};
use crate::{
    clock,
    connection::Connection,
    end::End,
    fanout::request::{Request, read_offer},
    hub::Hub,
    id::ConnectionId,
    shard::Post,
};

/// What has become of the clients of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that have moved to other nodes.
    pub moved: usize,
    /// Connections that were told to reconnect.
    pub closed: usize,
    /// Connections that were still there in the end.
    pub left: usize,
}

/// Work on one drain.
struct Drain<'a> {
    hub: &'a Hub,
    /// How often it was tried to move a session.
    tries: HashMap<ConnectionId, u32>,
    /// Sessions that are on their way.
    busy: HashSet<ConnectionId>,
    drained: Drained,
    /// When the next few go.
    next: Instant,
    /// How long is waited between each few.
    step: Duration,
}

impl Hub {
    /// Empties this node, a few connections at a time over so long. Sessions that outlive their sockets
    /// move to other nodes of the [cluster](crate::HubBuilder::cluster) that share the
    /// [backplane](crate::HubBuilder::backplane), where their clients find them; everybody else is told
    /// to reconnect. Who negotiates here meanwhile is answered by another node. Calls have 5 s to finish
    /// before their session moves.
    ///
    /// Done when all have gone, at most half a minute after everybody's time had come. Go on serving
    /// until then, and as long as you can: clients come back here first. A second call waits for the
    /// first.
    pub async fn drain(&self, over: Duration) -> Drained {
        let _only = self.moving().drains.lock().await;
        self.begin_draining();
        let waves = self.connected().div_ceil(WAVE).max(1);
        let step = over / u32::try_from(waves).unwrap_or(u32::MAX);
        let (tries, busy, drained) = Default::default();
        let drain = Drain { hub: self, tries, busy, drained, next: clock::instant(), step };
        let drained = drain.run(over).await;
        // Tokens that were issued before have had their time.
        self.refuse_new();
        tracing::info!(
            moved = drained.moved,
            closed = drained.closed,
            left = drained.left,
            "drained"
        );
        drained
    }

    /// The node that sessions are to move to.
    async fn pick_successor(&self) -> Option<Successor> {
        let fanout = self.fanout()?;
        let own = self.mesh()?.cluster.advertise();
        let mut askings = fanout.ask_all(&Request::Offer, OFFER_WITHIN);
        let mut offers = Vec::new();
        while let Some((name, answer)) = askings.next().await {
            let Answer::Reply(reply) = answer else { continue };
            let offer = read_offer(reply).filter(|offer| *offer.node != *own);
            offers.extend(offer.map(|offer| (offer.connected, name, Arc::from(offer.node))));
        }
        offers.sort_unstable_by_key(|(connected, _, _)| *connected);
        *self.moving().successors() = offers.iter().map(|(_, _, node)| Arc::clone(node)).collect();
        offers.into_iter().next().map(|(_, name, node)| Successor { name, node })
    }
}

impl Drain<'_> {
    async fn run(mut self, over: Duration) -> Drained {
        let end = clock::instant() + over + PATIENCE;
        self.hub.pick_successor().await;
        let hub = self.hub;
        let mut waves = FuturesUnordered::new();
        loop {
            let few = self.next_few();
            if few.is_empty() || waves.len() >= WAVES_MAX {
                if let Some((ids, moved)) = waves.next().await {
                    self.come_back(ids, moved);
                } else if hub.connected() == 0 || clock::instant() >= end {
                    self.drained.left = hub.connected();
                    return self.drained;
                } else {
                    sleep(LOOK_AFTER).await;
                }
                continue;
            }
            sleep_until(self.next).await;
            self.next += self.step;
            let may_move = |session: &Arc<Connection>| {
                session.is_movable() && self.tries.get(&session.id()) < Some(&TRIES_MAX)
            };
            let (movable, others): (Vec<_>, Vec<_>) = few.into_iter().partition(may_move);
            self.close(others);
            if movable.is_empty() {
                continue;
            }
            let Some(to) = hub.pick_successor().await else {
                tracing::warn!("no other node takes sessions: their clients are told to reconnect");
                self.close(movable);
                continue;
            };
            let ids: Vec<_> = movable.iter().map(|session| session.id()).collect();
            for id in &ids {
                self.busy.insert(*id);
                *self.tries.entry(*id).or_default() += 1;
            }
            waves.push(async move {
                let moved = depart(hub, &to, movable).await;
                if moved < ids.len() {
                    sleep(AGAIN_AFTER).await;
                }
                (ids, moved)
            });
        }
    }

    /// The next ones that have not been seen to.
    fn next_few(&self) -> Vec<Arc<Connection>> {
        let all = self.hub.directory().all().into_iter();
        // Who has yet to shake hands does so soon, or is ended for it.
        let is_seen_to = |there: &Arc<Connection>| {
            there.is_ending() || there.is_shaking_hands() || self.busy.contains(&there.id())
        };
        all.filter(|there| !is_seen_to(there)).take(WAVE).collect()
    }

    fn come_back(&mut self, ids: Vec<ConnectionId>, moved: usize) {
        self.drained.moved += moved;
        for id in ids {
            self.busy.remove(&id);
            // The next try of what stayed is not for this wave's time.
            if self.hub.find(id).is_none() {
                self.tries.remove(&id);
            }
        }
    }

    /// Tells connections to reconnect.
    fn close(&mut self, connections: Vec<Arc<Connection>>) {
        self.drained.closed += connections.len();
        for connection in connections {
            self.busy.insert(connection.id());
            let shard = Arc::clone(&connection.shard);
            shard.post(Post::End(connection, End::Stopping));
        }
    }
}

impl fmt::Debug for Drain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("drained", &self.drained).finish_non_exhaustive()
    }
}

/// Sessions that move together.
const WAVE: usize = 64;

/// Waves that are on their way at once: one may have to wait for calls.
const WAVES_MAX: usize = 8;

/// How often it is tried to move a session.
const TRIES_MAX: u32 = 3;

/// How long the clients of sessions that stay have to come back, before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long after everybody's time had come the last may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked who is still there.
const LOOK_AFTER: Duration = Duration::from_millis(20);

/// How long other nodes have to say whether they take sessions.
const OFFER_WITHIN: Duration = Duration::from_secs(1);
