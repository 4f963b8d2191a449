//! The only file of the binary that asks what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Instant);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// How long ago this was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_duration_since(self.0)
    }
}

/// Wall time in nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX)
}

/// Wall time since 1970.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
