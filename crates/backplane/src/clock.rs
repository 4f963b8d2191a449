//! The one place where the backplane reads clocks.

use std::{sync::LazyLock, time::SystemTime};

use everwire_proto::time::Time;
use tokio::time::Instant;

use crate::Incarnation;

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

/// The wall clock in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this file owns the clock")]
pub(crate) fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| since.as_millis() as u64)
}

/// The first life of a node that starts now. Nodes have fresh names, so that a clock which goes
/// back does no harm; the time only helps who reads a log.
pub(crate) fn first_incarnation() -> Incarnation {
    Incarnation(wall_millis().max(1))
}
