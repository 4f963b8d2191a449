//! A pipe's clock hand: one timer of the runtime, touched as rarely as can be.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use everwire_proto::time::Time;
use tokio::time::Sleep;

use crate::clock;

/// Wakes the pipe at its next deadline.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What `sleep` waits for, its waker in place.
    armed: Option<Time>,
}

impl Timer {
    /// Ready once a deadline has passed that was set; otherwise the pipe is woken at `at`, or
    /// before. With `stale` the waker that was given earlier is not to be woken any more.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Time,
        at: Time,
        stale: bool,
    ) -> Poll<()> {
        // A deadline that has moved away is noticed only shortly before the old one passes: a busy
        // pipe neither touches the timer at every message nor is woken by it for nothing.
        let holds =
            |&armed: &Time| now < armed && (armed == at || armed < at && now + SLACK < armed);
        let stands = self.armed.filter(holds);
        if stands.is_some() && !stale {
            return Poll::Pending;
        }
        let instant = clock::instant_at(at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(instant)));
        if stands.is_none() {
            sleep.as_mut().reset(instant);
        }
        let poll = sleep.as_mut().poll(cx);
        self.armed = poll.is_pending().then(|| stands.unwrap_or(at));
        poll
    }
}

/// A timer that would fire this soon, too early, is set anew.
const SLACK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use super::*;

    fn after(millis: u64) -> Time {
        clock::now() + Duration::from_millis(millis)
    }

    /// Waits as a pipe would that has one deadline.
    async fn wait(timer: &mut Timer, at: Time) -> Time {
        poll_fn(|cx| timer.poll(cx, clock::now(), at, false)).await;
        clock::now()
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_takes_the_place_of_a_later_one() {
        let mut timer = Timer::default();
        let (late, early) = (after(5000), after(100));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut cx, clock::now(), late, false).is_pending());
        assert_eq!(wait(&mut timer, early).await, early);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moved_away_is_ready_only_when_it_has_come() {
        let mut timer = Timer::default();
        let (old, new) = (after(1000), after(1500));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut cx, clock::now(), old, false).is_pending());
        poll_fn(|cx| timer.poll(cx, clock::now(), new, true)).await;
        assert_eq!(clock::now(), new);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waker_that_is_stale_is_put_right_without_a_new_deadline() {
        let mut timer = Timer::default();
        let at = after(300);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut cx, clock::now(), at, false).is_pending());
        poll_fn(|cx| timer.poll(cx, clock::now(), at, true)).await;
        assert_eq!(clock::now(), at);
    }
}
