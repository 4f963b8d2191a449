//! The end of a killed node's clients, told to the application once, by one of the nodes that are left.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use everwire_backplane::{
    Bus, Log, memory,
    redis::{Config, Redis},
};
use everwire_hub::{ConnectionId, HubBuilder, LostClient};
use everwire_testkit::{
    need,
    redis::{DURABLE, Server},
    relay::Relay,
    tools,
    wait::eventually,
};
use tokio::sync::Notify;

use super::{Nodes, builder, channel};
use crate::peer::{Peer, Served, serve};

/// What the application on all nodes together is told.
#[derive(Clone, Default)]
struct Told(Arc<Everything>);

#[derive(Default)]
struct Everything {
    lost: Mutex<Vec<LostClient>>,
    gone: Mutex<Vec<ConnectionId>>,
    /// Who is told of a lost client next never comes to its end.
    hangs: AtomicBool,
    changed: Notify,
}

impl Told {
    /// A hub that tells.
    fn builder(&self, log: Arc<dyn Log>) -> HubBuilder {
        let (one, other) = (self.clone(), self.clone());
        builder()
            .client_lost(log, move |_, lost| {
                let told = one.clone();
                async move {
                    if told.0.hangs.swap(false, Relaxed) {
                        told.0.changed.notify_one();
                        std::future::pending::<()>().await;
                    }
                    told.0.lost.lock().unwrap().push(lost);
                    told.0.changed.notify_one();
                }
            })
            .disconnected(move |cx, _| {
                other.0.gone.lock().unwrap().push(cx.connection_id());
                other.0.changed.notify_one();
                async {}
            })
    }

    fn lost(&self) -> Vec<LostClient> {
        self.0.lost.lock().unwrap().clone()
    }

    /// How often each client's end was told, by whomever.
    fn ends(&self) -> BTreeMap<ConnectionId, usize> {
        let lost = self.lost().into_iter().map(|lost| lost.connection);
        let gone = self.0.gone.lock().unwrap().clone();
        let mut ends = BTreeMap::new();
        lost.chain(gone).for_each(|id| *ends.entry(id).or_default() += 1);
        ends
    }

    /// Waits until so many ends were told.
    async fn of(&self, count: usize) {
        while self.ends().values().sum::<usize>() < count {
            self.0.changed.notified().await;
        }
    }
}

async fn nodes(count: usize, told: &Told) -> Nodes {
    let cluster = memory::Cluster::default();
    let mut nodes = Nodes { cluster: cluster.clone(), nodes: Vec::new() };
    for _ in 0..count {
        nodes.add(told.builder(Arc::new(cluster.clone()))).await;
    }
    nodes
}

/// Waits until all that has happened at a node is written down.
async fn written(nodes: &Nodes, node: usize) {
    while nodes.hub(node).exchanged().unwrap().unwritten > 0 {
        tokio::task::yield_now().await;
    }
}

/// Lets everybody do what there is to do: each asks all others, which takes several turns of each.
async fn quiet(nodes: &Nodes) {
    for _ in 0..50 {
        nodes.meet().await;
    }
}

#[tokio::test]
async fn fault_b6_the_clients_of_a_killed_node_are_told_lost_once_by_one_of_those_left() {
    for survivors in [1, 2, 3] {
        let told = Told::default();
        let mut nodes = nodes(survivors + 1, &told).await;
        let (_ann, ann) = nodes.nodes[0].client("ann").await;
        let (_bob, bob) = nodes.nodes[0].client("bob").await;
        let (gone, left) = nodes.nodes[0].client("eve").await;
        let (_other, other) = nodes.nodes[1].client("zoe").await;
        let groups = nodes.hub(0).groups();
        for group in ["go", "chess", "draughts"] {
            groups.add(ann, group).unwrap();
        }
        groups.remove(ann, "draughts").unwrap();
        drop(gone);
        told.of(1).await;
        assert_eq!(told.ends(), BTreeMap::from([(left, 1)]), "it left a living node");
        written(&nodes, 0).await;
        let node = nodes.nodes[0].bus.member().node;
        let _killed = nodes.kill(0);
        told.of(3).await;
        quiet(&nodes).await;
        assert_eq!(told.ends(), BTreeMap::from([(left, 1), (ann, 1), (bob, 1)]));
        assert!(!told.ends().contains_key(&other));
        let mut lost = told.lost();
        lost.sort_by_key(|lost| lost.user.clone());
        let of = |connection, user: &str, groups: &[&str]| LostClient {
            node,
            connection,
            user: Some(user.into()),
            groups: groups.iter().map(|group| (*group).into()).collect(),
        };
        assert_eq!(lost, [of(ann, "ann", &["chess", "go"]), of(bob, "bob", &[])]);
    }
}

