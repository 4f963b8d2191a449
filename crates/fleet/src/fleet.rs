//! The fleet as an application or an administrator holds it.

mod look;
mod request;

use std::{
    fmt,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use everwire_backplane::{Bus, Channel, Log};
use everwire_hub::{Cluster, Hub, HubConfig};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    look::{
        CommandPage, CommandState, CommandSummary, InstancePage, InstanceState, Missing, PAGE_MAX,
        Presence, Progress, Said,
    },
    request::{
        ARGS_MAX, Accepted, CancelError, DEADLINE_MAX, KEY_MAX, NAME_MAX, NewCommand, NotACommand,
        SendError,
    },
};
use crate::{
    FleetService, Hooks, WallClock,
    access::Grants,
    book::{Books, Cursor, Keeping},
    command::CommandId,
    duties::Keep,
    entry::{Event, write_event},
    events::EventStream,
    gate::Gate,
    hub,
    ledger::{Ledger, SETS_MAX, commands::Command},
    lobby::{Lobby, SILENT_MAX},
    name::InstanceName,
    node::Node,
    seal::Sealer,
    sets::Sets,
    shelf::Shelf,
    steward::Steward,
    target::Target,
};

/// What a fleet keeps, and for how long.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The hub's name in the cluster; by custom the path that it is mounted at. Default: `/fleet`.
    pub path: String,
    /// Limits and timeouts of the hub.
    pub hub: HubConfig,
    /// How long an instance that is away is known: commands wait for it, and lists name it. Default:
    /// 24 h, a night and a day.
    pub instances_kept: Duration,
    /// How many commands are known, those aside that are not finished. Default: 1,000. Fewer if they
    /// are for very many instances, or large.
    pub commands_kept: usize,
    /// How long a command is known. Default: 7 days.
    pub commands_age: Duration,
    /// The time of day.
    pub clock: WallClock,
    /// Who may do what. Default: everybody everything, which is for a fleet that only its own machine
    /// reaches.
    pub grants: Grants,
    /// What seals secret values, the same on all nodes. Default: nothing, so that there are none.
    pub sealer: Arc<Sealer>,
    /// How long a connection may stay that neither joins nor watches anything. Default: 30 s.
    pub silent_max: Duration,
    /// Sets that may be in use on this node at once. Default: 10,000.
    pub sets_max: usize,
}

/// A fleet. Cheap to clone; every clone is the same.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    hub: Hub,
    path: String,
    tasks: Mutex<JoinSet<()>>,
}

