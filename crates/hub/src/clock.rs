//! The one place where the hub reads the monotonic clock.

use std::sync::LazyLock;

use everwire_proto::time::Time;
use tokio::time::Instant;

/// The start of the process' clock.
static START: LazyLock<Instant> = LazyLock::new(instant);

#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
fn instant() -> Instant {
    Instant::now()
}

/// Now, for pure code.
pub(crate) fn now() -> Time {
    Time::from_millis(instant().saturating_duration_since(*START).as_millis() as u64)
}