#[tokio::test]
async fn fault_b6_what_a_node_does_after_it_was_given_up_is_told_by_its_heir_alone() {
    let told = Told::default();
    let mut nodes = nodes(3, &told).await;
    let (ann, id) = nodes.nodes[0].client("ann").await;
    written(&nodes, 0).await;
    let killed = nodes.kill(0);
    told.of(1).await;
    // The process lives on for a moment, and its client goes.
    drop(ann);
    while killed.hub().connected() > 0 {
        tokio::task::yield_now().await;
    }
    quiet(&nodes).await;
    assert_eq!(told.ends(), BTreeMap::from([(id, 1)]));
}

#[tokio::test]
async fn fault_b6_nobody_is_told_lost_while_the_backplane_is_away_and_each_once_afterwards() {
    let told = Told::default();
    let mut nodes = nodes(3, &told).await;
    let (_ann, ann) = nodes.nodes[0].client("ann").await;
    let (bob, bob_id) = nodes.nodes[0].client("bob").await;
    let (eve, eve_id) = nodes.nodes[1].client("eve").await;
    let (_zoe, _) = nodes.nodes[2].client("zoe").await;
    for node in 0..3 {
        written(&nodes, node).await;
    }
    tokio::time::pause();
    nodes.cluster.cut();
    // Both go while nobody can know by whom that is told.
    drop((bob, eve));
    let _killed = nodes.kill(0);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(told.ends(), BTreeMap::new());
    nodes.cluster.heal();
    told.of(3).await;
    quiet(&nodes).await;
    assert_eq!(told.ends(), BTreeMap::from([(ann, 1), (bob_id, 1), (eve_id, 1)]));
    let lost: Vec<_> = told.lost().into_iter().map(|lost| lost.connection).collect();
    assert!(lost.contains(&ann) && lost.contains(&bob_id) && !lost.contains(&eve_id));
}

#[tokio::test]
async fn fault_b6_who_inherits_and_ends_before_it_is_done_has_an_heir_itself() {
    let told = Told::default();
    let mut nodes = nodes(4, &told).await;
    let (_ann, ann) = nodes.nodes[0].client("ann").await;
    written(&nodes, 0).await;
    told.0.hangs.store(true, Relaxed);
    let _first = nodes.kill(0);
    told.0.changed.notified().await;
    assert_eq!(told.ends(), BTreeMap::new(), "the first one was not done");
    // Any of the three may be the one that hangs: all end, and whoever has come since is left.
    let newcomer = told.builder(Arc::new(nodes.cluster.clone()));
    nodes.add(newcomer).await;
    let _others = [nodes.kill(0), nodes.kill(0), nodes.kill(0)];
    told.of(1).await;
    quiet(&nodes).await;
    assert_eq!(told.ends(), BTreeMap::from([(ann, 1)]));
}

#[tokio::test]
async fn fault_b6_a_node_that_was_given_up_and_lives_has_each_end_told_once() {
    for round in 0..20 {
        let told = Told::default();
        let nodes = nodes(3, &told).await;
        let mut ids = Vec::new();
        let mut peers = Vec::new();
        for user in ["ann", "bob"] {
            let (peer, id) = nodes.nodes[0].client(user).await;
            peers.push(peer);
            ids.push(id);
        }
        if round % 2 == 0 {
            written(&nodes, 0).await;
        }
        nodes.cluster.expire(nodes.nodes[0].bus.member().node);
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        // Whether they stay or were ended, in the end both are gone.
        drop(peers);
        told.of(2).await;
        quiet(&nodes).await;
        assert_eq!(told.ends(), ids.into_iter().map(|id| (id, 1)).collect());
    }
}

