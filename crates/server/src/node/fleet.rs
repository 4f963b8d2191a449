//! The fleet of a node: where it remembers, who is let in, what comes into it from elsewhere.

mod bridges;
mod hooks;
mod key;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use everwire_backplane::{
    Bus, Log,
    journal::{Journal, JournalError, Opened},
    memory,
    redis::{InvalidConfig, Redis},
};
use everwire_fleet::{Fleet, FleetConfig, FleetService, Hooks, fleet, hook::BadHook};
use everwire_hub::{Cluster, HubService};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{sleep, timeout};

pub(crate) use self::bridges::NodeBridge;
use self::hooks::NodeHooks;
use crate::config::{self, Memory};

/// The node's end of the fleet.
#[derive(Debug)]
pub(crate) struct NodeFleet {
    pub(crate) path: String,
    pub(crate) fleet: Fleet,
    /// How long a client may take nothing of what it is sent.
    pub(super) send_timeout: Duration,
    /// Requests that were answered with an error.
    pub(crate) refused: Counter,
    /// What is posted to hooks, if there are any.
    hooks: Option<Arc<NodeHooks>>,
    pub(crate) bridges: Vec<NodeBridge>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// The journal.
    #[error("the fleet cannot remember: {0}. Another file is given with the key fleet.journal.")]
    Journal(#[from] JournalError),
    /// The Redis does not say what it keeps.
    #[error(
        "the fleet cannot remember: the Redis of backplane.url does not say whether it appends to \
         disk: {0}. With fleet.durability = \"volatile\" it is not asked."
    )]
    Unknown(everwire_backplane::LogUnreachable),
    /// The Redis forgets.
    #[error(
        "the fleet cannot remember: the Redis of backplane.url forgets when it is restarted. Set \
         appendonly yes there, or accept it with fleet.durability = \"volatile\"."
    )]
    Forgetful,
    /// The file beside the journal.
    #[error("the key for secret values in {path} cannot be used: {error}")]
    Key { path: PathBuf, error: io::Error },
    /// What is in it, or in the cluster's secrets.
    #[error("secret values have no good key: {0}")]
    Secrets(String),
    /// A hook: a mistake that the configuration did not find.
    #[error(transparent)]
    Hook(#[from] BadHook),
    /// A bridge: the same.
    #[error("a bridge cannot be made: {0}")]
    Bridge(#[from] InvalidConfig),
    /// The rest: a mistake that the configuration did not find.
    #[error("the fleet cannot be made: {0}")]
    Start(#[from] fleet::StartError),
}

/// What nodes have between them and remember by.
pub(crate) struct Ground {
    bus: Arc<dyn Bus>,
    log: Arc<dyn Log>,
}

impl Ground {
    /// Where a fleet stands: the backplane's Redis, a file, or this process alone.
    pub(crate) async fn open(
        memory: &Memory,
        redis: Option<&Arc<Redis>>,
    ) -> Result<Self, FleetError> {
        if let Some(redis) = redis {
            if *memory == Memory::Redis {
                check_durability(redis).await?;
            }
            let (bus, log) = (Arc::clone(redis) as Arc<dyn Bus>, Arc::clone(redis) as Arc<dyn Log>);
            return Ok(Self { bus, log });
        }
        let cluster = memory::Cluster::default();
        let bus = Arc::new(cluster.node());
        Ok(match memory {
            Memory::Journal(path) => Self { bus, log: Arc::new(open_journal(path)?) },
            _ => Self { bus, log: Arc::new(cluster) },
        })
    }
}

impl NodeFleet {
    /// Starts the fleet; nobody runs its hub yet.
    pub(crate) async fn start(
        config: &config::Fleet,
        ground: Ground,
        secrets: Option<&config::Cluster>,
        cluster: Option<&Cluster>,
    ) -> Result<Self, FleetError> {
        let Ground { bus, log } = ground;
        let limits = FleetConfig {
            path: config.path.clone(),
            hub: config.limits.clone(),
            instances_kept: config.instances_kept,
            commands_kept: config.commands_kept,
            grants: config.tokens.clone(),
            sealer: Arc::new(key::sealer(&config.memory, secrets)?),
            ..FleetConfig::default()
        };
        let fleet = Fleet::start(limits, Arc::clone(&bus), log, cluster).await?;
        let hooks = NodeHooks::new(&config.hooks, fleet.clone())?;
        Ok(Self {
            path: config.path.clone(),
            send_timeout: config.limits.send_timeout,
            refused: Counter::default(),
            hooks: (!config.hooks.is_empty()).then(|| Arc::new(hooks)),
            bridges: bridges::start(&config.bridges, &bus, &fleet)?,
            fleet,
        })
    }

    /// What answers requests, with connections on a shard's hub.
    pub(super) fn service(&self, hub: HubService) -> FleetService {
        let hooks = self.hooks.clone().map(|hooks| hooks as Arc<dyn Hooks>);
        self.fleet.service(hooks).with_hub(hub)
    }

    /// Takes new tokens over: who may not stay any more goes.
    pub(super) fn reload(&self, config: &config::Fleet) {
        if self.fleet.grants() != config.tokens {
            self.fleet.update_access(config.tokens.clone());
            tracing::info!("the fleet's tokens are reloaded");
        }
    }

    /// How many instances are here, on all nodes, and how many are expected back.
    pub(crate) fn present_and_away(&self) -> (usize, usize) {
        self.fleet.read(|ledger| {
            let roster = ledger.roster();
            (roster.present(), roster.len() - roster.present())
        })
    }
}

fn open_journal(path: &Path) -> Result<Journal, JournalError> {
    let (journal, Opened { entries, .. }) = Journal::open(path)?;
    tracing::info!(journal = %path.display(), entries, "the fleet remembers");
    Ok(journal)
}

/// A Redis that is started together with this node may take a moment to answer.
async fn check_durability(redis: &Redis) -> Result<(), FleetError> {
    let answered = timeout(ANSWER_WITHIN, async {
        loop {
            match redis.durability().await {
                Ok(durability) => return durability,
                Err(error) => tracing::warn!(%error, "the backplane does not answer; asking again"),
            }
            sleep(ASK_AGAIN).await;
        }
    });
    let Ok(durability) = answered.await else {
        return redis.durability().await.map_err(FleetError::Unknown).and_then(judge);
    };
    judge(durability)
}

fn judge(durability: everwire_backplane::redis::Durability) -> Result<(), FleetError> {
    if durability.appends { Ok(()) } else { Err(FleetError::Forgetful) }
}

/// How long a node waits at its start for a Redis that does not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(500);
