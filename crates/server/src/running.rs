//! A node with its listeners open: started, told signals, stopped.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use everwire_hub::{Cluster, ClusterError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::AdminListener,
    config::{self, Config, Limits, Stop},
    listen::{Listeners, Shards},
    node::{Leaving, Node, Phase, Undeclarable},
};

/// A running node.
pub(crate) struct Running {
    pub(crate) node: Arc<Node>,
    pub(crate) admin: SocketAddr,
    shards: Shards,
    admin_stop: CancellationToken,
    admin_task: JoinSet<()>,
    /// Backends being left after a reload.
    moves: JoinSet<()>,
    stop: Stop,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The clients' listener.
    #[error(
        "cannot listen on {address}: {error}. {} Another address is given with --listen ADDR or the \
         key listen.",
        reason(error)
    )]
    Listen { address: SocketAddr, error: io::Error },
    /// The admin listener.
    #[error(
        "cannot listen on {address} for the admin API: {error}. {} Another address is given with \
         --admin ADDR or the key admin.listen.",
        reason(error)
    )]
    Admin { address: SocketAddr, error: io::Error },
    /// The other nodes' listener.
    #[error(
        "cannot listen on {address} for other nodes: {error}. {} Another address is given with the \
         key cluster.listen.",
        reason(error)
    )]
    Nodes { address: SocketAddr, error: io::Error },
    /// The cluster: a mistake that the configuration did not find.
    #[error("this is no node of a cluster: {0}")]
    Cluster(#[from] ClusterError),
    /// A hub.
    #[error(transparent)]
    Hub(#[from] Undeclarable),
    /// The system gives no threads.
    #[error("cannot start the shards: {0}")]
    Shards(io::Error),
}

impl Running {
    /// Opens everything; clients are accepted when this returns.
    pub(crate) async fn start(config: Config) -> Result<Self, StartError> {
        let limits = within_descriptors(&config.limits);
        let listen_on = |(address, error)| StartError::Listen { address, error };
        let shards = shards(config.shards);
        let listeners = Listeners::open(&config.listen, shards.get()).map_err(listen_on)?;
        let address = config.admin.listen;
        let admin = AdminListener::bind(address)
            .await
            .map_err(|error| StartError::Admin { address, error })?;
        let stop = config.stop.clone();
        let nodes = config.cluster.as_ref().map(|cluster| open_cluster(cluster, shards.get()));
        let (nodes, cluster) = nodes.transpose()?.unzip();
        let node = Arc::new(Node::new(config, limits, shards, cluster)?);
        node.set_listening(listeners.addresses().to_vec());
        let shards = listeners.start(nodes, &node).map_err(StartError::Shards)?;
        node.enter(Phase::Ready);
        let (admin_stop, mut admin_task) = (CancellationToken::new(), JoinSet::new());
        let address = admin.address();
        admin_task.spawn(admin.run(Arc::clone(&node), admin_stop.clone()));
        Ok(Self {
            node,
            admin: address,
            shards,
            admin_stop,
            admin_task,
            moves: JoinSet::new(),
            stop,
        })
    }

    /// Takes over what of a new configuration can change while running. Backends that are gone
    /// from it are left in the background.
    pub(crate) fn reload(&mut self, config: Config) {
        while self.moves.try_join_next().is_some() {}
        for Leaving { pool, backend } in self.node.reload(config) {
            let gateway = self.node.gateway.clone();
            self.moves.spawn(async move {
                match gateway.remove_backend(&pool, backend).await {
                    Ok(()) => tracing::info!(pool = pool.name(), %backend, "backend is left"),
                    Err(error) => tracing::warn!(pool = pool.name(), %error, "backend not removed"),
                }
            });
        }
    }

    /// Moves clients away gently: announce, close the listeners, close the sessions over a window.
    /// Resolves when no session is left or the patience is over.
    pub(crate) async fn drain(&self) {
        self.node.enter(Phase::Stopping);
        tracing::info!(announce = ?self.stop.announce, "stopping: /readyz says 503");
        tokio::time::sleep(self.stop.announce).await;
        self.shards.stop_accepting();
        self.close_over(self.stop.window).await;
        self.close_all().await;
    }

    /// Closes all sessions with 1001 at once, and tells the clients of hubs to reconnect; waits a
    /// moment for their goodbyes.
    pub(crate) async fn close_all(&self) {
        self.node.enter(Phase::Stopping);
        self.shards.stop_accepting();
        let (gateway, hubs) = (&self.node.gateway, &self.node.hubs);
        gateway.stop();
        hubs.stop();
        let gone = async { tokio::join!(gateway.idle(), hubs.stopped()) };
        if tokio::time::timeout(GOODBYE, gone).await.is_err() {
            let (totals, clients) = (gateway.totals(), hubs.connected());
            tracing::warn!(
                left = totals.pipes,
                requests = totals.requests,
                clients,
                "sessions were cut off: their clients did not answer the close"
            );
        }
    }

    /// Ends all threads.
    pub(crate) async fn end(mut self) {
        self.shards.stop();
        self.admin_stop.cancel();
        while self.admin_task.join_next().await.is_some() {}
    }

    /// Closes sessions a few at a time, so that their clients come back to the next node spread
    /// over `window` and not in one instant.
    async fn close_over(&self, window: Duration) {
        let (gateway, hubs) = (&self.node.gateway, &self.node.hubs);
        gateway.refuse_new();
        hubs.refuse_new();
        let totals = gateway.totals();
        let most = usize::try_from(totals.pipes.max(totals.requests)).unwrap_or(usize::MAX);
        let sessions = most.max(hubs.connected());
        if sessions == 0 || window.is_zero() {
            return;
        }
        tracing::info!(sessions, ?window, "closing sessions");
        let ticks = usize::try_from(window.as_millis() / TICK_MIN.as_millis()).unwrap_or(1);
        let batch = sessions.div_ceil(ticks.max(1));
        let batches = u32::try_from(sessions.div_ceil(batch)).unwrap_or(u32::MAX);
        let mut tick = tokio::time::interval(window / batches);
        for _ in 0..batches {
            tick.tick().await;
            gateway.stop_some(batch);
            hubs.stop_some(batch);
        }
    }
}

/// What an operator would look at first when an address cannot be listened on.
fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "Is another node running?",
        io::ErrorKind::AddrNotAvailable => "This machine has no such address; 0.0.0.0 means all.",
        io::ErrorKind::PermissionDenied => "Ports below 1024 need CAP_NET_BIND_SERVICE.",
        _ => "The system does not allow it.",
    }
}

