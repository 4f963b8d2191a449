//! The one place where the agent reads clocks.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

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

/// Waits until then; for ever if there is no such time.
pub(crate) async fn until(time: Option<Time>) {
    match time {
        Some(time) => tokio::time::sleep_until(instant_at(time)).await,
        None => std::future::pending().await,
    }
}

/// Wall time in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