#[tokio::test]
async fn what_the_backplane_forgets_is_written_again() {
    let told = Told::default();
    let mut nodes = nodes(2, &told).await;
    let (_ann, ann) = nodes.nodes[0].client("ann").await;
    written(&nodes, 0).await;
    nodes.cluster.empty();
    quiet(&nodes).await;
    written(&nodes, 0).await;
    let _killed = nodes.kill(0);
    told.of(1).await;
    assert_eq!(told.lost()[0].connection, ann);
}

/// A node on Redis that can be cut off from it.
struct Far {
    relay: Relay,
    served: Served,
}

async fn far(server: &Server, told: &Told) -> Far {
    let relay = Relay::start(vec![server.address()]).await;
    let mut config = Config::new(format!("redis://{}", relay.address()));
    config.lease = LEASE;
    let bus = Arc::new(Redis::start(config).unwrap());
    let hub = told.builder(bus.clone()).backplane(bus, channel()).build().unwrap();
    hub.start();
    Far { relay, served: serve(hub).await }
}

async fn three(program: &Path, told: &Told) -> (Server, Vec<Far>, Vec<Peer>) {
    let server = Server::start(program, DURABLE).await;
    let (mut nodes, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let node = far(&server, told).await;
        peers.push(node.served.peer().await);
        nodes.push(node);
    }
    for Far { served, .. } in &nodes {
        eventually("all nodes to know one another, and their clients written down", async || {
            let count = served.hub.all().count().await;
            let unwritten = served.hub.exchanged().unwrap().unwritten;
            (count.value == 3 && count.unreached == 0 && unwritten == 0).then_some(())
        })
        .await;
    }
    (server, nodes, peers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b6_over_redis_a_node_cut_off_has_its_clients_told_lost_once_and_ends_them_later() {
    let told = Told::default();
    let (_server, nodes, mut peers) = three(&need!(tools::redis()), &told).await;
    nodes[0].relay.hold();
    eventually("a survivor to be told", async || (told.lost().len() == 1).then_some(())).await;
    assert_eq!(nodes[0].served.hub.connected(), 1, "the client is there still");
    nodes[0].relay.cut();
    nodes[0].relay.heal();
    // It is told to come again, as a new client.
    let closed = peers[0].next().await.unwrap();
    assert_eq!(closed, r#"{"type":7,"allowReconnect":true}"#);
    assert_eq!(peers[0].next().await, None);
    eventually("the connection to have ended", async || {
        (nodes[0].served.hub.connected() == 0).then_some(())
    })
    .await;
    let again = nodes[0].served.peer().await;
    let unwritten = || nodes[0].served.hub.exchanged().unwrap().unwritten;
    eventually("the new client to be written down", async || (unwritten() == 0).then_some(()))
        .await;
    drop(again);
    eventually("its end to be told", async || (told.ends().len() == 2).then_some(())).await;
    assert!(told.ends().values().all(|count| *count == 1), "{:?}", told.ends());
    assert_eq!(told.lost().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b6_over_redis_who_starts_when_all_are_gone_is_told_of_all_their_clients() {
    let told = Told::default();
    let (server, nodes, _peers) = three(&need!(tools::redis()), &told).await;
    nodes.iter().for_each(|node| node.relay.hold());
    let new = far(&server, &told).await;
    eventually("all to be told of", async || (told.lost().len() == 3).then_some(())).await;
    // Nothing is left to be told to who comes next.
    let newer = far(&server, &told).await;
    eventually("the two to know each other", async || {
        let count = newer.served.hub.all().count().await;
        (newer.served.hub.nodes().len() == 1 && count.unreached == 0).then_some(())
    })
    .await;
    drop(new);
    assert!(told.ends().values().all(|count| *count == 1), "{:?}", told.ends());
}

/// As short as may be.
const LEASE: Duration = Duration::from_secs(2);
