//! A pool of backends that many pipes share: [`Backends`] behind a lock, and who waits for them.
//!
//! The lock is held for a choice or a note, never across an await. What is counted is given back
//! by `Drop` guards, [`SessionGuard`] for a session and `DialGuard` for a dial, so that a pipe or a
//! dial that is dropped anywhere leaves nothing behind.

pub mod config;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_proto::time::Time;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

pub use crate::backends::{BackendId, BackendStatus, Health, PoolError, State};
use crate::{
    backends::{Backends, Choice, DIALS_MAX, Outcome, Ticket, Wake, Wish},
    clock,
    dial::Endpoint,
    pool::config::{BackendConfig, BackendUrl, HealthCheck, PoolConfig},
};

/// A named set of backends. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: Box<str>,
    health: Option<HealthCheck>,
    members: Mutex<Members>,
    /// How many dials wait for a backend.
    waiting: AtomicU32,
    /// Wakes one of them: there is a place.
    place: Notify,
    /// Tells that a backend has lost its last session or dial.
    emptied: Notify,
    /// The right to replay a message that is suspected of ending backends.
    alone: Arc<Semaphore>,
}

/// What the lock guards.
#[derive(Debug)]
struct Members {
    backends: Backends,
    /// How each backend is reached; the same backends as in `backends`.
    endpoints: HashMap<BackendId, Arc<Endpoint>>,
}

