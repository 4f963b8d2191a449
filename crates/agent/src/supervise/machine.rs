//! What becomes of a child: decides, and never waits, starts or signals itself.

use std::time::Duration;

use everwire_proto::time::Time;
use rustix::process::Signal;

/// Where the child stands.
#[derive(Debug)]
pub(super) struct Machine {
    grace: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was never started.
    Idle,
    Running,
    /// It was told to end.
    Stopping {
        /// When it is killed; `None` if it was.
        kill_at: Option<Time>,
        then: Then,
    },
    Over,
}

/// What follows the end of a child that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Restart,
    End,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Start it; if that fails, its exit is [handled](Machine::handle_exit) at once.
    Spawn,
    /// Signal it.
    Signal(Signal),
    /// It is over, with this exit code.
    End(u8),
}

impl Machine {
    pub(super) const fn new(grace: Duration) -> Self {
        Self { grace, phase: Phase::Idle }
    }

    /// The child is to run.
    pub(super) fn handle_start(&mut self) -> Option<Step> {
        let is_first = self.phase == Phase::Idle;
        is_first.then(|| self.spawn())
    }

    /// The child is to run anew.
    pub(super) fn handle_restart(&mut self, now: Time) -> Option<Step> {
        match self.phase {
            Phase::Idle => Some(self.spawn()),
            Phase::Running => {
                self.phase = self.stopping(now, Then::Restart);
                Some(Step::Signal(Signal::TERM))
            }
            // It is about to, or is to end, which counts for more.
            Phase::Stopping { .. } | Phase::Over => None,
        }
    }

    /// The child is to end for good, and this signal tells it so.
    pub(super) fn handle_stop(&mut self, signal: Signal, now: Time) -> Option<Step> {
        match self.phase {
            Phase::Idle => Some(self.end(code_of(signal))),
            Phase::Running => {
                self.phase = self.stopping(now, Then::End);
                Some(Step::Signal(signal))
            }
            Phase::Stopping { kill_at, .. } => {
                self.phase = Phase::Stopping { kill_at, then: Then::End };
                Some(Step::Signal(signal))
            }
            Phase::Over => None,
        }
    }

    /// The child is to be told something that need not end it.
    pub(super) fn handle_signal(&mut self, signal: Signal) -> Option<Step> {
        match self.phase {
            Phase::Idle => Some(self.end(code_of(signal))),
            Phase::Running | Phase::Stopping { .. } => Some(Step::Signal(signal)),
            Phase::Over => None,
        }
    }

    /// The child has ended.
    pub(super) fn handle_exit(&mut self, code: u8) -> Option<Step> {
        match self.phase {
            Phase::Stopping { then: Then::Restart, .. } => Some(self.spawn()),
            Phase::Running | Phase::Stopping { then: Then::End, .. } => Some(self.end(code)),
            Phase::Idle | Phase::Over => None,
        }
    }

    /// Time has passed.
    pub(super) fn handle_time(&mut self, now: Time) -> Option<Step> {
        match self.phase {
            Phase::Stopping { kill_at: Some(at), then } if at <= now => {
                self.phase = Phase::Stopping { kill_at: None, then };
                Some(Step::Signal(Signal::KILL))
            }
            _ => None,
        }
    }

    /// When the time is to be [handled](Self::handle_time).
    pub(super) const fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Stopping { kill_at, .. } => kill_at,
            _ => None,
        }
    }

    const fn spawn(&mut self) -> Step {
        self.phase = Phase::Running;
        Step::Spawn
    }

    const fn end(&mut self, code: u8) -> Step {
        self.phase = Phase::Over;
        Step::End(code)
    }

    fn stopping(&self, now: Time, then: Then) -> Phase {
        Phase::Stopping { kill_at: Some(now + self.grace), then }
    }
}

/// What a process exits with that a signal ended.
fn code_of(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Time {
        Time::from_millis(1000 * seconds)
    }

    fn running() -> Machine {
        let mut machine = Machine::new(GRACE);
        assert_eq!(machine.handle_start(), Some(Step::Spawn));
        machine
    }

    #[test]
    fn a_program_that_ends_by_itself_ends_the_agent_with_its_code() {
        assert_eq!(running().handle_exit(7), Some(Step::End(7)));
    }

    #[test]
    fn pred_k12_restarts_that_are_asked_for_meanwhile_are_one() {
        let mut machine = running();
        assert_eq!(machine.handle_restart(at(0)), Some(Step::Signal(Signal::TERM)));
        assert_eq!(machine.handle_restart(at(1)), None);
        assert_eq!(machine.handle_restart(at(2)), None);
        assert_eq!(machine.handle_exit(143), Some(Step::Spawn));
        assert_eq!(machine.handle_exit(0), Some(Step::End(0)));
    }

    #[test]
    fn who_does_not_end_in_its_grace_is_killed_once() {
        let mut machine = running();
        assert_eq!(machine.handle_restart(at(0)), Some(Step::Signal(Signal::TERM)));
        assert_eq!((machine.deadline(), machine.handle_time(at(9))), (Some(at(10)), None));
        assert_eq!(machine.handle_time(at(10)), Some(Step::Signal(Signal::KILL)));
        assert_eq!((machine.deadline(), machine.handle_time(at(11))), (None, None));
        assert_eq!(machine.handle_exit(137), Some(Step::Spawn));
    }

    #[test]
    fn pred_k13_to_end_counts_for_more_than_to_restart() {
        let mut machine = running();
        machine.handle_restart(at(0));
        assert_eq!(machine.handle_stop(Signal::TERM, at(1)), Some(Step::Signal(Signal::TERM)));
        assert_eq!(machine.handle_restart(at(2)), None);
        assert_eq!(machine.handle_exit(143), Some(Step::End(143)));
        let mut idle = Machine::new(GRACE);
        assert_eq!(idle.handle_stop(Signal::INT, at(0)), Some(Step::End(130)));
    }

    proptest! {
        /// Whatever is asked for whenever: a child is started only when none runs.
        #[test]
        fn pred_k9_there_are_never_two_children(
            events in prop::collection::vec((0_u8..6, 0_u64..8), 1..200)
        ) {
            let mut machine = Machine::new(GRACE);
            let (mut children, mut is_over, mut now) = (0, false, 0);
            for (event, wait) in events {
                now += wait;
                let step = match event {
                    0 => machine.handle_start(),
                    1 => machine.handle_restart(at(now)),
                    2 => machine.handle_signal(Signal::HUP).filter(|_| children > 0),
                    3 => machine.handle_time(at(now)),
                    4 if children > 0 => { children -= 1; machine.handle_exit(0) }
                    5 if wait == 0 => machine.handle_stop(Signal::TERM, at(now)),
                    _ => None,
                };
                match step {
                    Some(Step::Spawn) => {
                        prop_assert!(children == 0 && !is_over);
                        children += 1;
                    }
                    Some(Step::Signal(_)) => prop_assert_eq!(children, 1),
                    Some(Step::End(_)) => { prop_assert_eq!(children, 0); is_over = true; }
                    None => {}
                }
            }
        }
    }
}
