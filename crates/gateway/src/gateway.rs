//! What all pipes of a process share: their registry, the memory they may hold, the counters.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_proto::ws::upgrade::{Agreed, Forwarded, Refusal};
use serde::Serialize;
use tokio::sync::Notify;

use crate::{
    bell::Ask,
    clock,
    handle::{PipeHandle, PipeId, PipeState},
    http::Exchanges,
    metrics::Metrics,
    pool::{BackendId, Pool, PoolError},
    relay::Tally,
    route::Route,
    spread::Spread,
};

/// Limits of the process as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Pipes open and other requests being served at once; further clients are answered 503. Default: 18,000, what a process with
    /// the usual limit of 40,000 descriptors can hold with a socket to either side.
    pub connections_max: usize,
    /// Memory for messages of all pipes together, in bytes. Beyond it pipes with a backend stop
    /// reading, and the largest without one are closed with 1013. Default: 1 GiB.
    pub buffered_max: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { connections_max: 18_000, buffered_max: 1 << 30 }
    }
}

/// The pipes of a process. Cheap to clone; all clones are the same gateway.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Shared>);

/// A [`Gateway`] that does not keep it alive.
#[derive(Debug)]
pub(crate) struct WeakGateway(Weak<Shared>);

#[derive(Debug)]
struct Shared {
    config: GatewayConfig,
    pipes: Mutex<Pipes>,
    next_id: AtomicU64,
    buffered: Spread,
    shed_at: AtomicU64,
    emptied: Notify,
    metrics: Metrics,
    exchanges: Exchanges,
}

#[derive(Debug, Default)]
struct Pipes {
    open: HashMap<PipeId, (Arc<PipeHandle>, Arc<Route>)>,
    /// Places of pipes that are being opened, whose clients have no 101 yet, and of requests that
    /// open none.
    opening: usize,
    /// What went through pipes that are closed.
    closed: Tally,
    /// No further pipes are opened.
    stopping: bool,
}

/// What may be seen of a pipe. Paths are shown without their query, which may hold secrets.
#[derive(Debug, Clone, Serialize)]
pub struct PipeStatus {
    /// Its name for the life of the process.
    pub id: PipeId,
    /// The route that opened it.
    pub route: String,
    /// The route's pool.
    pub pool: String,
    /// The client's address.
    pub client: SocketAddr,
    /// The path that the client asked for.
    pub path: String,
    /// Where it stands.
    pub state: PipeState,
    /// URL of its backend, while it has one.
    pub backend: Option<String>,
    /// How long it has been open, in seconds.
    pub age_seconds: f64,
    /// Backend connections so far.
    pub legs: u32,
    /// Complete messages from the client.
    pub client_messages: u64,
    /// Bytes from the client.
    pub client_bytes: u64,
    /// Complete messages from backends.
    pub backend_messages: u64,
    /// Bytes from backends.
    pub backend_bytes: u64,
    /// Messages that went to more than one backend.
    pub replayed_messages: u64,
    /// Messages from the client that no backend has confirmed.
    pub unconfirmed_messages: u32,
    /// Memory held for messages, in bytes.
    pub buffered_bytes: u64,
}

/// Sums over all pipes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Pipes open.
    pub pipes: u64,
    /// Those of them without a backend.
    pub waiting: u64,
    /// Requests being served that open no WebSocket.
    pub requests: u64,
    /// Memory held for messages, in bytes.
    pub buffered: u64,
    /// Client messages that no backend has confirmed.
    pub unconfirmed: u64,
    /// What has gone through, closed pipes included.
    pub tally: Tally,
}

/// Why a pipe cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// `connections_max` pipes are open.
    Full,
    /// The gateway stops.
    Stopping,
}

