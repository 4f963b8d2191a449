//! The one place where the client reads the monotonic clock.

use std::{sync::LazyLock, time::Duration};

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

/// The runtime's instant for a pure one.
pub(crate) fn instant_at(time: Time) -> Instant {
    *START + Duration::from_millis(time.as_millis())
}
