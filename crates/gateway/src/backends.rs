//! The pure state of a pool: which backends there are, how they fare, and which is next.
//!
//! The story of a backend that dies. The first dial that fails at connection level makes it
//! *failing*. From then on it is half-open: one dial at a time probes it, at once, then after a
//! back-off that grows from 50 ms to 500 ms, while everybody else goes elsewhere or waits. The
//! first probe that is answered closes the matter, and those who wait are let through, at most
//! [`DIALS_MAX`] at a time. So thousands of pipes do not hammer a dead address, and all are back
//! soon after it lives. Where another backend is well, a failing one is only looked at every
//! second to every ten, by one dial that has little patience with it.
//!
//! Every dial holds a [`Ticket`] and ends in exactly one [`Outcome`]. No IO, no clock, no lock:
//! [`crate::pool`] is the shell around this.

mod choice;
mod entry;

use std::{fmt, str::FromStr, time::Duration};

use everwire_proto::time::Time;
use serde::{Deserialize, Serialize};

use self::entry::Entry;
use crate::pool::config::{BackendConfig, BackendUrl, Balance};

/// Most dials in flight to one backend. More would only queue in its listener, whose backlog is
/// 128 to 511 in common servers, and overflow it.
pub const DIALS_MAX: u32 = 128;

/// Most backends in one pool, those on their way out included. Choosing looks at each.
pub const BACKENDS_MAX: usize = 1024;

/// A backend in its pool, for as long as the process lives; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendId(pub u64);

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BackendId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Whether a backend is given sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is.
    Ready,
    /// It keeps none and gets none until it is ready again.
    Draining,
    /// It keeps none and is forgotten with the last.
    Removing,
}

/// What the active check last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Nothing: there is no check, or no answer yet.
    Unknown,
    /// It answered as it should.
    Up,
    /// It did not, twice.
    Down,
}

/// A mistake of the operator with the pool's members.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The pool has a backend with this URL.
    #[error("{0} is in the pool already")]
    Duplicate(BackendUrl),
    /// The pool has no such backend.
    #[error("there is no backend {0} in the pool")]
    Unknown(BackendId),
    /// The backend is being removed; add it again instead.
    #[error("backend {0} is being removed")]
    Removing(BackendId),
    /// The pool holds [`BACKENDS_MAX`] backends.
    #[error("the pool is full: it holds at most {BACKENDS_MAX} backends")]
    Full,
}

/// A snapshot of one backend, as people and the API see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its id.
    pub id: BackendId,
    /// Where it is.
    pub url: BackendUrl,
    /// Whether it is given sessions.
    pub state: State,
    /// What the active check says.
    pub health: Health,
    /// Whether new dials are expected to succeed: not failing, and not down.
    pub healthy: bool,
    /// Its share relative to the others.
    pub weight: u32,
    /// The most sessions that it is given.
    pub sessions_max: Option<u32>,
    /// Sessions that it has.
    pub sessions: u32,
    /// Sessions that it has had since it was added.
    pub sessions_total: u64,
    /// Dials in flight.
    pub dials_in_flight: u32,
    /// Dials that failed at connection level since it was added.
    pub failures: u64,
    /// Why the last of them did.
    pub last_error: Option<String>,
}

/// What a dial asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// The key of affinity, hashed, where the pool balances by it.
    pub key: Option<u64>,
    /// Backends that this dial has tried in vain.
    pub avoid: &'a [BackendId],
}

/// Which backend a dial goes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one, now.
    Dial(Ticket),
    /// None at the moment: ask again at this time, or when told that something changed.
    Wait(Time),
    /// None at all: every backend that is ready is on the list of those to avoid.
    Exhausted,
}

/// The right to dial one backend once; to be given back with its [`Outcome`].
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The backend.
    pub id: BackendId,
    /// Whether the backend is failing, and this dial finds out whether it still is.
    pub probe: bool,
    /// Whether another backend would have done, so that patience is wasted on this one.
    pub alternatives: bool,
    /// Which spell of failing or not this dial began in.
    spell: u32,
}

/// How a dial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a leg, which is a session until [`Backends::session_ended`].
    Opened,
    /// The backend answered, but there is no leg.
    Answered,
    /// Nobody answered as a server would: why.
    Failed(String),
    /// It was given up before it could end.
    Abandoned,
}

/// Who of those that wait should ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Nobody.
    None,
    /// One: a place has become free.
    One,
    /// As many as may dial at a time: a backend has become available.
    Many,
}

/// The backends of one pool.
#[derive(Debug)]
pub struct Backends {
    balance: Balance,
    entries: Vec<Entry>,
    next_id: u64,
    /// How many choices were made; breaks ties in favour of who was chosen longest ago.
    choices: u64,
    /// The state of a small generator for jitter; nothing secret depends on it.
    jitter: u64,
}

impl Backends {
    /// A pool without backends; `seed` spreads the back-off of several processes.
    pub fn new(balance: Balance, seed: u64) -> Self {
        Self { balance, entries: Vec::new(), next_id: 1, choices: 0, jitter: seed | 1 }
    }

