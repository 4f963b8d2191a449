//! The one place where the hub reads clocks.

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

/// Time since 1970, which tokens are judged by.
#[cfg(feature = "tokens")]
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn since_epoch() -> std::time::Duration {
    // A clock that is before 1970 makes no token an old one, and most of them too early.
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
