//! The one place where the fleet reads clocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

/// The time of day of a node, in milliseconds since 1970: deadlines are told by it, so that all nodes
/// and what is written down mean the same. A clone is the same clock.
#[derive(Clone, Debug, Default)]
pub struct WallClock {
    /// Milliseconds by which it is ahead of the system's.
    ahead: Arc<AtomicI64>,
}

impl WallClock {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub fn now(&self) -> u64 {
        // A clock that is before 1970 makes every deadline a late one.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (now.as_millis() as u64).saturating_add_signed(self.ahead.load(Relaxed))
    }

    /// How long it is until then; nothing if it is over.
    pub(crate) fn until(&self, moment: u64) -> Duration {
        Duration::from_millis(moment.saturating_sub(self.now()))
    }

    /// Sets it by so much, as an operator might: for tests of what becomes of deadlines then.
    #[doc(hidden)]
    pub fn jump(&self, ahead: i64) {
        self.ahead.fetch_add(ahead, Relaxed);
    }
}

/// Now, for the runtime's timers.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
