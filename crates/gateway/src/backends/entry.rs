//! One backend: its sessions, its dials, and how it comes back from failing.

use std::time::Duration;

use everwire_proto::time::Time;

use super::{BackendId, BackendStatus, Health, LEAVING_TIME, Outcome, State, Ticket, Wake};
use crate::pool::config::BackendConfig;

/// What the pool knows of one backend.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: BackendId,
    pub(super) config: BackendConfig,
    pub(super) state: State,
    pub(super) health: Health,
    pub(super) sessions: u32,
    pub(super) dials: u32,
    /// When it last ended a leg.
    pub(super) leg_lost_at: Option<Time>,
    /// The number of the choice that it was last.
    pub(super) chosen: u64,
    /// Its claim in round-robin, which grows while others are chosen.
    pub(super) claim: i64,
    failing: Option<Failing>,
    /// Counts the changes between failing and not.
    spell: u32,
    sessions_total: u64,
    failures: u64,
    last_error: Option<String>,
}

/// The state of a backend that did not answer.
#[derive(Debug)]
struct Failing {
    /// How many probes in a row failed, the dial that began it included.
    failures: u32,
    /// Whether a probe is in flight.
    probing: bool,
    /// When it may be probed by those who have nowhere else to go.
    retry_at: Time,
    /// When it may be probed by those who have.
    recheck_at: Time,
}

/// How a backend stands to a new dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing speaks against it.
    Well,
    /// It is failing; a probe is due if there is no other, or, `recheck`, even if there is.
    Due {
        /// Whether it has not been looked at for long.
        recheck: bool,
    },
    /// It has ended a leg not long ago.
    Leaving,
    /// It has ended a leg a moment ago, and is likely to be ending them all.
    Ending,
    /// The active check says that it is down.
    Down,
    /// It is failing and not to be probed before this time.
    NotBefore(Time),
}

impl Entry {
    pub(super) fn new(id: BackendId, config: BackendConfig) -> Self {
        Self {
            id,
            config,
            state: State::Ready,
            health: Health::Unknown,
            sessions: 0,
            dials: 0,
            leg_lost_at: None,
            chosen: 0,
            claim: 0,
            failing: None,
            spell: 0,
            sessions_total: 0,
            failures: 0,
            last_error: None,
        }
    }

    pub(super) fn weight(&self) -> u32 {
        self.config.weight.max(1)
    }

    /// Sessions, with those that dials in flight will become.
    pub(super) fn load(&self) -> u32 {
        self.sessions + self.dials
    }

    pub(super) fn is_empty(&self) -> bool {
        self.load() == 0
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    pub(super) fn standing(&self, now: Time) -> Standing {
        if self.health == Health::Down {
            return match self.failing_standing(now) {
                Some(wait @ Standing::NotBefore(_)) => wait,
                _ => Standing::Down,
            };
        }
        if let Some(standing) = self.failing_standing(now) {
            return standing;
        }
        match self.leg_lost_at.map(|lost| now.saturating_since(lost)) {
            Some(ago) if ago < ENDING_TIME => Standing::Ending,
            Some(ago) if ago < LEAVING_TIME => Standing::Leaving,
            _ => Standing::Well,
        }
    }

    fn failing_standing(&self, now: Time) -> Option<Standing> {
        let failing = self.failing.as_ref()?;
        Some(if failing.probing {
            // Its end is told; the time only bounds the wait if it is not.
            Standing::NotBefore(now + BACK_OFF_MAX)
        } else if now < failing.retry_at {
            Standing::NotBefore(failing.retry_at)
        } else {
            Standing::Due { recheck: now >= failing.recheck_at }
        })
    }

    /// Hands out the right to dial.
    pub(super) fn ticket(&mut self, alternatives: bool) -> Ticket {
        self.dials += 1;
        let probe = self.failing.as_mut().is_some_and(|failing| {
            failing.probing = true;
            true
        });
        Ticket { id: self.id, probe, alternatives, spell: self.spell }
    }

    pub(super) fn dial_ended(
        &mut self,
        ticket: &Ticket,
        outcome: Outcome,
        now: Time,
        roll: u32,
    ) -> Wake {
        self.dials = self.dials.saturating_sub(1);
        // A dial that began before the backend's last change says nothing of a probe's.
        let current = ticket.spell == self.spell;
        if let Some(failing) = self.failing.as_mut().filter(|_| current && ticket.probe) {
            failing.probing = false;
        }
        match outcome {
            Outcome::Opened => {
                self.sessions += 1;
                self.sessions_total += 1;
                self.answered()
            }
            Outcome::Answered => self.answered(),
            Outcome::Failed(why) => {
                self.failures += 1;
                self.last_error = Some(why);
                if current {
                    self.fail(now, roll);
                }
                Wake::One
            }
            Outcome::Abandoned => Wake::One,
        }
    }

    /// Forgets that the backend was failing, and the legs it ended before that: who answers after
    /// having failed is not who said goodbye.
    pub(super) fn recover(&mut self) {
        if self.failing.take().is_some() {
            self.spell += 1;
            self.leg_lost_at = None;
        }
    }

    fn answered(&mut self) -> Wake {
        let wake = if self.is_failing() { Wake::Many } else { Wake::One };
        self.recover();
        wake
    }

    fn fail(&mut self, now: Time, roll: u32) {
        let failures = match &self.failing {
            None => {
                self.spell += 1;
                1
            }
            Some(failing) => failing.failures.saturating_add(1),
        };
        self.failing = Some(Failing {
            failures,
            probing: false,
            // A process that is replaced may be back at once: the first retry does not wait.
            retry_at: match failures {
                1 => now,
                _ => now + back_off(BACK_OFF_MIN, BACK_OFF_MAX, failures - 2, roll),
            },
            recheck_at: now + back_off(RECHECK_MIN, RECHECK_MAX, failures - 1, roll),
        });
    }

    pub(super) fn status(&self) -> BackendStatus {
        BackendStatus {
            id: self.id,
            url: self.config.url.clone(),
            state: self.state,
            health: self.health,
            healthy: self.failing.is_none() && self.health != Health::Down,
            weight: self.weight(),
            sessions_max: self.config.sessions_max,
            sessions: self.sessions,
            sessions_total: self.sessions_total,
            dials_in_flight: self.dials,
            failures: self.failures,
            last_error: self.last_error.clone(),
        }
    }
}

/// `least` doubled `doublings` times, at most `most`, and of that between half and all.
fn back_off(least: Duration, most: Duration, doublings: u32, roll: u32) -> Duration {
    let grown = least.saturating_mul(1 << doublings.min(16)).min(most);
    let half = grown / 2;
    half + half.mul_f64(f64::from(roll) / f64::from(u32::MAX))
}

/// How long a backend that has ended a leg comes even after others that have: the legs of one that
/// dies end within this time, and the next one is not replaced sooner.
const ENDING_TIME: Duration = Duration::from_millis(500);

/// The wait after the second failure in a row: long enough that a probe costs nothing, short
/// enough that nobody notices it in an outage.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);

/// The longest wait between probes where everybody waits for this backend.
const BACK_OFF_MAX: Duration = Duration::from_millis(500);

/// The wait before a failing backend is probed although another is well.
const RECHECK_MIN: Duration = Duration::from_secs(1);

/// The longest such wait. A dial that probes a dead machine is late by a quarter of a second.
const RECHECK_MAX: Duration = Duration::from_secs(10);
