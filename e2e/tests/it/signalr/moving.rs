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
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::npm;

const SECRET: &str = "a secret that all the nodes have been told";

/// A hub that answers who calls it.
const HUB: &str = "[stop]\nannounce = \"100ms\"\nwindow = \"500ms\"\n\
    [hubs.echo]\npath = \"/echo\"\n[hubs.echo.methods]\n\
    Say = { send = \"caller\", target = \"Said\" }\nJoin = { join = \"{0}\" }\n";

async fn nodes<const N: usize>(redis: &Server) -> [Everwire; N] {
    let lines = format!("[backplane]\nurl = \"{}\"\n{HUB}", redis.url());
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
    published: [Vec<Value>; 2],
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
        let by = number % 2;
        let told = json!([self.published[by].len()]);
        let body = json!({ "target": format!("Told{by}"), "arguments": told });
        let path = if number.is_multiple_of(3) { "" } else { "/groups/go" };
        let path = format!("/api/hubs/echo{path}/:send");
        let sent = http::request(publishers[by].admin(), "POST", &path, Some(&body)).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        self.published[by].push(told);
    }

    /// Everything has come, once and in order, and the client has noticed nothing.
    async fn is_whole(&self, peer: &Peer, before: Option<&str>) {
        peer.called_with("Said", &self.by_client).await;
        for (by, published) in self.published.iter().enumerate() {
            peer.called_with(&format!("Told{by}"), published).await;
        }
        assert_eq!(peer.connection().as_deref(), before);
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
    }
}

async fn talking(launch: &Launch) -> Peer {
    let mut peer = Peer::start(launch).await;
    for method in ["Said", "Told0", "Told1"] {
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
