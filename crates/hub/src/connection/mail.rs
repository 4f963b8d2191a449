//! What requests bring for a connection, and who waits to carry away what it has for its client.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use bytes::Bytes;
use tokio::sync::{MutexGuard as Turn, Notify};

/// Between the requests of a client and the task of its connection.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    brought: Mutex<Brought>,
    /// Told when the task has read what was brought, or will not.
    read: Notify,
    /// Held by the request that brings something: requests come one after the other.
    bringing: tokio::sync::Mutex<()>,
    visits: Mutex<Visits>,
}

#[derive(Debug, Default)]
struct Brought {
    bodies: Vec<Bytes>,
    bytes: usize,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Visits {
    last: u64,
    /// Wakes the last one, if it waits.
    carrier: Option<Waker>,
    /// What the last one carried away, until the client comes again and so has it.
    given: Option<Bytes>,
    /// Whether the client knows that nothing comes any more.
    told_end: bool,
}

/// Names a request that waits to carry something away; a later one takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit(u64);

/// The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over;

impl Mail {
    /// Waits for the requests that came before.
    pub(crate) async fn turn(&self) -> Turn<'_, ()> {
        self.bringing.lock().await
    }

    /// Waits for room and puts a part of a body down.
    pub(crate) async fn bring(&self, part: Bytes) -> Result<(), Over> {
        loop {
            let read = self.read.notified();
            {
                let mut brought = self.brought();
                if brought.is_over {
                    return Err(Over);
                }
                if brought.bytes < BROUGHT_MAX {
                    brought.bytes += part.len();
                    brought.bodies.push(part);
                    return Ok(());
                }
            }
            read.await;
        }
    }

    /// Everything that was brought; for the task.
    pub(crate) fn take(&self) -> Vec<Bytes> {
        let mut brought = self.brought();
        if brought.bodies.is_empty() {
            return Vec::new();
        }
        brought.bytes = 0;
        let bodies = std::mem::take(&mut brought.bodies);
        self.read.notify_waiters();
        bodies
    }

    /// Nothing that is brought is read any more.
    pub(crate) fn close(&self) {
        let mut brought = self.brought();
        brought.is_over = true;
        brought.bodies = Vec::new();
        self.read.notify_waiters();
    }

    /// A request comes to carry something away; the one before it goes.
    pub(crate) fn visit(&self) -> Visit {
        let mut visits = self.visits();
        visits.last += 1;
        visits.given = None;
        let (visit, earlier) = (Visit(visits.last), visits.carrier.take());
        drop(visits);
        earlier.into_iter().for_each(Waker::wake);
        visit
    }

    /// A visit carries this away.
    pub(crate) fn give(&self, visit: Visit, bytes: &Bytes) {
        let mut visits = self.visits();
        if visits.last == visit.0 {
            visits.given = Some(bytes.clone());
        }
    }

    /// What a visit has carried away and its client never got; `None` if that has come again since.
    pub(crate) fn take_back(&self, visit: Visit) -> Option<Bytes> {
        let mut visits = self.visits();
        if visits.last == visit.0 { visits.given.take() } else { None }
    }

    /// Has a visit woken when there is something, or another comes; gives whether none has come.
    pub(crate) fn await_mail(&self, visit: Visit, waker: &Waker) -> bool {
        let mut visits = self.visits();
        let is_last = visits.last == visit.0;
        if is_last {
            visits.carrier = Some(waker.clone());
        }
        is_last
    }

    /// Whether no later request has come.
    pub(crate) fn is_last(&self, visit: Visit) -> bool {
        self.visits().last == visit.0
    }

    /// The client is told that nothing comes any more.
    pub(crate) fn tell_end(&self) {
        self.visits().told_end = true;
    }

    pub(crate) fn is_end_told(&self) -> bool {
        self.visits().told_end
    }

    /// Wakes whoever waits to carry something away.
    pub(crate) fn wake_carrier(&self) {
        let carrier = self.visits().carrier.take();
        carrier.into_iter().for_each(Waker::wake);
    }

    fn brought(&self) -> MutexGuard<'_, Brought> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that wait for the task before a request waits itself, as in the official server.
const BROUGHT_MAX: usize = 64 * 1024;
