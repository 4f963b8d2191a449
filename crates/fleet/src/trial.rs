//! Nodes of a fleet within one process, and watchers that write down what they hear: for tests of sets.

mod access;
mod events;
mod limits;
mod many;
mod watching;
mod writing;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use everwire_backplane::{Bus, Log, memory::Cluster};
use everwire_client::{Client, Connection, ReconnectPolicy};
use everwire_testkit::wait::{eventually, soon};
use serde_json::Value as Json;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use crate::{
    Fleet, FleetConfig,
    access::{Grant, Right},
    book::Cursor,
    name::SetName,
    seal::Sealer,
    set::{Change, Key, Value},
    sets::{Author, Written},
    shelf::Shelf,
};

/// A node that serves `/fleet`. It is killed with this.
pub(crate) struct Node {
    pub(crate) fleet: Fleet,
    pub(crate) address: SocketAddr,
    _bus: Arc<dyn Bus>,
    _tasks: JoinSet<()>,
}

/// What a watcher heard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Snapshot(Json),
    Changed(Json),
    Gap(Json),
}

/// A client that watches.
pub(crate) struct Watcher {
    pub(crate) connection: Connection,
    heard: mpsc::Receiver<Heard>,
}

impl Node {
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        Self::start_as(cluster, FleetConfig::default()).await
    }

    pub(crate) async fn start_as(cluster: &Cluster, config: FleetConfig) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(cluster.node());
        let log: Arc<dyn Log> = Arc::new(cluster.clone());
        let sealer = Arc::new(Sealer::new(["the secret of this year"]).unwrap());
        let config = FleetConfig { sealer, ..config };
        let fleet = Fleet::start(config, Arc::clone(&bus), log, None).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().nest_service("/fleet", fleet.service(None));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { fleet, address, _bus: bus, _tasks: tasks }
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        self.fleet.shelf()
    }

    pub(crate) fn client(&self, query: &str) -> everwire_client::ClientBuilder {
        Client::builder(format!("http://{}/fleet?{query}", self.address))
    }

    /// A watcher by its URL.
    pub(crate) async fn watcher(&self, query: &str) -> Watcher {
        Watcher::connect(self.client(query)).await
    }

    pub(crate) async fn put(&self, set: &SetName, key: &str, value: &str) -> Written {
        self.change(set, &[put(key, value)]).await
    }

    pub(crate) async fn change(&self, set: &SetName, changes: &[Change]) -> Written {
        let changed = self.fleet.change(set, changes, Author::default(), None);
        soon("a change", changed).await.unwrap()
    }

    pub(crate) async fn cursor(&self, set: &SetName) -> Cursor {
        let open = self.shelf().open(set).unwrap();
        soon("a set", open.book.ready()).await.unwrap();
        open.book.cursor()
    }

    pub(crate) async fn stop(self) {
        soon("the end", self.fleet.stop()).await;
    }
}

impl Watcher {
    pub(crate) async fn connect(client: everwire_client::ClientBuilder) -> Self {
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        let [on_snapshot, on_change, on_gap] = [(); 3].map(|()| tell.clone());
        let client = client
            .reconnect(ReconnectPolicy::Delays(vec![Duration::ZERO; 20]))
            .on("Snapshot", move |it: Json| drop(on_snapshot.try_send(Heard::Snapshot(it))))
            .on("ConfigurationChanged", move |it: Json| {
                drop(on_change.try_send(Heard::Changed(it)))
            })
            .on("Gap", move |it: Json| drop(on_gap.try_send(Heard::Gap(it))));
        let connection = soon("a connection", client.connect()).await.unwrap();
        Self { connection, heard }
    }

    pub(crate) async fn watch(&self, arguments: &[Json]) {
        self.connection.invoke::<()>("Watch", arguments).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Heard {
        soon("something of the set", self.heard.recv()).await.unwrap()
    }

    /// The version of the snapshot that comes next.
    pub(crate) async fn snapshot(&mut self) -> u64 {
        match self.next().await {
            Heard::Snapshot(it) => it["version"].as_u64().unwrap(),
            other => panic!("{other:?} is no snapshot"),
        }
    }

    /// The version of the change that comes next.
    pub(crate) async fn change(&mut self) -> u64 {
        match self.next().await {
            Heard::Changed(it) => it["version"].as_u64().unwrap(),
            other => panic!("{other:?} is no change"),
        }
    }

    /// What was heard and not asked for yet.
    pub(crate) fn rest(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

pub(crate) fn set(name: &str) -> SetName {
    name.parse().unwrap()
}

pub(crate) fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub(crate) fn put(at: &str, value: &str) -> Change {
    Change::Set { key: key(at), value: Value::new(value).unwrap(), secret: false }
}

/// A token for some sets.
pub(crate) fn grant(token: &str, sets: &str, rights: &[Right]) -> Grant {
    Grant::new(token, "*", [sets.parse().unwrap()], rights.iter().copied()).unwrap()
}

/// Waits until so many connections of a node watch a set.
pub(crate) async fn until_watched(node: &Node, set: &SetName, count: usize) {
    let group = format!("set:{set}");
    let counted = async || {
        let there = node.fleet.hub().group(group.as_str()).count().await.value;
        (there == count).then_some(())
    };
    eventually("watchers", counted).await;
}

/// More than any of these tests tells one watcher.
const HEARD_MAX: usize = 10_000;
