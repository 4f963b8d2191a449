//! How the backplane is, for operators.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Whether the backplane answers, and what was counted since the node started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether it answers.
    pub reachable: bool,
    /// For how long that has been so.
    pub since: Duration,
    /// What was counted.
    pub counts: Counts,
}

/// What one node counted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that the backplane confirmed.
    pub stored: u64,
    /// Messages that were refused because too much was waiting, or for their size.
    pub refused: u64,
    /// Messages that were sent once more, because a connection ended before they were confirmed.
    pub resent: u64,
    /// Messages that were received and delivered to this node's subscriptions.
    pub received: u64,
    /// Messages that were received again and dropped.
    pub duplicates: u64,
    /// Messages that were missing and came when their publisher was asked.
    pub recovered: u64,
    /// Messages that are lost and were announced so.
    pub lost: u64,
    /// Entries that are no envelope of a version this node reads, and were dropped.
    pub foreign: u64,
    /// Times that the connection to the backplane ended.
    pub cuts: u64,
}

#[cfg(feature = "redis")]
/// The counters while they move.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) stored: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) foreign: AtomicU64,
    pub(crate) cuts: AtomicU64,
}

#[cfg(feature = "redis")]
impl Counters {
    pub(crate) fn read(&self) -> Counts {
        Counts {
            stored: self.stored.load(Relaxed),
            refused: self.refused.load(Relaxed),
            resent: self.resent.load(Relaxed),
            received: self.received.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            recovered: self.recovered.load(Relaxed),
            lost: self.lost.load(Relaxed),
            foreign: self.foreign.load(Relaxed),
            cuts: self.cuts.load(Relaxed),
        }
    }
}

#[cfg(feature = "redis")]
/// Counts one or more.
pub(crate) fn count(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Relaxed);
}

/// Whether something answers, and since when.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    reachable: AtomicBool,
    /// Milliseconds of the process' clock.
    since: AtomicU64,
}

impl Reach {
    /// Notes it; whether that is a change.
    pub(crate) fn set(&self, reachable: bool, now: u64) -> bool {
        let changed = self.reachable.swap(reachable, Relaxed) != reachable;
        if changed {
            self.since.store(now, Relaxed);
        }
        changed
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.reachable.load(Relaxed)
    }

    pub(crate) fn since(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.since.load(Relaxed)))
    }
}