/// Every backend that is ready has refused this dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Pool {
    /// A pool with the backends of `config`; of one that is named twice the first counts.
    pub fn new(name: &str, config: PoolConfig) -> Self {
        let backends = Backends::new(config.balance, rand::random());
        let pool = Self(Arc::new(Shared {
            name: name.into(),
            health: config.health,
            members: Mutex::new(Members { backends, endpoints: HashMap::new() }),
            waiting: AtomicU32::new(0),
            place: Notify::new(),
            emptied: Notify::new(),
            alone: Arc::new(Semaphore::new(1)),
        }));
        for backend in config.backends {
            let url = backend.url.clone();
            if let Err(error) = pool.add_backend(backend) {
                tracing::warn!(pool = name, %url, %error, "backend left out");
            }
        }
        pool
    }

    /// Whether this is the same pool.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The pool's active check, for [`crate::health::watch`].
    pub fn health_check(&self) -> Option<&HealthCheck> {
        self.0.health.as_ref()
    }

    /// Adds a backend, which is given sessions at once.
    ///
    /// # Errors
    /// The pool has this URL already, or is full.
    pub fn add_backend(&self, config: BackendConfig) -> Result<BackendId, PoolError> {
        let endpoint = Arc::new(Endpoint::new(config.url.clone()));
        let id = {
            let mut members = self.lock();
            let id = members.backends.add(config)?;
            members.endpoints.insert(id, endpoint);
            id
        };
        self.wake(Wake::Many);
        Ok(id)
    }

    /// The backend at `url`, however that is written, unless it is being removed.
    pub fn find(&self, url: &str) -> Option<BackendId> {
        let url: BackendUrl = url.parse().ok()?;
        self.lock().backends.find(&url)
    }

    /// The URL of a backend that is in the pool or on its way out.
    pub fn url(&self, id: BackendId) -> Option<String> {
        self.endpoint(id).map(|endpoint| endpoint.url().to_string())
    }

    /// Gives a backend no more sessions. Those that it has are for the caller to move.
    ///
    /// # Errors
    /// There is no such backend, or it is being removed.
    pub fn drain_backend(&self, id: BackendId) -> Result<(), PoolError> {
        self.lock().backends.drain(id)
    }

    /// Gives a drained backend sessions again.
    ///
    /// # Errors
    /// There is no such backend, or it is being removed.
    pub fn ready_backend(&self, id: BackendId) -> Result<(), PoolError> {
        self.lock().backends.ready(id)?;
        self.wake(Wake::Many);
        Ok(())
    }

    /// Gives a backend no more sessions, and forgets it with its last one. Those that it has are
    /// for the caller to move; [`Self::emptied`] tells when they have gone.
    ///
    /// # Errors
    /// There is no such backend, or it is being removed already.
    pub fn remove_backend(&self, id: BackendId) -> Result<(), PoolError> {
        let mut members = self.lock();
        members.backends.remove(id)?;
        self.forget_if_gone(&mut members, id);
        Ok(())
    }

    /// Returns once the backend has neither sessions nor dials, or is forgotten.
    pub async fn emptied(&self, id: BackendId) {
        loop {
            let mut emptied = std::pin::pin!(self.0.emptied.notified());
            emptied.as_mut().enable();
            if self.lock().backends.is_empty(id) {
                return;
            }
            emptied.await;
        }
    }

    /// Whether a backend's sessions are to be moved: it drains, is being removed, or is gone.
    pub fn is_leaving(&self, id: BackendId) -> bool {
        self.lock().backends.is_leaving(id)
    }

    /// Every backend, in the order in which they were added.
    pub fn backends(&self) -> Vec<BackendStatus> {
        self.lock().backends.statuses().collect()
    }

    /// How many dials wait because no backend can be dialled.
    pub fn waiting(&self) -> u32 {
        self.0.waiting.load(Relaxed)
    }

    /// The right to replay a suspect message: one pipe of the pool at a time has it.
    pub async fn alone(&self) -> Option<OwnedSemaphorePermit> {
        self.0.alone.clone().acquire_owned().await.ok()
    }

    /// How a backend is reached.
    pub(crate) fn endpoint(&self, id: BackendId) -> Option<Arc<Endpoint>> {
        self.lock().endpoints.get(&id).cloned()
    }

    /// Takes note of what an active check found.
    pub(crate) fn set_health(&self, id: BackendId, health: Health) {
        let wake = self.lock().backends.set_health(id, health);
        self.wake(wake);
    }

    /// Waits for the right to dial, for as long as it takes.
    pub(crate) async fn place(&self, wish: &Wish<'_>) -> Result<DialGuard, Exhausted> {
        let mut waiting = None;
        loop {
            let place = self.0.place.notified();
            let now = clock::now();
            let until = match self.choose(now, wish) {
                Ok(guard) => return Ok(guard),
                Err(Choice::Wait(until)) => until,
                Err(_) => return Err(Exhausted),
            };
            // A place that becomes free is told only to those that are counted, so the choice is
            // asked for once more after counting.
            let Some(waiting) = &waiting else {
                waiting = Some(Waiting::begin(&self.0.waiting));
                continue;
            };
            // Whether a place is free or time is over, the answer is to ask again.
            let _ = tokio::time::timeout(waiting.spread(until.saturating_since(now)), place).await;
        }
    }

    fn choose(&self, now: Time, wish: &Wish<'_>) -> Result<DialGuard, Choice> {
        let mut members = self.lock();
        match members.backends.choose(now, wish) {
            Choice::Dial(ticket) => match members.endpoints.get(&ticket.id).cloned() {
                Some(endpoint) => {
                    Ok(DialGuard { pool: self.clone(), ticket, endpoint, open: true })
                }
                // Both change under one lock, so this is never taken.
                None => Err(Choice::Exhausted),
            },
            other => Err(other),
        }
    }

    fn dial_ended(&self, dial: &DialGuard, outcome: Outcome) {
        let why = if let Outcome::Failed(why) = &outcome { why.clone() } else { String::new() };
        let id = dial.ticket.id;
        let (wake, failed_before, fails) = {
            let mut members = self.lock();
            let failed_before = members.backends.is_failing(id);
            let wake = members.backends.dial_ended(&dial.ticket, outcome, clock::now());
            self.forget_if_gone(&mut members, id);
            (wake, failed_before, members.backends.is_failing(id))
        };
        self.wake(wake);
        let backend = dial.endpoint.url();
        match (failed_before, fails) {
            (false, true) => tracing::info!(pool = self.name(), %backend, why, "backend fails"),
            (true, false) => tracing::info!(pool = self.name(), %backend, "backend answers again"),
            _ => {}
        }
    }

    fn session_ended(&self, id: BackendId) {
        let wake = {
            let mut members = self.lock();
            let wake = members.backends.session_ended(id);
            self.forget_if_gone(&mut members, id);
            wake
        };
        self.wake(wake);
    }

    /// Follows `backends` where it has forgotten a backend, and tells who waits for its end.
    fn forget_if_gone(&self, members: &mut Members, id: BackendId) {
        if !members.backends.contains(id) {
            members.endpoints.remove(&id);
        }
        if members.backends.is_empty(id) {
            self.0.emptied.notify_waiters();
        }
    }

    fn wake(&self, wake: Wake) {
        let count = match wake {
            Wake::None => 0,
            Wake::One => self.waiting().min(1),
            Wake::Many => self.waiting().min(DIALS_MAX),
        };
        for _ in 0..count {
            self.0.place.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // Nothing panics while the lock is held.
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dial in flight. Dropped without an outcome, it counts as abandoned.
#[derive(Debug)]
pub(crate) struct DialGuard {
    pool: Pool,
    ticket: Ticket,
    endpoint: Arc<Endpoint>,
    open: bool,
}

impl DialGuard {
    /// The backend to dial.
    pub(crate) fn backend(&self) -> BackendId {
        self.ticket.id
    }

    /// How it is reached.
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether the backend is failing while another one is well.
    pub(crate) fn is_suspect(&self) -> bool {
        self.ticket.probe && self.ticket.alternatives
    }

    /// Whether this dial finds out whether the backend still fails.
    pub(crate) fn is_probe(&self) -> bool {
        self.ticket.probe
    }

    /// Whether another backend would do as well.
    pub(crate) fn has_alternatives(&self) -> bool {
        self.ticket.alternatives
    }

    /// The dial has become a session.
    pub(crate) fn opened(mut self) -> SessionGuard {
        self.end(Outcome::Opened);
        SessionGuard { pool: self.pool.clone(), id: self.ticket.id }
    }

    /// The backend answered, but not with a leg.
    pub(crate) fn answered(mut self) {
        self.end(Outcome::Answered);
    }

    /// The backend did not answer as a server would.
    pub(crate) fn failed(mut self, why: String) {
        self.end(Outcome::Failed(why));
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::take(&mut self.open) {
            self.pool.dial_ended(self, outcome);
        }
    }
}

impl Drop for DialGuard {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}

/// A session that a backend has; given back when dropped.
#[derive(Debug)]
pub struct SessionGuard {
    pool: Pool,
    id: BackendId,
}

impl SessionGuard {
    /// The backend.
    pub fn backend(&self) -> BackendId {
        self.id
    }

    /// Whether the session may stay: the backend neither drains nor is being removed.
    pub fn is_wanted(&self) -> bool {
        !self.pool.is_leaving(self.id)
    }

    /// Gives the session back and says that the backend ended it: it is chosen last for a while.
    ///
    /// Only the first of many such sessions is logged: where thousands end at once, a line for each
    /// would keep the threads that are to dial waiting for whoever reads the log.
    pub fn ended(self) {
        let is_first = self.pool.lock().backends.leg_lost(self.id, clock::now());
        if is_first && let Some(endpoint) = self.pool.endpoint(self.id) {
            let (pool, backend) = (self.pool.name(), endpoint.url());
            tracing::info!(pool, %backend, "backend ends sessions, clients are kept");
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.pool.session_ended(self.id);
    }
}

/// Counts a dial that waits.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }

    /// The time after which this waiter asks again if nobody wakes it: `least`, or longer where
    /// many wait, so that all of them together ask a bounded number of times a second.
    fn spread(&self, least: Duration) -> Duration {
        let share = ASK_SPACING.saturating_mul(self.0.load(Relaxed));
        let jitter = 0.5 + f64::from(rand::random::<u16>()) / f64::from(u16::MAX);
        least.max(share.mul_f64(jitter))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Time between two questions of all that wait together: 4,000 a second are a hundredth of a
/// core, and a probe that is due is late by a quarter of a millisecond.
const ASK_SPACING: Duration = Duration::from_micros(250);

#[cfg(test)]
mod tests;
