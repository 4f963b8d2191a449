//! Deadlines on what can be observed. Tests wait for a state here, never for an amount of time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How long anything that ought to happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// How long a process of a test may take to begin, or to do what is asked of it in a line: browsers
/// and interpreters share the machine with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a state is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Polls `probe` until it gives something; fails the test after [`SOON`].
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(SOON, what, probe).await
}

/// Polls `probe` until it gives something; fails the test after `limit`.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Polls until `probe` gives `wanted`; a failure shows what it gave last.
pub async fn until_equal<T: PartialEq + Debug>(
    what: &str,
    wanted: T,
    mut probe: impl AsyncFnMut() -> T,
) {
    let start = now();
    loop {
        let seen = probe().await;
        if seen == wanted {
            return;
        }
        assert!(start.elapsed() < SOON, "{what}: wanted {wanted:?}, still {seen:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Fails the test when `future` takes longer than [`SOON`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(SOON, what, future).await
}

/// Fails the test when `future` takes longer than `limit`.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {limit:?}: {what}"),
    }
}

/// Fails the test when `future` ends before `limit`: for what must *not* happen. It waits out
/// `limit`, so it is for promises that are about a time, and short.
pub async fn not_within<T: Debug>(limit: Duration, what: &str, future: impl Future<Output = T>) {
    if let Ok(value) = tokio::time::timeout(limit, future).await {
        panic!("within {limit:?}: {what}: {value:?}");
    }
}

/// Monotonic time: this is the one file of the kit that asks for it.
#[allow(clippy::disallowed_methods, reason = "the clock of the kit")]
pub fn now() -> Instant {
    Instant::now()
}