/// Opens the other nodes' listener, for each shard, and makes this node one of them.
fn open_cluster(
    cluster: &config::Cluster,
    shards: usize,
) -> Result<(Listeners, Cluster), StartError> {
    let listen_on = |(address, error)| StartError::Nodes { address, error };
    let listeners = Listeners::open(&[cluster.listen], shards).map_err(listen_on)?;
    let listening = listeners.addresses().first().copied().unwrap_or(cluster.listen);
    let cluster = cluster.join(listening)?;
    tracing::info!(%listening, advertise = cluster.advertise(), "listening to other nodes");
    Ok((listeners, cluster))
}

fn shards(wanted: usize) -> NonZeroUsize {
    let processors = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(wanted).unwrap_or_else(processors)
}

/// Asks for as many file descriptors as the system allows, and takes no more clients than those
/// can serve: each has one for itself and one reserved for its backend.
fn within_descriptors(limits: &Limits) -> Limits {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let mut limits = limits.clone();
    let descriptors = limit.current.and_then(|count| usize::try_from(count).ok());
    let fits = descriptors.map(|count| count.saturating_sub(RESERVED_DESCRIPTORS) / 2);
    if let Some(fits) = fits.filter(|fits| *fits < limits.connections_max) {
        tracing::warn!(
            open_files = descriptors,
            connections_max = fits,
            "the limit of open files allows fewer clients than limits.connections_max; raise it \
             (ulimit -n, LimitNOFILE=)"
        );
        limits.connections_max = fits.max(1);
    }
    limits
}

/// Listeners, logs, runtimes, admin connections, clients being refused.
const RESERVED_DESCRIPTORS: usize = 512;

/// How long clients have to answer a close.
const GOODBYE: Duration = Duration::from_secs(3);

/// Sessions are closed one by one, or in batches where that would be closer together than this.
const TICK_MIN: Duration = Duration::from_millis(20);
