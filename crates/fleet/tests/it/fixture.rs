//! Nodes of a fleet over one memory backplane, and instances that connect to them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use everwire_backplane::{Bus, Log, NodeId, memory};
use everwire_client::{Answer, Client, Connection, ReconnectPolicy, State, Transport};
use everwire_fleet::{
    Fleet, FleetConfig,
    command::{CommandId, Outcome},
    fleet::{CommandState, NewCommand, Presence, Progress},
    name::InstanceName,
    target::{Pattern, Target},
};
use everwire_testkit::wait::{eventually, soon, until_equal};
use serde::Deserialize;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

/// Some nodes.
pub(crate) struct Site {
    pub(crate) backplane: memory::Cluster,
    pub(crate) nodes: Vec<Node>,
}

/// One of them.
pub(crate) struct Node {
    pub(crate) fleet: Fleet,
    pub(crate) address: SocketAddr,
    pub(crate) id: NodeId,
    _server: JoinSet<()>,
}

/// A command as an instance is given it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Given {
    pub(crate) id: CommandId,
    pub(crate) name: String,
    pub(crate) args: Value,
    pub(crate) deadline: u64,
    pub(crate) cluster: String,
}

/// What an instance answers to a command.
pub(crate) type Says = Arc<dyn Fn(Given) -> Result<Value, String> + Send + Sync>;

/// An instance that is connected, and what it was given.
pub(crate) struct Instance {
    pub(crate) connection: Connection,
    pub(crate) given: Arc<Mutex<Vec<Given>>>,
}

impl Site {
    pub(crate) async fn of(count: usize) -> Self {
        Self::with(count, &FleetConfig::default()).await
    }

    pub(crate) async fn with(count: usize, config: &FleetConfig) -> Self {
        let backplane = memory::Cluster::default();
        let mut site = Self { backplane, nodes: Vec::new() };
        for _ in 0..count {
            site.add(config.clone()).await;
        }
        site
    }

    /// One more node.
    pub(crate) async fn add(&mut self, config: FleetConfig) {
        let node = Arc::new(self.backplane.node());
        let log = Arc::new(self.backplane.clone());
        self.add_over(node, log, config).await;
    }

    /// One more node, over whatever.
    pub(crate) async fn add_over(
        &mut self,
        bus: Arc<dyn Bus>,
        log: Arc<dyn Log>,
        config: FleetConfig,
    ) {
        let id = bus.member().node;
        let fleet = soon("a node", Fleet::start(config, bus, log, None)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().nest_service("/fleet", fleet.hub().service());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        self.nodes.push(Node { fleet, address, id, _server: server });
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.nodes[0].fleet
    }

    /// Waits until every node knows that so many are there, and so many away.
    pub(crate) async fn until_known(&self, present: usize, away: usize) {
        for node in &self.nodes {
            let known = async || {
                let page = node.fleet.instances(&Target::default(), None, 1000);
                let away = page.items.iter().filter(|there| there.state == Presence::Away).count();
                (page.total - away, away)
            };
            until_equal("instances that are known", (present, away), known).await;
        }
    }

    /// Waits until every node knows a command as finished.
    pub(crate) async fn until_finished(&self, id: CommandId) -> CommandState {
        for node in &self.nodes {
            node.until(id, |state| state.missing.is_empty()).await;
        }
        let state = self.fleet().command(id).unwrap();
        assert_ne!(state.summary.state, Progress::Running);
        state
    }
}

impl Node {
    pub(crate) fn url(&self, name: &str) -> String {
        let name: InstanceName = name.parse().unwrap();
        let [app, index, id] = name.parts();
        format!("http://{}/fleet?app={app}&index={index}&id={id}", self.address)
    }

    /// An instance that answers as it is told.
    pub(crate) async fn join_with(&self, name: &str, says: Says) -> Instance {
        connect(Client::builder(self.url(name)), says).await
    }

    /// An instance that does everything.
    pub(crate) async fn join(&self, name: &str) -> Instance {
        self.join_with(name, says(|_| Ok(Value::Null))).await
    }

    /// Waits for a state of a command.
    pub(crate) async fn until(
        &self,
        id: CommandId,
        is_wanted: impl Fn(&CommandState) -> bool,
    ) -> CommandState {
        let state = async || self.fleet.command(id).filter(|state| is_wanted(state));
        eventually("a state of the command", state).await
    }
}

impl Instance {
    /// The arguments that it was given, as text, in order.
    pub(crate) fn args(&self) -> Vec<String> {
        let given = self.given.lock().unwrap();
        given.iter().map(|given| given.args.as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) async fn until_args(&self, wanted: &[&str]) {
        let wanted: Vec<_> = wanted.iter().map(|arg| (*arg).to_owned()).collect();
        until_equal("what an instance was given", wanted, async || self.args()).await;
    }

    /// Whether it has been told that it has its name.
    pub(crate) fn is_connected(&self) -> bool {
        matches!(*self.connection.state().borrow(), State::Connected { .. })
    }
}

/// A connection of an instance; its answers are what it says.
pub(crate) async fn connect(builder: everwire_client::ClientBuilder, says: Says) -> Instance {
    let given = Arc::<Mutex<Vec<Given>>>::default();
    let seen = Arc::clone(&given);
    let connection = builder
        .transports([Transport::WebSockets])
        .skip_negotiation()
        .reconnect(ReconnectPolicy::Unlimited {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(200),
        })
        .on("Command", move |command: Given| {
            seen.lock().unwrap().push(command.clone());
            says(command).map(Answer)
        });
    let connection = soon("a connection", connection.connect()).await.unwrap();
    Instance { connection, given }
}

pub(crate) fn says(
    answer: impl Fn(Given) -> Result<Value, String> + Send + Sync + 'static,
) -> Says {
    Arc::new(answer)
}

pub(crate) fn target(pattern: &str) -> Target {
    Target::new(pattern.parse::<Pattern>().unwrap())
}

/// A command whose argument is a text.
pub(crate) fn command(pattern: &str, arg: &str) -> NewCommand {
    NewCommand { args: arg.into(), ..NewCommand::new(target(pattern), "do") }
}

/// How many outcomes of each kind there are.
pub(crate) fn counts(state: &CommandState) -> BTreeMap<&'static str, u32> {
    state.summary.counts.clone()
}

/// What became of a command at an instance.
pub(crate) fn outcome(state: &CommandState, instance: &str) -> (Outcome, Option<String>) {
    let said = state.outcomes.iter().find(|said| said.instance.as_str() == instance).unwrap();
    (said.outcome, said.detail.as_deref().map(str::to_owned))
}