/// Why there is no fleet.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its hub cannot be built.
    #[error(transparent)]
    Hub(#[from] everwire_hub::method::MethodsError),
    /// A name is none.
    #[error(transparent)]
    Name(#[from] everwire_backplane::InvalidName),
}

impl Fleet {
    /// A fleet over a bus and a log of the same backplane, served by this node and by all others that
    /// have the same; with a `cluster` any of them answers any request of an instance.
    ///
    /// Ready when what is known has been read, or after some seconds: a node whose backplane is away
    /// starts nevertheless, and knows the fleet when that is back.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: FleetConfig,
        bus: Arc<dyn Bus>,
        log: Arc<dyn Log>,
        cluster: Option<&Cluster>,
    ) -> Result<Self, StartError> {
        let books = Books::new(bus, log, CancellationToken::new());
        let ledger = books.open::<Ledger>(Channel::new(LEDGER)?, KEEPING);
        let (gate, lobby) = (Gate::new(config.grants), Lobby::new(config.silent_max));
        let shelf = Shelf::new(books, config.sealer, gate, lobby, config.sets_max);
        let node = Arc::new(Node::new(ledger, config.clock, shelf));
        // The largest snapshot fits behind something that waits already.
        let queue_max = config.hub.queue_max.max(SNAPSHOT_ROOM);
        let mut builder = hub::builder(&node).config(HubConfig { queue_max, ..config.hub });
        if let Some(cluster) = cluster {
            builder = builder.cluster(cluster, config.path.clone());
        }
        let hub = builder.build()?;
        let keep = Keep {
            instances: config.instances_kept,
            commands: config.commands_kept,
            commands_age: config.commands_age,
        };
        let steward = Steward::new(Arc::clone(&node), hub.clone(), keep).run();
        let writes = Arc::clone(&node.facts).write(node.ledger.clone());
        let (stop, mut tasks) = (node.books.stop().clone(), JoinSet::new());
        tasks.spawn(async move { stop.run_until_cancelled(steward).await.unwrap_or(()) });
        let stop = node.books.stop().clone();
        tasks.spawn(async move { stop.run_until_cancelled(writes).await.unwrap_or(()) });
        let (shelf, stop) = (&node.shelf, node.books.stop().clone());
        tasks.spawn(shelf.lobby().clone().run(hub.clone(), shelf.gate().changes(), stop));
        // That it takes longer is said by the book, and is no reason not to start.
        let _ = timeout(START_MAX, node.feed.begun()).await;
        Ok(Self(Arc::new(Inner { node, hub, path: config.path, tasks: Mutex::new(tasks) })))
    }

    /// The hub that instances connect to.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Answers whatever is asked below the fleet's path; `hooks` takes what is posted to hooks, if there
    /// are any.
    pub fn service(&self, hooks: Option<Arc<dyn Hooks>>) -> FleetService {
        let Inner { node, hub, path, .. } = &*self.0;
        FleetService::new(hub.service(), path, node.shelf.clone(), hooks)
    }

    /// From now on these grants count: who may not be here any more goes, and who may not read a set any
    /// more hears no further change of it.
    pub fn update_access(&self, grants: Grants) {
        self.0.node.shelf.gate().replace(grants);
    }

    /// Who may do what.
    pub fn grants(&self) -> Grants {
        self.0.node.shelf.gate().grants()
    }

    #[cfg(test)]
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.0.node.shelf
    }

    pub(crate) fn sets_of_node(&self) -> &Sets {
        &self.0.node.sets
    }

    /// What is known, for who wants more of it than is told here.
    pub fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> R {
        self.0.node.ledger.read(look)
    }

    /// How far what is known goes.
    pub fn cursor(&self) -> Cursor {
        self.0.node.ledger.cursor()
    }

    /// The instances that a target means, in the order of their names: at most `limit` of them behind
    /// one.
    pub fn instances(
        &self,
        target: &Target,
        after: Option<&InstanceName>,
        limit: usize,
    ) -> InstancePage {
        let now = self.0.node.clock.now();
        self.read(|ledger| InstancePage::of(ledger.roster(), target, after, limit, now))
    }

    /// One instance.
    pub fn instance(&self, name: &InstanceName) -> Option<InstanceState> {
        let now = self.0.node.clock.now();
        self.read(|ledger| {
            ledger.roster().get(name).map(|there| InstanceState::of(name, there, now))
        })
    }

    /// Has a command done by all instances that its target means now. When this returns it is written
    /// down: it will be given to each of them that is there, or comes back before the deadline,
    /// whatever becomes of this node.
    ///
    /// # Errors
    /// See [`SendError`]. Who drops this does not know whether the command is accepted, and asks with
    /// the same key.
    pub async fn send(&self, command: NewCommand) -> Result<Accepted, SendError> {
        let node = &self.0.node;
        let order = command.order(node.clock.now())?;
        if let Some(known) = self.find(None, order.key.as_deref()) {
            return Ok(known);
        }
        let (id, key) = (order.id, order.key.clone());
        let bytes = crate::ledger::commands::order_bytes(&order);
        let event = write_event(&Event::Accepted { command: Box::new(order) });
        let version = node.ledger.append(vec![event]).await?;
        node.ledger.reached(version).await?;
        let has_room = || self.read(|ledger| ledger.commands().has_room(0, bytes));
        self.find(Some(id), key.as_deref()).ok_or_else(|| match has_room() {
            // The log was emptied in this moment.
            true => SendError::Lost,
            false => SendError::Full,
        })
    }

    /// What became of a command so far.
    pub fn command(&self, id: CommandId) -> Option<CommandState> {
        self.read(|ledger| {
            ledger.commands().find(id).map(|command| CommandState::of(command, ledger.roster()))
        })
    }

    /// Commands, the newest first: at most `limit` behind one.
    pub fn commands(&self, after: Option<CommandId>, limit: usize) -> CommandPage {
        self.read(|ledger| CommandPage::of(ledger.commands(), after, limit))
    }

    /// Nobody else is to do a command: those who are to do it already do.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub async fn cancel(&self, id: CommandId) -> Result<(), CancelError> {
        let node = &self.0.node;
        if self.read(|ledger| ledger.commands().find(id).is_none()) {
            return Err(CancelError::NoSuchCommand(id));
        }
        let event = Event::Cancelled { command: id, why: None, at: node.clock.now() };
        let version = node.ledger.append(vec![write_event(&event)]).await?;
        Ok(node.ledger.reached(version).await?)
    }

    /// What happens from now on, or after a cursor that an event had.
    pub fn events(&self, after: Option<Cursor>) -> EventStream {
        self.0.node.feed.follow(after)
    }

    /// Takes no more instances, tells those that are here that the hub stops, writes down that they
    /// are away, and ends. Takes some seconds at most.
    pub async fn stop(&self) {
        self.0.hub.stop();
        let facts = &self.0.node.facts;
        let ends = async {
            self.0.hub.stopped().await;
            facts.written().await;
        };
        // What is not written down by then other nodes find out.
        let _ = timeout(STOP_MAX, ends).await;
        self.0.node.books.stop().cancel();
        let mut tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
        self.0.node.shelf.ended().await;
        self.0.node.feed.end();
    }

    /// The command that is known by an id, or by a key.
    fn find(&self, id: Option<CommandId>, key: Option<&str>) -> Option<Accepted> {
        let accepted = |command: &Command| Accepted {
            id: command.order.id,
            expected: command.places().iter().map(|place| place.instance.clone()).collect(),
            repeated: id != Some(command.order.id),
        };
        self.read(|ledger| {
            let commands = ledger.commands();
            let by_key = || commands.find_key(key?);
            id.and_then(|id| commands.find(id)).or_else(by_key).map(accepted)
        })
    }
}

/// How the ledger is kept.
const KEEPING: Keeping = Keeping {
    snapshot_every: NonZeroU64::new(1024).unwrap(),
    entries_kept: 1024,
    read_every: Duration::from_secs(5),
};

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            path: "/fleet".into(),
            hub: HubConfig::default(),
            instances_kept: Duration::from_secs(24 * 60 * 60),
            commands_kept: 1000,
            commands_age: Duration::from_secs(7 * 24 * 60 * 60),
            clock: WallClock::default(),
            grants: Grants::default(),
            sealer: Arc::default(),
            silent_max: SILENT_MAX,
            sets_max: SETS_MAX,
        }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("hub", &self.0.hub).finish_non_exhaustive()
    }
}

/// Bytes that may wait for one instance at least: the largest snapshot of a set, with what surrounds its
/// values, and changes behind it.
const SNAPSHOT_ROOM: usize = 12 << 20;

/// The log of instances and commands.
pub const LEDGER: &str = "fleet/ledger";

/// How long a node waits at its start for what is known.
const START_MAX: Duration = Duration::from_secs(5);

/// How long a node takes to stop.
const STOP_MAX: Duration = Duration::from_secs(10);
