//! Nodes that drain while npm's client of a session talks: three processes over Redis.

use std::{net::SocketAddr, path::Path, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Launch,
    http, need,
    redis::{self, Server},
    relay::Relay,
    signalr::Peer,
    tools,
    wait::{eventually, eventually_within},
};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::npm;

const SECRET: &str = "a secret that all the nodes have been told";

/// A hub that answers who calls it.
const HUB: &str = "[stop]\nannounce = \"100ms\"\nwindow = \"500ms\"\n\
    [hubs.echo]\npath = \"/echo\"\n[hubs.echo.methods]\n\
    Say = { send = \"caller\", target = \"Said\" }\nJoin = { join = \"{0}\" }\n";

/// All that is told to the hub's own channel and to groups is recorded.
const HISTORY: &str = "[hubs.echo.history]\n";

async fn nodes<const N: usize>(redis: &Server) -> [Everwire; N] {
    nodes_with(redis, "").await
}

async fn nodes_with<const N: usize>(redis: &Server, more: &str) -> [Everwire; N] {
    let lines = format!("[backplane]\nurl = \"{}\"\n{HUB}{more}", redis.url());
    let setup = Setup::new().cluster(SECRET).hubs(&lines);
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(Everwire::start(&setup).await);
    }
    for node in &nodes {
        eventually("all nodes know each other", async || {
            let all = node.get("/api/v1/nodes").await.json();
            let all = all["items"].as_array()?.iter().filter(|item| item["state"] == "ready");
            (all.count() == N).then_some(())
        })
        .await;
    }
    nodes.try_into().expect("as many as were wanted")
}

fn lasting(node: &Path, address: SocketAddr, protocol: &str) -> Launch {
    let launch = npm(node, format!("http://{address}/echo")).with("protocol", protocol);
    launch.with("transport", "WebSockets").flag("stateful").flag("reconnect")
}

/// Which of the nodes has the session.
async fn its(nodes: &[Everwire]) -> Option<usize> {
    for (at, node) in nodes.iter().enumerate() {
        if node.metric("everwire_hub_connections").await > 0.0 {
            return Some(at);
        }
    }
    None
}

/// What was said in each direction.
#[derive(Default)]
struct Talk {
    by_client: Vec<Value>,
    /// By each publisher, which has a method of its own.
    published: [Vec<Value>; 4],
    /// Whether what is told to all has methods of its own too, because it has an order of its own.
    is_apart: bool,
}

impl Talk {
    /// Both sides say something 200 times a second, for as long as `work` takes and a second more.
    async fn during(
        &mut self,
        peer: &mut Peer,
        publishers: [&Everwire; 2],
        work: impl Future<Output = ()>,
    ) {
        let mut tick = interval(Duration::from_millis(5));
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut work, mut left) = (std::pin::pin!(work), None::<u32>);
        while left != Some(0) {
            tokio::select! {
                () = &mut work, if left.is_none() => left = Some(200),
                _ = tick.tick() => {
                    self.say(peer, publishers).await;
                    left = left.map(|left| left - 1);
                }
            }
        }
    }

    async fn say(&mut self, peer: &mut Peer, publishers: [&Everwire; 2]) {
        let number = self.by_client.len();
        peer.begin("send", "Say", json!([number]));
        self.by_client.push(json!([number]));
        let (by, is_for_all) = (number % 2, number.is_multiple_of(3));
        let method = by + 2 * usize::from(self.is_apart && is_for_all);
        let told = json!([self.published[method].len()]);
        let whom = if is_for_all { "" } else { "/groups/go" };
        say_to(publishers[by].admin(), whom, &format!("Told{method}"), &told).await;
        self.published[method].push(told);
    }

    /// Everything has come, once and in order, and the client has noticed nothing.
    async fn is_whole(&self, peer: &Peer, before: Option<&str>) {
        peer.called_with("Said", &self.by_client).await;
        for (method, published) in self.published.iter().enumerate() {
            peer.called_with(&format!("Told{method}"), published).await;
        }
        assert_eq!(peer.connection().as_deref(), before);
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
    }
}

async fn talking(launch: &Launch) -> Peer {
    let mut peer = Peer::start(launch).await;
    for method in ["Said", "Told0", "Told1", "Told2", "Told3"] {
        peer.on(method);
    }
    peer.call("Join", json!(["go"])).await;
    peer
}