impl Gateway {
    /// A gateway without pipes.
    pub fn new(config: GatewayConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            pipes: Mutex::default(),
            next_id: AtomicU64::new(1),
            buffered: Spread::default(),
            shed_at: AtomicU64::new(0),
            emptied: Notify::new(),
            metrics: Metrics::default(),
            exchanges: Exchanges::default(),
        }))
    }

    /// All open pipes, oldest first.
    pub fn pipes(&self) -> Vec<PipeStatus> {
        let mut pipes: Vec<_> = self.lock().open.values().cloned().collect();
        pipes.sort_unstable_by_key(|(handle, _)| handle.id);
        pipes.iter().map(|(handle, route)| status(handle, route)).collect()
    }

    /// One open pipe.
    pub fn pipe(&self, id: PipeId) -> Option<PipeStatus> {
        let (handle, route) = self.lock().open.get(&id).cloned()?;
        Some(status(&handle, &route))
    }

    /// Asks a pipe to end with 1008; gives whether there is one.
    pub fn close_pipe(&self, id: PipeId) -> bool {
        let pipe = self.lock().open.get(&id).map(|(handle, _)| handle.clone());
        pipe.inspect(|handle| handle.bell.ring(Ask::Close)).is_some()
    }

    /// Opens no further pipes.
    pub fn refuse_new(&self) {
        self.lock().stopping = true;
    }

    /// Asks at most `count` pipes to end with 1001, oldest first; gives how many were asked. As many
    /// requests that open no WebSocket are given two seconds more.
    pub fn stop_some(&self, count: usize) -> usize {
        let mut pipes: Vec<_> =
            self.lock().open.values().map(|(handle, _)| handle.clone()).collect();
        pipes.retain(|handle| handle.state() != PipeState::Closing);
        pipes.sort_unstable_by_key(|handle| handle.id);
        pipes.truncate(count);
        pipes.iter().for_each(|handle| handle.bell.ring(Ask::Stop));
        self.0.exchanges.end_some(count, STOP_GRACE);
        pipes.len()
    }

    /// Opens no further pipes and asks all that are open to end with 1001.
    pub fn stop(&self) {
        self.refuse_new();
        self.stop_some(usize::MAX);
        self.0.exchanges.end_all(STOP_GRACE);
    }

    /// Resolves once no pipe is open and no request is being served.
    pub async fn idle(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            emptied.as_mut().enable();
            if self.is_idle() {
                return;
            }
            emptied.await;
        }
    }

    fn is_idle(&self) -> bool {
        self.lock().open.is_empty() && self.0.exchanges.count() == 0
    }

    /// A pipe or a request has gone.
    pub(crate) fn tell_if_idle(&self) {
        if self.is_idle() {
            self.0.emptied.notify_waiters();
        }
    }

    /// The requests being served that open no WebSocket.
    pub(crate) fn exchanges(&self) -> &Exchanges {
        &self.0.exchanges
    }

    /// Sums over all pipes.
    pub fn totals(&self) -> Totals {
        let pipes = self.lock();
        let mut totals = Totals { tally: pipes.closed, ..Totals::default() };
        for (handle, _) in pipes.open.values() {
            totals.pipes += 1;
            totals.waiting += u64::from(handle.state() == PipeState::Waiting);
            totals.unconfirmed += u64::from(handle.unconfirmed());
            totals.tally = sum(totals.tally, handle.tally());
        }
        totals.requests = self.0.exchanges.count() as u64;
        totals.buffered = self.0.buffered.sum();
        totals
    }

    /// What is counted as it happens.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn downgrade(&self) -> WeakGateway {
        WeakGateway(Arc::downgrade(&self.0))
    }

    /// Takes one of the places for pipes, until it is opened or given up.
    pub(crate) fn admit(&self) -> Result<Admission, Turned> {
        let mut pipes = self.lock();
        if pipes.stopping {
            return Err(Turned::Stopping);
        }
        if pipes.open.len() + pipes.opening >= self.0.config.connections_max {
            return Err(Turned::Full);
        }
        pipes.opening += 1;
        Ok(Admission(self.clone()))
    }

    /// Gives a backend no more sessions and moves those it has to others, if there are others. What
    /// is no session, a request being served, has its route's `drain_max` to end.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn drain_backend(&self, pool: &Pool, id: BackendId) -> Result<(), PoolError> {
        pool.drain_backend(id)?;
        self.move_pipes(pool, id);
        Ok(())
    }

    /// Removes a backend after moving its pipes to others. Returns once no pipe uses it.
    ///
    /// # Errors
    /// There is no such backend.
    pub async fn remove_backend(&self, pool: &Pool, id: BackendId) -> Result<(), PoolError> {
        pool.remove_backend(id)?;
        self.move_pipes(pool, id);
        pool.emptied(id).await;
        Ok(())
    }

    fn move_pipes(&self, pool: &Pool, backend: BackendId) {
        for (handle, route) in self.lock().open.values() {
            if handle.backend.load(Relaxed) == backend.0 && route.pool.is(pool) {
                handle.bell.ring(Ask::Move);
            }
        }
        self.0.exchanges.leave(pool, backend);
    }

    /// A pipe holds `now` bytes, and held `before`.
    pub(crate) fn account(&self, before: usize, now: usize) {
        if now != before {
            self.0.buffered.add(now as i64 - before as i64);
        }
    }

    pub(crate) fn is_over_budget(&self) -> bool {
        self.0.buffered.sum() > self.0.config.buffered_max
    }

    /// Closes the largest pipe that has no backend, at most every [`SHED_EVERY`].
    pub(crate) fn shed_largest(&self) {
        let now = clock::now().as_millis();
        let last = self.0.shed_at.load(Relaxed);
        let due = last == 0 || now >= last + SHED_EVERY.as_millis() as u64;
        let mine = || self.0.shed_at.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_ok();
        if !(due && mine()) {
            return;
        }
        let waiting = |handle: &&Arc<PipeHandle>| handle.state() == PipeState::Waiting;
        let pipes = self.lock();
        let handles = pipes.open.values().map(|(handle, _)| handle);
        if let Some(largest) = handles.filter(waiting).max_by_key(|handle| handle.buffered()) {
            largest.bell.ring(Ask::Shed);
        }
    }

    /// A pipe is gone.
    pub(crate) fn forget(&self, handle: &PipeHandle, tally: Tally) {
        {
            let mut pipes = self.lock();
            if pipes.open.remove(&handle.id).is_some() {
                pipes.closed = sum(pipes.closed, tally);
            }
        }
        self.tell_if_idle();
    }

    fn lock(&self) -> MutexGuard<'_, Pipes> {
        // Nothing panics while the lock is held, and a registry is never half changed.
        self.0.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among `connections_max`, held while a pipe is being opened or a request is served.
