//! What all who take part in a play share: the time, where to dial, and when it is over.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::judge::{Diary, Event, Said};
use crate::clock;

/// A play.
pub(super) struct Scene {
    began: Instant,
    pub(super) began_wall: u64,
    /// Where the nodes are.
    pub(super) nodes: Vec<SocketAddr>,
    /// Where receivers dial instead: a cable to each node.
    fronts: Vec<SocketAddr>,
    /// Publishers say nothing more.
    quiet: AtomicBool,
    pub(super) over: CancellationToken,
}

impl Scene {
    pub(super) fn new(nodes: Vec<SocketAddr>, fronts: Vec<SocketAddr>) -> Arc<Self> {
        let over = CancellationToken::new();
        let (began, began_wall) = (clock::now(), clock::wall_nanos());
        Arc::new(Self { began, began_wall, nodes, fronts, quiet: AtomicBool::new(false), over })
    }

    /// Nanoseconds since the play began.
    pub(super) fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    pub(super) fn hush(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// The node that comes after so many attempts, beginning with one's own.
    pub(super) fn node(&self, attempt: usize) -> (u16, SocketAddr) {
        nth(&self.nodes, attempt)
    }

    /// The same for receivers.
    pub(super) fn front(&self, attempt: usize) -> (u16, SocketAddr) {
        nth(&self.fronts, attempt)
    }
}

fn nth(addresses: &[SocketAddr], attempt: usize) -> (u16, SocketAddr) {
    let node = attempt % addresses.len();
    (u16::try_from(node).unwrap_or(u16::MAX), addresses[node])
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What one taking part writes down, to be read while it goes on.
pub(super) struct Page<T>(Mutex<Vec<T>>);

/// A receiver's.
pub(super) type Events = Page<(u64, Event)>;

/// A publisher's.
pub(super) type Sayings = Page<Said>;

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Page<T> {
    pub(super) fn write(&self, entry: T) {
        self.with(|entries| entries.push(entry));
    }

    pub(super) fn with<R>(&self, what: impl FnOnce(&mut Vec<T>) -> R) -> R {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn copy(&self) -> Vec<T> {
        self.with(|entries| entries.clone())
    }
}

impl Events {
    pub(super) fn diary(&self) -> Diary {
        Diary(self.copy())
    }
}