#[tokio::test]
async fn a_client_that_comes_back_to_a_draining_node_loses_and_doubles_nothing() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    let redis = Server::start(&redis, redis::VOLATILE).await;
    for protocol in ["json", "messagepack"] {
        let nodes: [Everwire; 3] = nodes(&redis).await;
        // No balancer: its first retry comes to the node that drains, and so do all others.
        let mut peer = talking(&lasting(&node, nodes[0].address(), protocol)).await;
        let before = peer.connection();
        let mut talk = Talk::default();
        let drain = async {
            let drained = nodes[0].command(&["node", "drain"]).await;
            let said = String::from_utf8_lossy(&drained.stdout).into_owned();
            assert!(drained.status.success() && said.contains("1 session moved"), "{drained:?}");
        };
        talk.during(&mut peer, [&nodes[0], &nodes[2]], drain).await;
        talk.is_whole(&peer, before.as_deref()).await;
        assert_ne!(its(&nodes).await, Some(0));
        assert_eq!(nodes[0].metric("everwire_hub_sessions_moved_out_total").await, 1.0);
        assert_eq!(nodes[0].get("/readyz").await.status, 503);
        // Who comes to it now begins at another.
        let late = Peer::start(&lasting(&node, nodes[0].address(), protocol)).await;
        assert!(late.connection().is_some());
        assert_eq!(nodes[0].metric("everwire_hub_connections").await, 0.0);
    }
}

/// The group is followed and the hub's own channel is not: both are recorded.
#[tokio::test]
async fn a_client_of_a_hub_with_a_history_goes_on_where_it_was_while_its_nodes_drain() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    for protocol in ["json", "messagepack"] {
        let redis = Server::start(&redis, redis::VOLATILE).await;
        let nodes: [Everwire; 3] = nodes_with(&redis, HISTORY).await;
        let mut peer = talking(&lasting(&node, nodes[0].address(), protocol)).await;
        peer.on("Position");
        peer.on("Gap");
        let recovered = peer.call("Recover", json!(["go", null])).await;
        assert_eq!(recovered["recovered"], true, "{recovered}");
        let before = peer.connection();
        let mut talk = Talk { is_apart: true, ..Talk::default() };
        // To another node, and away from that too.
        for _ in 0..2 {
            let at = its(&nodes).await.expect("somebody has it");
            let drain = async {
                let drained = nodes[at].command(&["node", "drain"]).await;
                let said = String::from_utf8_lossy(&drained.stdout).into_owned();
                assert!(
                    drained.status.success() && said.contains("1 session moved"),
                    "{drained:?}"
                );
            };
            talk.during(&mut peer, [&nodes[0], &nodes[2]], drain).await;
            talk.is_whole(&peer, before.as_deref()).await;
        }
        let recorded = talk.by_client.len() - talk.by_client.len().div_ceil(3);
        let cursor = eventually("the cursor behind all", async || {
            let last = peer.called("Position").pop()?;
            (last[1]["offset"] == recorded).then_some(last)
        })
        .await;
        let epoch = &cursor[1]["epoch"];
        let offsets: Vec<_> = peer.called("Position");
        assert!(offsets.iter().all(|told| told[0] == "go" && told[1]["epoch"] == *epoch));
        let offset = |told: &Value| told[1]["offset"].as_u64();
        assert!(offsets.is_sorted_by(|one, next| offset(one) < offset(next)), "{offsets:?}");
        assert_eq!(peer.count("Gap") + peer.called("Gap").len(), 0);
    }
}

#[tokio::test]
async fn an_operator_drains_another_node_by_the_name_that_the_list_gives_it() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    let redis = Server::start(&redis, redis::VOLATILE).await;
    let nodes: [Everwire; 3] = nodes(&redis).await;
    let peer = talking(&lasting(&node, nodes[0].address(), "json")).await;
    let before = peer.connection();
    let operator = &nodes[2];
    let listed = |said: &[u8]| serde_json::from_slice::<Value>(said).expect("it is JSON");
    let all = listed(&operator.command(&["node", "ls", "--json"]).await.stdout);
    let all = all["items"].as_array().expect("there is a list");
    let its = all.iter().find(|item| item["connections"] == 1).expect("one has the client");
    let id = its["id"].as_str().expect("a node has a name");
    let table = operator.command(&["node", "ls"]).await.stdout;
    let table = String::from_utf8_lossy(&table).into_owned();
    assert!(all.len() == 3 && table.contains(id), "{table}");

    let drained = operator.command(&["node", "drain", id]).await;
    let said = String::from_utf8_lossy(&drained.stdout).into_owned();
    assert!(drained.status.success() && said.contains("1 session moved"), "{drained:?}");
    let all = listed(&operator.command(&["node", "ls", "--json"]).await.stdout);
    let its = all["items"].as_array().into_iter().flatten().find(|item| item["id"] == id);
    assert_eq!(its.map(|item| &item["state"]), Some(&json!("drained")));
    assert_eq!(nodes[0].get("/readyz").await.status, 503);
    assert_eq!((peer.connection(), peer.count("reconnecting")), (before, 0));

    let nobody = operator.command(&["node", "drain", "nobody"]).await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("everwire node ls"), "{nobody:?}");
}

