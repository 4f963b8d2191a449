//! The life of one exchange: its places among the limits, and who may end it.

use std::{
    collections::HashMap,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use everwire_proto::{time::Time, ws::upgrade::Refusal};
use tokio::time::{Sleep, sleep_until};

use super::upload::Progress;
use crate::{
    bell::{Ask, Bell},
    clock,
    gateway::{Admission, Gateway},
    pool::{BackendId, Pool},
    route::{RequestPlace, Route},
};

/// The exchanges of a process.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    open: Mutex<HashMap<u64, Arc<OpenExchange>>>,
    next_id: AtomicU64,
}

/// An exchange as the registry holds it.
#[derive(Debug)]
pub(crate) struct OpenExchange {
    id: u64,
    drain_max: Duration,
    at: Mutex<Option<(Pool, BackendId)>>,
    /// When it has to end, in milliseconds.
    until: AtomicU64,
    bell: Bell,
}

/// An exchange as whoever runs it holds it.
#[derive(Debug)]
pub(super) struct Exchange {
    open: Arc<OpenExchange>,
    gateway: Gateway,
    timer: Option<(Time, Pin<Box<Sleep>>)>,
    _request: RequestPlace,
    _admission: Admission,
}

/// Why an exchange is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing has moved for too long.
    Silent,
    /// Its time is over: the backend is left, or the gateway stops.
    Asked,
}

impl Exchanges {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Has the exchanges with this backend end, each in its route's `drain_max`.
    pub(crate) fn leave(&self, pool: &Pool, id: BackendId) {
        self.lock().values().filter(|open| open.is_at(pool, id)).for_each(|open| open.leave());
    }

    /// Gives at most `count` exchanges, the oldest of those that have no end yet, so much longer.
    pub(crate) fn end_some(&self, count: usize, grace: Duration) {
        let mut open: Vec<_> = self.lock().values().cloned().collect();
        open.retain(|open| open.until.load(Relaxed) == ENDLESS);
        open.sort_unstable_by_key(|open| open.id);
        let until = clock::now() + grace;
        open.iter().take(count).for_each(|open| open.end_by(until));
    }

    /// Gives all exchanges at most so much longer.
    pub(crate) fn end_all(&self, grace: Duration) {
        let until = clock::now() + grace;
        self.lock().values().for_each(|open| open.end_by(until));
    }

    fn register(&self, drain_max: Duration) -> Arc<OpenExchange> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let open = Arc::new(OpenExchange {
            id,
            drain_max,
            at: Mutex::default(),
            until: AtomicU64::new(ENDLESS),
            bell: Bell::default(),
        });
        self.lock().insert(id, Arc::clone(&open));
        open
    }

    fn forget(&self, id: u64) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<OpenExchange>>> {
        // Nothing panics while the lock is held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenExchange {
    fn leave(&self) {
        self.end_by(clock::now() + self.drain_max);
    }

    fn end_by(&self, until: Time) {
        self.until.fetch_min(until.as_millis(), Relaxed);
        self.bell.ring(Ask::Stop);
    }

    fn is_at(&self, pool: &Pool, id: BackendId) -> bool {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.as_ref().is_some_and(|(at, backend)| at.is(pool) && *backend == id)
    }

    fn until(&self) -> Option<Time> {
        let until = self.until.load(Relaxed);
        (until != ENDLESS).then(|| Time::from_millis(until))
    }
}

impl Exchange {
    /// Takes a place of the process and one of the route.
    pub(super) fn begin(route: &Arc<Route>, requests_max: u32) -> Result<Self, Refusal> {
        let admission = route.gateway.admit()?;
        let Some(request) = RequestPlace::take(route, requests_max) else {
            let mut refusal = Refusal::unavailable("too many requests");
            refusal.headers.push("Retry-After", b"1");
            return Err(refusal);
        };
        Ok(Self {
            open: route.gateway.exchanges().register(route.config.drain_max),
            gateway: route.gateway.clone(),
            timer: None,
            _request: request,
            _admission: admission,
        })
    }

    /// The exchange is with this backend now. One that is being left since it was chosen says so.
    pub(super) fn goes_to(&self, route: &Route, id: BackendId) {
        let at = Some((route.pool.clone(), id));
        *self.open.at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        if route.pool.is_leaving(id) {
            self.open.leave();
        }
    }

    /// Resolves when the exchange has to end, or a backend that has all of a body has not answered
    /// for `patience`, or the body has not moved for so long.
    pub(super) async fn overdue(&mut self, progress: &Progress, patience: Duration) -> Overdue {
        poll_fn(|cx| self.poll_overdue(cx, || progress.at() + patience)).await
    }

    /// The same for whoever polls: `silent_at` says when silence has lasted too long.
    pub(super) fn poll_overdue(
        &mut self,
        cx: &mut Context<'_>,
        silent_at: impl Fn() -> Time,
    ) -> Poll<Overdue> {
        self.open.bell.answer_to(cx.waker());
        loop {
            let (now, silent_at) = (clock::now(), silent_at());
            let until = self.open.until();
            if until.is_some_and(|until| now >= until) {
                return Poll::Ready(Overdue::Asked);
            }
            if now >= silent_at {
                return Poll::Ready(Overdue::Silent);
            }
            ready!(self.poll_timer(cx, until.map_or(silent_at, |until| until.min(silent_at))));
        }
    }

    /// The timer fires at `due` or before: it is not moved for each piece that passes.
    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Time) -> Poll<()> {
        let fires_in_time =
            |(at, timer): &(Time, Pin<Box<Sleep>>)| *at <= due && !timer.is_elapsed();
        if !self.timer.as_ref().is_some_and(fires_in_time) {
            self.timer = Some((due, Box::pin(sleep_until(clock::instant_at(due)))));
        }
        self.timer.as_mut().map_or(Poll::Ready(()), |(_, timer)| timer.as_mut().poll(cx))
    }

    /// Where what happens is counted.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.gateway.exchanges().forget(self.open.id);
        self.gateway.tell_if_idle();
    }
}

const ENDLESS: u64 = u64::MAX;