#[derive(Debug)]
pub(crate) struct Admission(Gateway);

impl Admission {
    /// Registers the pipe that has been opened.
    pub(crate) fn register(
        self,
        client: SocketAddr,
        forwarded: Forwarded,
        agreed: Agreed,
        session: u128,
        route: Arc<Route>,
    ) -> Arc<PipeHandle> {
        let id = PipeId(self.0.0.next_id.fetch_add(1, Relaxed));
        let handle =
            Arc::new(PipeHandle::new(id, client, clock::now(), forwarded, agreed, session));
        self.0.lock().open.insert(id, (handle.clone(), route));
        self.0.metrics().opened();
        handle
    }
}

impl From<Turned> for Refusal {
    fn from(turned: Turned) -> Self {
        Self::unavailable(match turned {
            Turned::Full => "too many connections",
            Turned::Stopping => "gateway stopping",
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
    }
}

impl WeakGateway {
    pub(crate) fn upgrade(&self) -> Option<Gateway> {
        self.0.upgrade().map(Gateway)
    }
}

fn status(handle: &PipeHandle, route: &Route) -> PipeStatus {
    let tally = handle.tally();
    PipeStatus {
        id: handle.id,
        route: route.name.to_string(),
        pool: route.pool.name().to_owned(),
        client: handle.client,
        path: handle.forwarded.path().to_owned(),
        state: handle.state(),
        backend: route.pool.url(BackendId(handle.backend.load(Relaxed))),
        age_seconds: clock::now().saturating_since(handle.since).as_secs_f64(),
        legs: tally.legs,
        client_messages: tally.up_messages,
        client_bytes: tally.up_bytes,
        backend_messages: tally.down_messages,
        backend_bytes: tally.down_bytes,
        replayed_messages: tally.replayed,
        unconfirmed_messages: handle.unconfirmed(),
        buffered_bytes: handle.buffered() as u64,
    }
}

const fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        legs: a.legs.saturating_add(b.legs),
        up_messages: a.up_messages + b.up_messages,
        up_bytes: a.up_bytes + b.up_bytes,
        down_messages: a.down_messages + b.down_messages,
        down_bytes: a.down_bytes + b.down_bytes,
        replayed: a.replayed + b.replayed,
    }
}

/// The time of a request that is being served when the gateway stops.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Closing one pipe frees memory only a moment later; the next is not closed before that shows.
const SHED_EVERY: Duration = Duration::from_millis(10);
