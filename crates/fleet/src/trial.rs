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
use everwire_hub::{Context, Denied, Hub, Identity};
use everwire_testkit::wait::{eventually, soon};
use serde_json::Value as Json;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    WallClock,
    access::{Grant, Grants, Right},
    book::{Books, Cursor},
    follow::{self, pass_of},
    gate::Gate,
    lobby::Lobby,
    name::SetName,
    seal::Sealer,
    service::FleetService,
    set::{Change, Key, Value},
    sets::{Author, Sets, Written},
    shelf::Shelf,
};

/// A node that serves `/fleet`. It is killed with this.
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) shelf: Shelf,
    pub(crate) sets: Sets,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    _bus: Arc<dyn Bus>,
    _tasks: JoinSet<()>,
}

/// What a node is to be like.
pub(crate) struct Plan {
    pub(crate) grants: Grants,
    pub(crate) silent_max: Duration,
    pub(crate) sets_max: usize,
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
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Default for Plan {
    fn default() -> Self {
        let silent_max = Duration::from_secs(30);
        Self { grants: Grants::default(), silent_max, sets_max: 10_000 }
    }
}

impl Node {
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        Self::start_as(cluster, Plan::default()).await
    }

    pub(crate) async fn start_as(cluster: &Cluster, plan: Plan) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(cluster.node());
        let log: Arc<dyn Log> = Arc::new(cluster.clone());
        let stop = CancellationToken::new();
        let books = Books::new(Arc::clone(&bus), log, stop.clone());
        let sealer = Arc::new(Sealer::new(["the secret of this year"]).unwrap());
        let (gate, lobby) = (Gate::new(plan.grants), Lobby::new(plan.silent_max));
        let shelf = Shelf::new(books, sealer, gate.clone(), lobby.clone(), plan.sets_max);
        let hub = hub(&shelf);
        let mut tasks = JoinSet::new();
        tasks.spawn(lobby.run(hub.clone(), gate.changes(), stop.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = FleetService::new(hub.service(), "/fleet", shelf.clone(), None);
        let router = axum::Router::new().nest_service("/fleet", service);
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let sets = Sets::new(shelf.clone(), WallClock::default());
        Self { hub, shelf, sets, address, stop, _bus: bus, _tasks: tasks }
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
        let changed = self.sets.change(set, changes, Author::default(), None);
        soon("a change", changed).await.unwrap()
    }

    pub(crate) async fn cursor(&self, set: &SetName) -> Cursor {
        let open = self.shelf.open(set).unwrap();
        soon("a set", open.book.ready()).await.unwrap();
        open.book.cursor()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.hub.stop();
        soon("the end of all sets", self.shelf.ended()).await;
    }
}

impl Watcher {
    pub(crate) async fn connect(client: everwire_client::ClientBuilder) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let [on_snapshot, on_change, on_gap] = [(); 3].map(|()| tell.clone());
        let client = client
            .reconnect(ReconnectPolicy::Delays(vec![Duration::ZERO; 20]))
            .on("Snapshot", move |it: Json| drop(on_snapshot.send(Heard::Snapshot(it))))
            .on("ConfigurationChanged", move |it: Json| drop(on_change.send(Heard::Changed(it))))
            .on("Gap", move |it: Json| drop(on_gap.send(Heard::Gap(it))));
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

/// A hub with the methods of sets and none of instances.
fn hub(shelf: &Shelf) -> Hub {
    let [judging, coming, going] = [(); 3].map(|()| shelf.clone());
    let hub = Hub::builder()
        .authenticate(move |request| {
            let is_known = judging.gate().admits(pass_of(&request));
            async move { if is_known { Ok(Identity::default()) } else { Err(Denied::Unauthorized) } }
        })
        .connected(move |context: Context| {
            let shelf = coming.clone();
            async move {
                shelf.lobby().enter(context.connection_id(), pass_of(context.request()));
                let followed = follow::follow_requested(&shelf, &context, false).await;
                followed.map_err(follow::NotFollowed::told)
            }
        })
        .disconnected(move |context: Context, _| {
            let shelf = going.clone();
            async move {
                shelf.lobby().leave(context.connection_id());
                follow::unfollow_all(&shelf, &context).await;
            }
        });
    follow::methods(hub, shelf).build().unwrap()
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
        let there = node.hub.group(group.as_str()).count().await.value;
        (there == count).then_some(())
    };
    eventually("watchers", counted).await;
}
