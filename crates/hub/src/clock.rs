//! The one place where the hub reads clocks.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use everwire_proto::time::Time;
use tokio::time::Instant;

/// The start of the process' clock.
static START: LazyLock<Instant> = LazyLock::new(instant);

/// Now, for the runtime's timers.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Now, for pure code.
pub(crate) fn now() -> Time {
    Time::from_millis(instant().saturating_duration_since(*START).as_millis() as u64)
}

/// How long it is until this moment; nothing if it is over.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn until(moment: SystemTime) -> Duration {
    moment.duration_since(SystemTime::now()).unwrap_or_default()
}

/// Time since 1970, which tokens and the letters of other nodes are judged by.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn since_epoch() -> Duration {
    // A clock that is before 1970 makes no token an old one, and most of them too early.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
