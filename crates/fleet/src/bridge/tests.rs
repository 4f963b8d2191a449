//! Bridges on a real Redis: one message is one change, whoever reads it, and what may be lost is said.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::AtomicU32},
};

use everwire_backplane::{Bus, NodeId, memory::Cluster, redis::Redis};
use everwire_testkit::{
    need,
    redis::{Server, VOLATILE},
    tools,
    wait::until_equal,
};
use serde_json::json;

use super::*;
use crate::set::{Key, Value};

const CHANNEL: &str = "configuration-updates";

/// A set that all nodes share, with each change that was asked for, and which node has said what.
#[derive(Default)]
struct Shared {
    values: Mutex<BTreeMap<(SetName, Key), Value>>,
    versions: AtomicU64,
    asked: AtomicU64,
    events: Mutex<Vec<(NodeId, BridgeEvent)>>,
    /// How many changes are yet to fail.
    failing: AtomicU32,
}

/// One node's way to it.
struct OfNode(NodeId, Arc<Shared>);

impl Changes for OfNode {
    async fn change(&self, set: SetName, change: Change, by: Box<str>) -> Result<(), ChangeError> {
        assert_eq!(&*by, "bridge:configuration-updates");
        self.1.asked.fetch_add(1, Relaxed);
        let fails = |left: u32| left.checked_sub(1);
        if self.1.failing.try_update(Relaxed, Relaxed, fails).is_ok() {
            return Err(ChangeError::Unknown);
        }
        let Change::Set { key, value, .. } = change else { panic!("{change:?}") };
        if self.1.values.lock().unwrap().insert((set, key), value.clone()) != Some(value) {
            self.1.versions.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn tell(&self, event: BridgeEvent) {
        self.1.events.lock().unwrap().push((self.0, event));
    }
}

impl Shared {
    fn value(&self, key: &str) -> Option<String> {
        let name = ("clx3".parse().unwrap(), key.parse().unwrap());
        self.values.lock().unwrap().get(&name).map(|value| value.as_str().to_owned())
    }

    fn events(&self) -> Vec<(NodeId, BridgeEvent)> {
        self.events.lock().unwrap().clone()
    }

    /// Who has begun to read, in their order.
    fn readers(&self) -> Vec<NodeId> {
        let began =
            |(node, event)| matches!(event, BridgeEvent::BridgeBegan { .. }).then_some(node);
        self.events().into_iter().filter_map(began).collect()
    }

    fn versions(&self) -> u64 {
        self.versions.load(Relaxed)
    }
}

fn start(server: &Server, bus: Arc<dyn Bus>, shared: &Arc<Shared>) -> Bridge {
    let config = BridgeConfig {
        redis: Config::new(server.url()),
        channel: CHANNEL.into(),
        set: "{environmentId}".parse().unwrap(),
    };
    let changes = OfNode(bus.member().node, Arc::clone(shared));
    Bridge::start(config, bus, Arc::new(changes)).unwrap()
}

async fn publish(server: &Server, key: &str, value: &str) {
    let message =
        json!({"environmentId": "clx3", "name": key, "value": value, "isPlaintext": true});
    server.tell(&["PUBLISH", CHANNEL, &message.to_string()]).await;
}

async fn reads(shared: &Shared, readers: &[NodeId]) {
    until_equal("who reads", readers.to_vec(), async || shared.readers()).await;
}

async fn has(shared: &Shared, key: &str, value: &str) {
    until_equal("a value", Some(value.to_owned()), async || shared.value(key)).await;
}

/// Three nodes of one process, from the lowest name to the highest, with a bridge each.
fn three(server: &Server, cluster: &Cluster, shared: &Arc<Shared>) -> Vec<(NodeId, Bridge)> {
    let mut nodes: Vec<_> = (0..3).map(|_| Arc::new(cluster.node())).collect();
    nodes.sort_by_key(|node| node.member().node);
    nodes.into_iter().map(|node| (node.member().node, start(server, node, shared))).collect()
}

#[tokio::test]
async fn k1_one_message_is_one_change_on_three_nodes_and_the_next_node_takes_over_and_says_so() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (cluster, shared) = (Cluster::default(), Arc::new(Shared::default()));
    let nodes = three(&server, &cluster, &shared);
    let names: Vec<_> = nodes.iter().map(|(name, _)| *name).collect();
    reads(&shared, &names[..1]).await;
    for number in 1..=20 {
        publish(&server, "URL", &number.to_string()).await;
    }
    has(&shared, "URL", "20").await;
    assert_eq!((shared.versions(), shared.asked.load(Relaxed)), (20, 20), "one each");
    assert_eq!(nodes[0].1.counts().changed, 20);
    cluster.kill(names[0]);
    // The killed node's own bridge sees its bus end.
    reads(&shared, &names[..2]).await;
    publish(&server, "URL", "21").await;
    has(&shared, "URL", "21").await;
    cluster.kill(names[1]);
    reads(&shared, &names).await;
    publish(&server, "URL", "22").await;
    has(&shared, "URL", "22").await;
    assert_eq!(shared.versions(), 22);
    assert_eq!(nodes[2].1.counts(), BridgeCounts { changed: 1, refused: 0, missed: 0 });
}

#[tokio::test]
async fn a_node_that_is_lower_takes_over_from_one_that_goes_on() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (cluster, shared) = (Cluster::default(), Arc::new(Shared::default()));
    let some = [(); 4].map(|()| cluster.node());
    let high = some.into_iter().max_by_key(|node| node.member().node).unwrap();
    let high_name = high.member().node;
    let high = start(&server, Arc::new(high), &shared);
    reads(&shared, &[high_name]).await;
    publish(&server, "A", "1").await;
    has(&shared, "A", "1").await;
    let mut more = std::iter::repeat_with(|| cluster.node());
    let low = more.find(|node| node.member().node < high_name).unwrap();
    let low_name = low.member().node;
    let low = start(&server, Arc::new(low), &shared);
    reads(&shared, &[high_name, low_name]).await;
    publish(&server, "A", "2").await;
    has(&shared, "A", "2").await;
    assert_eq!((high.counts().changed, low.counts().changed), (1, 1));
    assert_eq!(shared.asked.load(Relaxed), 2);
}

