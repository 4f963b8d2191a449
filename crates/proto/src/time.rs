//! The instant that pure code is told; it never reads a clock.
//!
//! Milliseconds since an arbitrary start that is the same for everyone in one process. A plain
//! number, so that the state of a pipe can be written down and continued elsewhere.

use std::{num::NonZeroU64, ops::Add, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in monotonic time, in milliseconds since the start of the process' clock.
///
/// One is added inside, so that an optional instant takes no more room than an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(NonZeroU64);

impl Default for Time {
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl Time {
    /// The instant `millis` milliseconds after the clock's start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the clock's start.
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// How long ago `earlier` was, or zero if it lies ahead.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Rounds a fraction of a millisecond up, so that a deadline is never early.
    fn add(self, wait: Duration) -> Self {
        let fraction = u64::from(wait.subsec_nanos().div_ceil(1_000_000));
        let millis = wait.as_secs().saturating_mul(1000).saturating_add(fraction);
        Self(self.0.saturating_add(millis))
    }
}