#[tokio::test]
async fn a_session_outlives_every_node_that_it_was_on() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    let redis = Server::start(&redis, redis::VOLATILE).await;
    let nodes: [Everwire; 4] = nodes(&redis).await;
    let mut nodes = Vec::from(nodes);
    let front = Relay::start(nodes.iter().map(Everwire::address).collect()).await;
    let mut peer = talking(&lasting(&node, front.address(), "json")).await;
    let before = peer.connection();
    let mut talk = Talk::default();
    while nodes.len() > 1 {
        let at = its(&nodes).await.expect("somebody has it");
        let mut leaving = nodes.remove(at);
        let publishers = [&nodes[0], nodes.last().expect("one is left")];
        let stop = async {
            leaving.process().terminate();
            assert!(leaving.process().ended().await.success());
        };
        talk.during(&mut peer, publishers, stop).await;
        talk.is_whole(&peer, before.as_deref()).await;
    }
}

/// Brings the crowd to the first node, and whoever comes later to one that is there.
async fn in_front_of(nodes: &[Everwire]) -> Relay {
    let first = std::iter::repeat_n(&nodes[0], 2 * CROWD);
    Relay::start(first.chain(&nodes[1..]).map(Everwire::address).collect()).await
}

/// Clients of one node, all in one group.
async fn crowd(launch: &Launch) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..CROWD {
        peers.push(talking(launch).await);
    }
    peers
}

/// Says numbers to the crowd's group, and gives them when `work` is done.
async fn say_during(publisher: SocketAddr, work: impl Future<Output = ()>) -> Vec<Value> {
    let mut said = Vec::new();
    let mut work = std::pin::pin!(work);
    let mut tick = interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            () = &mut work => return said,
            _ = tick.tick() => {
                let number = json!([said.len()]);
                say_to(publisher, "/groups/go", "Told0", &number).await;
                said.push(number);
            }
        }
    }
}

async fn say_to(publisher: SocketAddr, whom: &str, target: &str, arguments: &Value) {
    let body = json!({ "target": target, "arguments": arguments });
    let path = format!("/api/hubs/echo{whom}/:send");
    let sent = http::request(publisher, "POST", &path, Some(&body)).await;
    assert_eq!(sent.status, 202, "{sent:?}");
}

/// A client that noticed nothing has everything; one that was told that it begins anew has nothing
/// twice, nor in another order.
async fn has_what_it_should(peer: &Peer, before: Option<String>, said: &[Value]) -> bool {
    if peer.connection() == before {
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
        peer.called_with("Told0", said).await;
        return true;
    }
    assert_eq!(peer.count("reconnecting"), 1, "it was told");
    let heard = peer.called("Told0");
    let numbers: Vec<_> = heard.iter().map(|arguments| arguments[0].as_u64()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    false
}

#[tokio::test]
async fn whenever_a_node_is_killed_within_a_move_each_client_is_on_one_node_and_knows_it() {
    let (node, redis) = (need!(tools::node()), need!(tools::redis()));
    let redis = Server::start(&redis, redis::VOLATILE).await;
    // The node that drains, and one of those that its sessions move to.
    for killed in [0, 1] {
        // About when they move: `stop.announce` and a little.
        for moment in [104, 112] {
            let mut nodes: [Everwire; 3] = nodes(&redis).await;
            let front = in_front_of(&nodes).await;
            let peers = crowd(&lasting(&node, front.address(), "json")).await;
            let before: Vec<_> = peers.iter().map(Peer::connection).collect();
            let publisher = nodes[2].admin();
            let said = say_during(publisher, async {
                nodes[0].process().terminate();
                sleep(Duration::from_millis(moment)).await;
                nodes[killed].process().kill();
                nodes[0].process().ended().await;
                for peer in &peers {
                    eventually_within(PATIENCE, "a client that is there again", async || {
                        say_to(publisher, "", "Told1", &json!([])).await;
                        (!peer.called("Told1").is_empty()).then_some(())
                    })
                    .await;
                }
            })
            .await;
            let mut kept = 0;
            for (peer, before) in peers.iter().zip(before) {
                kept += usize::from(has_what_it_should(peer, before, &said).await);
            }
            println!("node {killed} killed after {moment} ms: {kept} of {CROWD} noticed nothing");
            let left = if killed == 0 { &nodes[1..] } else { &nodes[2..] };
            eventually_within(PATIENCE, "each client once", async || {
                let mut there = 0.0;
                for node in left {
                    there += node.metric("everwire_hub_connections").await;
                }
                (there == CROWD as f64).then_some(())
            })
            .await;
        }
    }
}

const CROWD: usize = 6;

/// Longer than a session waits for its client, and than a client waits between two attempts.
const PATIENCE: Duration = Duration::from_secs(90);