#[tokio::test]
async fn a_redis_that_was_away_is_said_to_have_lost_something() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (cluster, shared) = (Cluster::default(), Arc::new(Shared::default()));
    let node = cluster.node();
    let name = node.member().node;
    let bridge = start(&server, Arc::new(node), &shared);
    reads(&shared, &[name]).await;
    server.kill_and_restart().await;
    reads(&shared, &[name, name]).await;
    let events: Vec<_> = shared.events().into_iter().map(|(_, event)| event).collect();
    assert!(matches!(&events[1], BridgeEvent::BridgeMissed { .. }), "{events:?}");
    assert_eq!(bridge.counts().missed, 1);
    publish(&server, "A", "1").await;
    has(&shared, "A", "1").await;
}

#[tokio::test]
async fn what_is_no_change_is_counted_and_told_and_a_change_that_fails_is_tried_again() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (cluster, shared) = (Cluster::default(), Arc::new(Shared::default()));
    let node = cluster.node();
    let name = node.member().node;
    let bridge = start(&server, Arc::new(node), &shared);
    reads(&shared, &[name]).await;
    server.tell(&["PUBLISH", CHANNEL, "{\"environmentId\":\"clx3\",\"name\":\"A\"}"]).await;
    server.tell(&["PUBLISH", CHANNEL, "hello"]).await;
    shared.failing.store(ATTEMPTS_MAX - 1, Relaxed);
    publish(&server, "A", "1").await;
    has(&shared, "A", "1").await;
    let counts = BridgeCounts { changed: 1, refused: 2, missed: 0 };
    until_equal("counts", counts, async || bridge.counts()).await;
    shared.failing.store(ATTEMPTS_MAX, Relaxed);
    publish(&server, "A", "2").await;
    publish(&server, "B", "1").await;
    has(&shared, "B", "1").await;
    assert_eq!(shared.value("A").as_deref(), Some("1"), "it was given up");
    let counts = BridgeCounts { changed: 2, refused: 2, missed: 1 };
    until_equal("counts", counts, async || bridge.counts()).await;
    let told = shared.events().into_iter().map(|(_, event)| event);
    let told: Vec<_> =
        told.map(|event| serde_json::to_value(event).unwrap()["type"].clone()).collect();
    assert_eq!(told, ["bridge_began", "bridge_refused", "bridge_refused", "bridge_missed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_three_nodes_of_a_real_bus_one_message_is_one_version_and_a_killed_reader_is_replaced() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let shared = Arc::new(Shared::default());
    let mut nodes: Vec<Arc<Redis>> = Vec::new();
    for _ in 0..3 {
        let mut config = Config::new(server.url());
        config.lease = Duration::from_secs(3);
        nodes.push(Arc::new(Redis::start(config).unwrap()));
    }
    nodes.sort_by_key(|node| node.member().node);
    for node in &nodes {
        let (mut members, mut known) = (node.members(), std::collections::BTreeSet::new());
        while known.len() < 3 {
            if let Some(Membership::Joined(member)) = members.next().await {
                known.insert(member.node);
            }
        }
    }
    let names: Vec<_> = nodes.iter().map(|node| node.member().node).collect();
    let mut bridges: Vec<_> = nodes
        .iter()
        .map(|node| start(&server, Arc::clone(node) as Arc<dyn Bus>, &shared))
        .collect();
    reads(&shared, &names[..1]).await;
    publish(&server, "A", "1").await;
    has(&shared, "A", "1").await;
    assert_eq!(shared.asked.load(Relaxed), 1);
    // Its tasks end without a leave: what a kill is to the others.
    drop((bridges.remove(0), nodes.remove(0)));
    reads(&shared, &names[..2]).await;
    publish(&server, "A", "2").await;
    has(&shared, "A", "2").await;
    assert_eq!((shared.versions(), shared.asked.load(Relaxed)), (2, 2));
}