    /// Adds a backend, ready at once. One that is being removed does not stand in the way of its
    /// successor at the same URL.
    pub fn add(&mut self, config: BackendConfig) -> Result<BackendId, PoolError> {
        if self.find(&config.url).is_some() {
            return Err(PoolError::Duplicate(config.url));
        }
        if self.entries.len() == BACKENDS_MAX {
            return Err(PoolError::Full);
        }
        let id = BackendId(self.next_id);
        self.next_id += 1;
        self.entries.push(Entry::new(id, config));
        Ok(id)
    }

    /// The backend at `url`, unless it is being removed.
    pub fn find(&self, url: &BackendUrl) -> Option<BackendId> {
        let there = |entry: &&Entry| entry.state != State::Removing && entry.config.url == *url;
        self.entries.iter().find(there).map(|entry| entry.id)
    }

    /// Gives a backend no more sessions; those that it has are to be moved.
    pub fn drain(&mut self, id: BackendId) -> Result<(), PoolError> {
        self.present(id)?.state = State::Draining;
        Ok(())
    }

    /// Gives a drained backend sessions again, its failures forgotten.
    pub fn ready(&mut self, id: BackendId) -> Result<(), PoolError> {
        let entry = self.present(id)?;
        entry.state = State::Ready;
        entry.recover();
        Ok(())
    }

    /// Gives a backend no more sessions and forgets it once it has none.
    pub fn remove(&mut self, id: BackendId) -> Result<(), PoolError> {
        self.present(id)?.state = State::Removing;
        self.forget_if_empty(id);
        Ok(())
    }

    /// Whether the sessions of this backend are to be moved: it drains, is removed, or is gone.
    pub fn is_leaving(&self, id: BackendId) -> bool {
        self.entry(id).is_none_or(|entry| entry.state != State::Ready)
    }

    /// Whether this backend has neither sessions nor dials, or is gone.
    pub fn is_empty(&self, id: BackendId) -> bool {
        self.entry(id).is_none_or(Entry::is_empty)
    }

    /// Whether this backend's last dial failed at connection level.
    pub fn is_failing(&self, id: BackendId) -> bool {
        self.entry(id).is_some_and(Entry::is_failing)
    }

    /// Whether this backend is known, on its way out or not.
    pub fn contains(&self, id: BackendId) -> bool {
        self.entry(id).is_some()
    }

    /// Takes note of how a dial ended.
    pub fn dial_ended(&mut self, ticket: &Ticket, outcome: Outcome, now: Time) -> Wake {
        let roll = self.roll();
        let Some(entry) = self.entry_mut(ticket.id) else { return Wake::None };
        let wake = entry.dial_ended(ticket, outcome, now, roll);
        self.forget_if_empty(ticket.id);
        wake
    }

    /// Takes note that a leg's session is over. `Wake::One`, because a limit may have had it out.
    pub fn session_ended(&mut self, id: BackendId) -> Wake {
        let Some(entry) = self.entry_mut(id) else { return Wake::None };
        entry.sessions = entry.sessions.saturating_sub(1);
        let limited = entry.config.sessions_max.is_some();
        self.forget_if_empty(id);
        if limited { Wake::One } else { Wake::None }
    }

    /// Takes note that a backend has ended a leg: its listener may outlive its goodbye, so that it
    /// is chosen last for [`LEAVING_TIME`]. Gives whether it is the first leg in that time.
    pub fn leg_lost(&mut self, id: BackendId, now: Time) -> bool {
        let Some(entry) = self.entry_mut(id) else { return false };
        let before = entry.leg_lost_at.replace(now);
        before.is_none_or(|before| now.saturating_since(before) >= LEAVING_TIME)
    }

    /// Takes note of what an active check found.
    pub fn set_health(&mut self, id: BackendId, health: Health) -> Wake {
        let Some(entry) = self.entry_mut(id) else { return Wake::None };
        let before = std::mem::replace(&mut entry.health, health);
        if health == Health::Up && (before != Health::Up || entry.is_failing()) {
            entry.recover();
            return Wake::Many;
        }
        Wake::None
    }

    /// Every backend, in the order in which they were added.
    pub fn statuses(&self) -> impl Iterator<Item = BackendStatus> {
        self.entries.iter().map(Entry::status)
    }

    fn entry(&self, id: BackendId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn entry_mut(&mut self, id: BackendId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// The backend, if it is there and not on its way out.
    fn present(&mut self, id: BackendId) -> Result<&mut Entry, PoolError> {
        match self.entry_mut(id) {
            None => Err(PoolError::Unknown(id)),
            Some(entry) if entry.state == State::Removing => Err(PoolError::Removing(id)),
            Some(entry) => Ok(entry),
        }
    }

    fn forget_if_empty(&mut self, id: BackendId) {
        self.entries
            .retain(|entry| entry.id != id || entry.state != State::Removing || !entry.is_empty());
    }

    /// The next number of a xorshift generator.
    fn roll(&mut self) -> u32 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        (self.jitter >> 32) as u32
    }
}

/// How long a backend that has ended a leg is chosen last.
pub const LEAVING_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
