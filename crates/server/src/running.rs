//! A node with its listeners open: started, told signals, stopped.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use everwire_backplane::{
    Bus,
    redis::{InvalidConfig, Redis},
};
use everwire_hub::{Cluster, ClusterError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::AdminListener,
    config::{self, Config, Limits, Stop},
    listen::{Listeners, Shards},
    node::{FleetError, Ground, Leaving, Node, NodeFleet, Phase, Undeclarable, nodes},
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
    /// The fleet.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The backplane's address, which the configuration did not find wrong.
    #[error("cannot use the backplane: {0}")]
    Backplane(#[from] InvalidConfig),
    /// The system gives no threads.
    #[error("cannot start the shards: {0}")]
    Shards(io::Error),
}

impl Running {
    /// Opens everything; clients are accepted when this returns.
    pub(crate) async fn start(config: Config) -> Result<Self, StartError> {
        let limits = within_descriptors(&config.limits, !config.routes.is_empty());
        let listen_on = |(address, error)| StartError::Listen { address, error };
        let shards = shards(config.shards);
        let listeners = Listeners::open(&config.listen, shards.get()).map_err(listen_on)?;
        let address = config.admin.listen;
        let admin = AdminListener::bind(address)
            .await
            .map_err(|error| StartError::Admin { address, error })?;
        let stop = config.stop.clone();
        let redis = config.backplane.redis().map(Redis::start).transpose()?.map(Arc::new);
        let nodes = config.cluster.as_ref().map(|cluster| open_cluster(cluster, shards.get()));
        let (nodes, cluster) = nodes.transpose()?.unzip();
        let fleet = match &config.fleet {
            Some(fleet) => {
                let ground = Ground::open(&fleet.memory, redis.as_ref()).await?;
                Some(
                    NodeFleet::start(fleet, ground, config.cluster.as_ref(), cluster.as_ref())
                        .await?,
                )
            }
            None => None,
        };
        let bus = redis.map(|redis| redis as Arc<dyn Bus>);
        let node = Arc::new(Node::new(config, limits, shards, bus, cluster, fleet)?);
        node.set_listening(listeners.addresses().to_vec());
        let shards = listeners.start(nodes, &node).map_err(StartError::Shards)?;
        node.enter(Phase::Ready);
        let (admin_stop, mut admin_task) = (CancellationToken::new(), JoinSet::new());
        let address = admin.address();
        admin_task.spawn(admin.run(Arc::clone(&node), admin_stop.clone()));
        let answering =
            admin_stop.clone().run_until_cancelled_owned(nodes::answer(Arc::clone(&node)));
        admin_task.spawn(async move {
            answering.await;
        });
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

    /// Moves clients away gently: announce, close the listeners, close the sessions over a window. In a
    /// cluster the listeners stay open, and sessions of hubs move. Resolves when no session is left or the patience is over.
    pub(crate) async fn drain(&self) {
        self.node.enter(Phase::Stopping);
        tracing::info!(announce = ?self.stop.announce, "stopping: /readyz says 503");
        tokio::time::sleep(self.stop.announce).await;
        // Sessions move to other nodes, and their clients come back here first.
        let keeps_listening = self.node.hubs.cluster.is_some();
        if !keeps_listening {
            self.shards.stop_accepting();
        }
        self.node.empty(self.stop.window).await;
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
        // What instances are told and say last is written down by the fleet itself.
        let fleet = async {
            if let Some(fleet) = &self.node.fleet {
                fleet.fleet.stop().await;
            }
        };
        let gone = async { tokio::join!(fleet, gateway.idle(), hubs.stopped()) };
        if tokio::time::timeout(GOODBYE, gone).await.is_err() {
            let (totals, clients) = (gateway.totals(), self.node.clients());
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
        if let Some(bus) = &self.node.bus {
            // Others that do not hear of it see the node expire.
            let _ = tokio::time::timeout(GOODBYE, bus.leave()).await;
        }
        self.admin_stop.cancel();
        while self.admin_task.join_next().await.is_some() {}
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
/// can serve: each has one for itself and, where there are backends, one reserved for its backend.
fn within_descriptors(limits: &Limits, has_backends: bool) -> Limits {
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
    let each = 1 + usize::from(has_backends);
    let fits = descriptors.map(|count| count.saturating_sub(RESERVED_DESCRIPTORS) / each);
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
