//! Sessions that move to another node while this one drains: who has a session at every moment.
//!
//! A session is what outlives its socket with a stateful reconnect: counters, what its client has not
//! acknowledged, groups, the user. Some of them move together, as a *wave*, from the node that drains
//! to its *successor*:
//!
//! 1. The old node has the calls of each session finished (`task::depart`): new ones are not listened
//!    to, what is not done in time ends with an error, which is an answer like any other.
//! 2. It says a mark, so that it is heard of, and tells the successor that a wave begins. That keeps
//!    from then on what all nodes say to clients (`fanout::ledger`), says a mark of its own, and
//!    answers how far it has come.
//! 3. The old node waits until it has heard that much too. Then it stops the sessions, at one moment
//!    in which nobody says anything: what was said before is theirs, and how far it has come is noted.
//!    What is said from now on it numbers for none of them, but keeps it, should they stay.
//! 4. It hands the sessions over. The successor waits until it has heard all that they have, so that
//!    none of it is told to them again. For each it takes from what it keeps all that is beyond
//!    what the session's node had heard, puts it behind what the client has not acknowledged, and
//!    takes the session in, at one moment in which nobody says anything.
//! 5. The old node ends the wave, again and again until that is answered: the successor keeps nothing
//!    more, takes no session of that wave any more, and says which ones it has. Those it closes
//!    without a word of the protocol. Their clients come back at once with the same token, to
//!    whichever node, and are brought to the successor. The others stay, and lose their sockets too,
//!    because what they have said since step 1 they have to say again.
//!
//! So what is said reaches a client once: by the old node what it had heard when the session stopped,
//! by the successor the rest. It cannot fall between the two, because the old node had heard all that
//! the successor had before it began to keep; nor is it said twice, because numbers tell them apart.
//!
//! What is recorded in a [history](crate::History) goes another way: all nodes hand it out in one
//! order, so that a session's place in each channel is a cursor, which it takes along.
//! [`travel`](crate::history::travel) tells how it goes on from there, whether the successor is ahead of
//! it or behind. A session stays if its place in one of its channels is not known: if it joined one
//! between the steps 2 and 4, or the backplane did not say in time where that ends. It is tried again.
//!
//! Nobody serves a session between the steps 3 and 5. Afterwards one node does, whatever goes wrong:
//!
//! | who ends, or what is lost | then |
//! |---|---|
//! | the successor, or the way there, before step 3 | the sessions stay |
//! | the answer of step 4 | step 5 tells which ones have moved |
//! | the successor, or the way there, from step 4 on | nobody knows who has them: the old node ends them, and tells their clients to begin anew. What the successor may have nobody comes for, and it ends |
//! | the old node before step 4 | the sessions end with it |
//! | the old node after step 4 | the successor has the session; its client finds it by asking any node, which asks all |
//! | both | the sessions end |

mod arrival;
mod departure;
mod drain;
pub(crate) mod session;
mod waves;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use everwire_backplane::Answer;
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};

pub(crate) use self::arrival::{answer, digest};
pub use self::drain::Drained;
use self::waves::Waves;
use crate::{
    connection::Connection,
    fanout::request::{Offer, Request, read_text},
    hub::Hub,
    id::ConnectionId,
};

/// A hub's sessions on their way.
#[derive(Debug)]
pub(crate) struct Moving {
    is_draining: AtomicBool,
    /// Held by who empties the node.
    drains: tokio::sync::Mutex<()>,
    /// Where sessions may move, as was known last.
    successors: Mutex<Vec<Arc<str>>>,
    /// Told whenever it is known where a session is.
    settled: Notify,
    waves: Mutex<Waves>,
    /// Searches that may begin besides those that are on their way.
    searches: Semaphore,
    moved_out: AtomicU64,
    moved_in: AtomicU64,
    failed: AtomicU64,
}

impl Default for Moving {
    fn default() -> Self {
        let (is_draining, drains, successors, settled, waves) = Default::default();
        let (moved_out, moved_in, failed) = Default::default();
        let searches = Semaphore::new(SEARCHES_MAX);
        Self {
            is_draining,
            drains,
            successors,
            settled,
            waves,
            searches,
            moved_out,
            moved_in,
            failed,
        }
    }
}

impl Moving {
    /// Sessions so far that have moved away, that have come, and that could not move.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.moved_out, &self.moved_in, &self.failed].map(|count| count.load(Relaxed))
    }

    fn waves(&self) -> MutexGuard<'_, Waves> {
        self.waves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn successors(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.successors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Whether clients are moved away from this node.
    pub fn is_draining(&self) -> bool {
        self.moving().is_draining.load(Acquire)
    }

    fn begin_draining(&self) {
        self.moving().is_draining.store(true, Release);
    }

    /// A node where new clients of this one may begin while it drains.
    pub(crate) fn successor(&self) -> Option<Arc<str>> {
        if !self.is_draining() {
            return None;
        }
        self.moving().successors().first().map(Arc::clone)
    }

    /// What this node offers to sessions of others.
    pub(crate) fn offer(&self) -> Option<Offer> {
        let mesh = self.mesh()?;
        if self.is_draining() || self.refuses_new_clients() || self.fanout().is_none() {
            return None;
        }
        let node = mesh.cluster.advertise().into();
        Some(Offer { node, connected: self.connected() as u64 })
    }

    /// The connection of this id, once it is known whether it stays.
    pub(crate) async fn settled(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        let settle = async {
            loop {
                let settled = self.moving().settled.notified();
                let there = self.find(id)?;
                if !there.is_leaving() {
                    return Some(there);
                }
                settled.await;
            }
        };
        // Whoever moves it does not take longer.
        timeout(SETTLED_MAX, settle).await.ok()?
    }

    /// Where others reach the session of a connection, if it is here.
    pub(crate) async fn where_is(&self, id: ConnectionId) -> Option<String> {
        let mesh = self.mesh()?;
        self.settled(id).await?;
        Some(mesh.cluster.advertise().to_owned())
    }

    /// Asks all other nodes, once, for the session of a connection.
    pub(crate) async fn search(&self, id: ConnectionId) -> Option<Arc<str>> {
        let fanout = self.fanout()?;
        let _permit = self.moving().searches.try_acquire().ok()?;
        let mut askings = fanout.ask_all(&Request::Where(id), SEARCH_MAX);
        while let Some((_, answer)) = askings.next().await {
            if let Answer::Reply(reply) = answer
                && let Some(Some(node)) = read_text(reply)
            {
                return Some(node.into());
            }
        }
        None
    }
}

/// How long it may be unknown where a session is: longer than all steps may take.
const SETTLED_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// How long other nodes are asked for a session: a client waits.
const SEARCH_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// Sessions that are searched for at once: whoever comes with a token of none costs every node a
/// question.
const SEARCHES_MAX: usize = 256;
