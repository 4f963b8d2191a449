//! The clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "this file owns the crate's clock")]
pub(crate) fn since_epoch() -> Duration {
    // A clock that is before 1970 makes every token an old one.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
