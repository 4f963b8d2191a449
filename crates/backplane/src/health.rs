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
