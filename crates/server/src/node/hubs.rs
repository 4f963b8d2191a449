//! The hubs of a node, and which requests are theirs.
//!
//! A hub has as many shards as the node has threads, each run by one of them: a connection that a
//! thread accepts is served there for life.

use std::{collections::BTreeMap, future::ready, num::NonZeroUsize, sync::Arc, time::Duration};

use everwire_backplane::Bus;
use everwire_hub::{Channel, Cluster, Denied, Hub, HubBuilder};
use prometheus_client::metrics::counter::Counter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config, problem::Problem, rest::access::Tokens};

/// All hubs of a node.
pub(crate) struct Hubs {
    list: Vec<Arc<NodeHub>>,
    /// This node among others, if there are any.
    pub(crate) cluster: Option<Cluster>,
    /// Connections that ask for one thing after another.
    pub(crate) requests: TaskTracker,
    /// Tells those that the node stops.
    pub(crate) stop: CancellationToken,
}

/// One hub of the node.
#[derive(Debug)]
pub(crate) struct NodeHub {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) hub: Hub,
    /// How long a client may take nothing of what it is sent.
    pub(super) send_timeout: Duration,
    /// What lets publishers and clients in by a token, if the hub asks for one.
    pub(crate) tokens: Option<Tokens>,
    /// Requests that were answered with an error.
    pub(crate) refused: Counter,
}

/// A hub cannot be made of what is declared: a mistake that the configuration did not find.
#[derive(Debug, thiserror::Error)]
#[error("the hub {name} cannot be made: {error}")]
pub(crate) struct Undeclarable {
    name: String,
    error: everwire_hub::method::MethodsError,
}

impl Hubs {
    /// Makes the hubs; nobody runs them yet.
    pub(crate) fn new(
        hubs: &BTreeMap<String, config::Hub>,
        shards: NonZeroUsize,
        bus: Option<&Arc<dyn Bus>>,
        cluster: Option<Cluster>,
    ) -> Result<Self, Undeclarable> {
        let made = |(name, hub): (&String, _)| {
            NodeHub::new(name, hub, shards, bus, cluster.as_ref()).map(Arc::new)
        };
        let list = hubs.iter().map(made).collect::<Result<_, _>>()?;
        Ok(Self { list, cluster, requests: TaskTracker::new(), stop: CancellationToken::new() })
    }

    /// One hub by its name.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<NodeHub>> {
        self.list.iter().find(|hub| hub.name == name)
    }

    /// What to say of a hub that is not there.
    pub(crate) fn unknown(&self, name: &str) -> Problem {
        let names: Vec<_> = self.iter().map(|hub| hub.name.as_str()).collect();
        Problem::unknown("hub", name, &names)
    }

    /// All hubs in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<NodeHub>> {
        self.list.iter()
    }

    /// How many clients all hubs have.
    pub(crate) fn connected(&self) -> usize {
        self.iter().map(|hub| hub.hub.connected()).sum()
    }

    /// Tells all clients that the node stops.
    pub(crate) fn stop(&self) {
        self.iter().for_each(|hub| hub.hub.stop());
    }

    /// Resolves when all clients of the stopped hubs have gone, and what was said to them last is
    /// written.
    pub(crate) async fn stopped(&self) {
        for hub in self.iter() {
            hub.hub.stopped().await;
        }
        self.stop.cancel();
        self.requests.close();
        self.requests.wait().await;
    }
}

impl NodeHub {
    fn new(
        name: &str,
        hub: &config::Hub,
        shards: NonZeroUsize,
        bus: Option<&Arc<dyn Bus>>,
        cluster: Option<&Cluster>,
    ) -> Result<Self, Undeclarable> {
        // Groups are memberships, which are counted together with names.
        let groups_max = hub.declaration.memberships_max;
        let config = everwire_hub::HubConfig { groups_max, ..hub.config.clone() };
        let builder = Hub::builder().config(config).shards(shards);
        let builder = match cluster {
            Some(cluster) => builder.cluster(cluster, name),
            None => builder,
        };
        let builder = match &hub.access {
            Some(access) => guarded(builder, access),
            None => builder,
        };
        // A hub's name is much shorter than a channel's may be.
        let channel = Channel::new(format!("hubs/{name}")).ok();
        let builder = match bus.zip(channel) {
            Some((bus, channel)) => builder.backplane(Arc::clone(bus), channel),
            None => builder,
        };
        let builder = match &hub.history {
            Some(history) => builder.history(history.to_hub()),
            None => builder,
        };
        let made = hub.declaration.clone().declare(builder).build();
        let undeclarable = |error| Undeclarable { name: name.to_owned(), error };
        Ok(Self {
            name: name.to_owned(),
            path: hub.path.clone(),
            send_timeout: hub.config.send_timeout,
            hub: made.map_err(undeclarable)?,
            tokens: hub.access.as_ref().map(Tokens::new),
            refused: Counter::default(),
        })
    }
}

/// Lets only those in who bring a good token.
fn guarded(builder: HubBuilder, access: &config::Access) -> HubBuilder {
    let keys = Arc::new(access.keys());
    builder.authenticate(move |request| {
        let identity = keys.identify(&request);
        ready(identity.and_then(|identity| identity.ok_or(Denied::Unauthorized)))
    })
}
