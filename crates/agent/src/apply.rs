//! When a state is applied: after a moment without changes, one at a time, the latest alone.
//!
//! The first state is applied at once. Then each change is waited out until none has come for
//! [`Debounce::quiet`], but no longer than [`Debounce::longest`]; what comes while a state is being
//! applied counts for the next. What failed is tried again, later each time.

use std::time::Duration;

use everwire_proto::time::Time;

/// How long changes are collected before they are applied together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    /// Silence after which what has changed is applied. Default: 300 ms, so that a burst of single
    /// changes is one.
    pub quiet: Duration,
    /// How long changes that do not stop are waited for. Default: 5 s.
    pub longest: Duration,
}

impl Default for Debounce {
    fn default() -> Self {
        Self { quiet: Duration::from_millis(300), longest: Duration::from_secs(5) }
    }
}

/// Decides when to begin; whoever asks it applies.
#[derive(Debug)]
pub(crate) struct Apply {
    debounce: Debounce,
    /// Whether there is a state to apply at all.
    is_ready: bool,
    /// What is to be applied, if something is.
    waiting: Option<Waiting>,
    is_applying: bool,
    /// How often in a row it failed.
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Time,
    until: Time,
}

impl Apply {
    pub(crate) const fn new(debounce: Debounce) -> Self {
        Self { debounce, is_ready: false, waiting: None, is_applying: false, failures: 0 }
    }

    /// There is a first state.
    pub(crate) fn handle_ready(&mut self, now: Time) {
        if !self.is_ready {
            self.is_ready = true;
            self.handle_demand(now);
        }
    }

    /// The state has changed.
    pub(crate) fn handle_change(&mut self, now: Time) {
        let since = self.waiting.map_or(now, |waiting| waiting.since.min(now));
        let until = (now + self.debounce.quiet).min(since + self.debounce.longest);
        self.waiting = Some(Waiting { since, until });
    }

    /// Somebody wants the state applied now, whether it has changed or not.
    pub(crate) const fn handle_demand(&mut self, now: Time) {
        self.waiting = Some(Waiting { since: now, until: now });
    }

    /// What was begun is over.
    pub(crate) fn handle_end(&mut self, now: Time, end: Result<(), ()>) {
        self.is_applying = false;
        match end {
            Ok(()) => self.failures = 0,
            Err(()) => {
                let wait = RETRY.saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
                self.failures = self.failures.saturating_add(1);
                let again = Waiting { since: now, until: now + wait };
                // A change that came meanwhile is applied as soon as if nothing had failed.
                self.waiting.get_or_insert(again);
            }
        }
    }

    /// Whether to begin now; who asks and hears so has begun.
    pub(crate) fn poll_begin(&mut self, now: Time) -> bool {
        let is_due = self.deadline().is_some_and(|deadline| deadline <= now);
        if is_due {
            self.is_applying = true;
            self.waiting = None;
        }
        is_due
    }

    /// When to ask again; `None` while only an event can change the answer.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let waiting = self.waiting.filter(|_| self.is_ready && !self.is_applying)?;
        Some(waiting.until)
    }
}

/// The wait after a first failure; each further one doubles it.
const RETRY: Duration = Duration::from_secs(5);
/// Five seconds doubled so often are more than five minutes.
const DOUBLINGS_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn ready() -> Apply {
        let mut apply = Apply::new(Debounce::default());
        apply.handle_ready(at(0));
        assert!(apply.poll_begin(at(0)), "a first state waits for nothing");
        apply.handle_end(at(0), Ok(()));
        apply
    }

    #[test]
    fn nothing_begins_before_there_is_a_state() {
        let mut apply = Apply::new(Debounce::default());
        apply.handle_change(at(0));
        assert_eq!((apply.poll_begin(at(99_999)), apply.deadline()), (false, None));
    }

    #[test]
    fn a_burst_is_applied_once_when_it_is_over() {
        let mut apply = ready();
        for change in 0..10 {
            apply.handle_change(at(1000 + 100 * change));
            assert!(!apply.poll_begin(at(1000 + 100 * change)));
        }
        assert_eq!(apply.deadline(), Some(at(2200)));
        assert!(!apply.poll_begin(at(2199)) && apply.poll_begin(at(2200)));
        apply.handle_end(at(2200), Ok(()));
        assert_eq!(apply.deadline(), None);
    }

    #[test]
    fn changes_without_end_are_applied_after_5_s() {
        let mut apply = ready();
        let begun = (0..100).find(|tenth| {
            apply.handle_change(at(100 * tenth));
            apply.poll_begin(at(100 * tenth))
        });
        assert_eq!(begun, Some(50));
    }

    #[test]
    fn what_fails_is_tried_again_later_each_time() {
        let mut apply = ready();
        apply.handle_change(at(0));
        let mut waits = Vec::new();
        for _ in 0..4 {
            let begin = apply.deadline().unwrap();
            assert!(apply.poll_begin(begin));
            apply.handle_end(begin, Err(()));
            waits.push(apply.deadline().unwrap().saturating_since(begin).as_secs());
        }
        assert_eq!(waits, [5, 10, 20, 40]);
        apply.handle_change(at(600_000));
        assert_eq!(apply.deadline(), Some(at(600_300)).min(apply.deadline()));
        assert!(apply.poll_begin(at(600_300)));
        apply.handle_end(at(600_300), Ok(()));
        assert_eq!(apply.deadline(), None);
    }

    proptest! {
        /// Whatever comes whenever: never two at a time, and the last change is always applied.
        #[test]
        fn never_two_at_a_time_and_the_last_change_is_applied(
            steps in prop::collection::vec((0_u64..700, 0_u8..4), 1..200)
        ) {
            let mut apply = Apply::new(Debounce::default());
            let (mut now, mut latest, mut applying, mut applied) = (0, 0, None, 0);
            apply.handle_ready(at(0));
            for (wait, what) in steps {
                now += wait;
                match what {
                    0 | 1 => { latest = now; apply.handle_change(at(now)); }
                    2 => apply.handle_demand(at(now)),
                    _ => if let Some(state) = applying.take() {
                        applied = state;
                        apply.handle_end(at(now), Ok(()));
                    }
                }
                if apply.poll_begin(at(now)) {
                    prop_assert!(applying.is_none());
                    applying = Some(latest);
                }
            }
            while applying.is_some() || apply.deadline().is_some() {
                if let Some(state) = applying.take() {
                    applied = state;
                    apply.handle_end(at(now), Ok(()));
                }
                now += 5000;
                if apply.poll_begin(at(now)) {
                    applying = Some(latest);
                }
            }
            prop_assert_eq!(applied, latest);
        }
    }
}
