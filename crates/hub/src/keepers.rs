//! All sessions that may be resumed, as far as what they keep goes: how much it is, and who has
//! waited longest for a client to come back.
//!
//! A session has limits of its own, but many that nobody comes back to would be too much
//! nevertheless. Whoever keeps something more asks whether all together keep too much and makes room
//! if so, holding no lock of a connection.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::connection::Connection;

/// The sessions of a hub that may be resumed.
#[derive(Debug)]
pub(crate) struct Keepers {
    bytes_max: usize,
    bytes: AtomicUsize,
    given_up: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// A session's place among those that wait for their clients.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Sessions without a socket, who has waited longest first.
#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    sessions: BTreeMap<u64, Weak<Connection>>,
}

impl Keepers {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
            given_up: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// One of the sessions keeps so many bytes instead of so many.
    pub(crate) fn charge(&self, before: usize, now: usize) {
        self.bytes.fetch_add(now, Relaxed);
        self.bytes.fetch_sub(before, Relaxed);
    }

    /// What all keep.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Sessions so far that can no longer be resumed for want of room.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Relaxed)
    }

    /// Whether all keep more than they may.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes() > self.bytes_max
    }

    /// A session begins to wait for its client.
    pub(crate) fn wait(&self, connection: Weak<Connection>) -> Ticket {
        let mut waiting = self.waiting();
        let ticket = waiting.next;
        waiting.next += 1;
        waiting.sessions.insert(ticket, connection);
        Ticket(ticket)
    }

    /// A session waits no more.
    pub(crate) fn leave(&self, ticket: &Ticket) {
        self.waiting().sessions.remove(&ticket.0);
    }

    /// Gives up those who have waited longest until there is room again. If nobody waits, whoever
    /// keeps something more stays connected, but can no longer be resumed.
    pub(crate) fn make_room(&self, last: &Connection) {
        while self.is_over() {
            let longest = self.waiting().sessions.pop_first();
            let has_given_up = match &longest {
                Some((_, session)) => session.upgrade().is_some_and(|session| session.give_up()),
                None => last.give_up(),
            };
            self.given_up.fetch_add(u64::from(has_given_up), Relaxed);
            if longest.is_none() {
                return;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
