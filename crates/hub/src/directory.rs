//! Every connection of the hub by its id, on whatever shard, those included that were negotiated
//! and that nobody has opened yet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_proto::{signalr::negotiate::StatefulReconnect, time::Time};

use crate::{
    connection::Connection,
    id::{ConnectionId, Token},
};

/// All connections. In parts, so that shards seldom wait for each other.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    parts: [Mutex<HashMap<ConnectionId, Entry>>; PARTS],
    pending: AtomicUsize,
}

#[derive(Debug)]
enum Entry {
    Pending(Pending),
    Live(Arc<Connection>),
}

/// A connection that was negotiated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) token: Token,
    pub(crate) stateful_reconnect: StatefulReconnect,
    pub(crate) since: Time,
}

/// What a token attaches to.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Pending(Pending),
    Live(Arc<Connection>),
}

/// More are negotiated than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyPending;

impl Directory {
    /// Expects a client to open this connection.
    pub(crate) fn expect(
        &self,
        pending: Pending,
        pending_max: usize,
    ) -> Result<(), TooManyPending> {
        if self.pending.fetch_add(1, Relaxed) >= pending_max {
            self.pending.fetch_sub(1, Relaxed);
            return Err(TooManyPending);
        }
        self.part(pending.token.id).insert(pending.token.id, Entry::Pending(pending));
        Ok(())
    }

    /// What this token opens. What is pending is so no more: whoever asks opens it.
    pub(crate) fn claim(&self, token: &Token) -> Found {
        let mut part = self.part(token.id);
        match part.get(&token.id) {
            Some(Entry::Live(connection)) if token.opens(&connection.token) => {
                Found::Live(Arc::clone(connection))
            }
            Some(Entry::Pending(pending)) if token.opens(&pending.token) => {
                let pending = *pending;
                part.remove(&token.id);
                self.pending.fetch_sub(1, Relaxed);
                Found::Pending(pending)
            }
            _ => Found::Nothing,
        }
    }

    /// What this token opens; what is pending stays so.
    pub(crate) fn look(&self, token: &Token) -> Found {
        match self.part(token.id).get(&token.id) {
            Some(Entry::Live(connection)) if token.opens(&connection.token) => {
                Found::Live(Arc::clone(connection))
            }
            Some(Entry::Pending(pending)) if token.opens(&pending.token) => {
                Found::Pending(*pending)
            }
            _ => Found::Nothing,
        }
    }

    pub(crate) fn insert(&self, connection: Arc<Connection>) {
        self.part(connection.id()).insert(connection.id(), Entry::Live(connection));
    }

    pub(crate) fn remove(&self, id: ConnectionId) {
        self.part(id).remove(&id);
    }

    /// The open connection of this id.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        match self.part(id).get(&id) {
            Some(Entry::Live(connection)) => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// So many open connections, whichever.
    pub(crate) fn some(&self, count: usize) -> Vec<Arc<Connection>> {
        let mut some = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let live = part.values().filter_map(|entry| match entry {
                Entry::Live(connection) if !connection.is_ending() => Some(Arc::clone(connection)),
                _ => None,
            });
            some.extend(live.take(count - some.len()));
        }
        some
    }

    /// Forgets what nobody has opened for this long.
    pub(crate) fn sweep(&self, now: Time, wait: Duration) {
        if self.pending.load(Relaxed) == 0 {
            return;
        }
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let before = part.len();
            part.retain(|_, entry| match entry {
                Entry::Pending(pending) => now.saturating_since(pending.since) < wait,
                Entry::Live(_) => true,
            });
            self.pending.fetch_sub(before - part.len(), Relaxed);
        }
    }

    fn part(&self, id: ConnectionId) -> MutexGuard<'_, HashMap<ConnectionId, Entry>> {
        self.parts[id.spread(PARTS)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PARTS: usize = 16;
