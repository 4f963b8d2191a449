//! One running node: the gateway, its pools and routes, and whether it is on its way out.
//!
//! Plain wiring of what the configuration says. Listeners hand it connections, the admin API
//! shows and changes it; neither knows the other.

mod desk;
mod fleet;
mod hubs;
pub(crate) mod nodes;
mod reload;
mod routes;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use everwire_backplane::Bus;
use everwire_gateway::{Gateway, GatewayConfig, Pool, health};
use everwire_hub::Cluster;
use tokio::task::JoinSet;

use crate::{
    clock::Moment,
    config::{Admin, Config, Limits},
    metrics::Metrics,
};

pub(crate) use self::{
    desk::{Desk, Found},
    fleet::{FleetError, Ground, NodeBridge, NodeFleet},
    hubs::{Hubs, NodeHub, Undeclarable},
    reload::Leaving,
    routes::{Routes, without_port},
};

/// Everything that is shared in a node.
pub(crate) struct Node {
    pub(crate) gateway: Gateway,
    pub(crate) hubs: Hubs,
    pub(crate) fleet: Option<Arc<NodeFleet>>,
    /// How the node talks to others, if there may be others.
    pub(crate) bus: Option<Arc<dyn Bus>>,
    pub(crate) limits: Limits,
    pub(crate) admin: Admin,
    pub(crate) metrics: Metrics,
    started: Moment,
    phase: AtomicU8,
    listening: OnceLock<Vec<SocketAddr>>,
    wiring: Mutex<Wiring>,
    draining: Mutex<JoinSet<()>>,
}

/// What a reload may change.
struct Wiring {
    config: Config,
    pools: BTreeMap<String, Wired>,
    routes: Arc<Routes>,
}

/// A pool and the task that checks its backends; the task ends with this.
struct Wired {
    pool: Pool,
    _check: JoinSet<()>,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not all listeners are open yet.
    Starting,
    /// Clients are welcome.
    Ready,
    /// Everybody is moved away; load balancers should look elsewhere.
    Draining,
    /// Everybody has been.
    Drained,
    /// The node is stopping: load balancers should look elsewhere.
    Stopping,
}

impl Wired {
    fn new(pool: Pool) -> Self {
        let mut check = JoinSet::new();
        if pool.health_check().is_some() {
            check.spawn(health::watch(pool.clone()));
        }
        Self { pool, _check: check }
    }
}

impl Node {
    /// Wires a node; nothing listens yet. `limits` may be narrower than the configuration's when
    /// the system gives less, each hub has `shards` of them, and `cluster` is this node among others.
    ///
    /// # Errors
    /// If a hub cannot be made of what the configuration declares.
    pub(crate) fn new(
        config: Config,
        limits: Limits,
        shards: NonZeroUsize,
        bus: Option<Arc<dyn Bus>>,
        cluster: Option<Cluster>,
        fleet: Option<NodeFleet>,
    ) -> Result<Self, Undeclarable> {
        let gateway = Gateway::new(GatewayConfig {
            connections_max: limits.connections_max,
            buffered_max: limits.buffered_max,
        });
        let pools: BTreeMap<_, _> = config
            .pools
            .iter()
            .map(|(name, pool)| (name.clone(), Wired::new(Pool::new(name, pool.clone()))))
            .collect();
        let routes = Arc::new(Routes::new(&config.routes, &pools, &gateway));
        let hubs = Hubs::new(&config.hubs, shards, bus.as_ref(), cluster)?;
        let fleet = fleet.map(Arc::new);
        let metrics = Metrics::new(&gateway, &hubs, fleet.as_ref(), bus.as_ref());
        let admin = config.admin.clone();
        Ok(Self {
            gateway,
            hubs,
            fleet,
            bus,
            limits,
            admin,
            metrics,
            started: Moment::now(),
            phase: AtomicU8::new(Phase::Starting as u8),
            listening: OnceLock::new(),
            wiring: Mutex::new(Wiring { config, pools, routes }),
            draining: Mutex::default(),
        })
    }

    /// The routes as they are at this moment.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.wiring().routes)
    }

    /// One pool.
    pub(crate) fn pool(&self, name: &str) -> Option<Pool> {
        self.wiring().pools.get(name).map(|wired| wired.pool.clone())
    }

    /// All pools by name.
    pub(crate) fn pools(&self) -> Vec<(String, Pool)> {
        let wiring = self.wiring();
        wiring.pools.iter().map(|(name, wired)| (name.clone(), wired.pool.clone())).collect()
    }

    /// How many clients all hubs and the fleet have.
    pub(crate) fn clients(&self) -> usize {
        self.hubs.connected() + self.fleet.as_ref().map_or(0, |fleet| fleet.fleet.hub().connected())
    }

    /// How long the node runs.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Draining,
            3 => Phase::Drained,
            _ => Phase::Stopping,
        }
    }

    /// The phase in a word.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase() {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
            Phase::Drained => "drained",
            Phase::Stopping => "stopping",
        }
    }

    /// How long others have to look elsewhere before this node stops or is emptied, and over how long
    /// its clients go.
    pub(crate) fn stop(&self) -> (Duration, Duration) {
        let stop = &self.wiring().config.stop;
        (stop.announce, stop.window)
    }

    /// What empties the node; ends with it.
    fn draining(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on in life; there is no way back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }

    /// Where clients connect.
    pub(crate) fn listening(&self) -> &[SocketAddr] {
        self.listening.get().map_or(&[], Vec::as_slice)
    }

    /// Says where clients connect, once the listeners are open.
    pub(crate) fn set_listening(&self, addresses: Vec<SocketAddr>) {
        let set_before = self.listening.set(addresses).is_err();
        debug_assert!(!set_before, "a node opens its listeners once");
    }

    /// Held for a moment, never across an await. Nothing inside can be half changed by a panic.
    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
