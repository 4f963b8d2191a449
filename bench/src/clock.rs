//! The one file of the benchmark that reads the clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock, for durations inside one process.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds since the epoch, for ordering records of several processes of one machine.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
