//! Three nodes behind a load balancer that sends each request to the next of them, and npm's client.

use std::{net::SocketAddr, path::Path};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Launch,
    need,
    relay::Relay,
    rivals::Rival,
    signalr::{Fixture, Peer},
    tools,
    wait::eventually,
};
use serde_json::{Value, json};

use super::{each_way, npm};

const SECRET: &str = "a secret that all three nodes have been told";

/// A hub that answers who calls it.
const HUB: &str = "[hubs.echo]\npath = \"/echo\"\n[hubs.echo.methods]\n\
    Say = { send = \"caller\", target = \"Said\" }\n";

async fn fixtures() -> [Fixture; 3] {
    [
        Fixture::start_node(SECRET).await,
        Fixture::start_node(SECRET).await,
        Fixture::start_node(SECRET).await,
    ]
}

async fn binaries() -> [Everwire; 3] {
    let setup = Setup::new().cluster(SECRET).hubs(HUB);
    [Everwire::start(&setup).await, Everwire::start(&setup).await, Everwire::start(&setup).await]
}

fn lasting(node: &Path, address: SocketAddr, path: &str, protocol: &str) -> Launch {
    let launch = npm(node, format!("http://{address}{path}"));
    launch.with("transport", "WebSockets").with("protocol", protocol).flag("stateful")
}

#[tokio::test]
async fn every_call_is_answered_whichever_node_a_request_comes_to() {
    let (node, haproxy) = (need!(tools::node()), need!(tools::haproxy()));
    let nodes = fixtures().await;
    let front = Rival::round_robin(&haproxy, &nodes.each_ref().map(Fixture::address)).await;
    let url = format!("http://{}/testhub", front.address());
    for launch in each_way(&node, &url) {
        let mut peers = Vec::new();
        // One more than there are nodes, so that each way begins elsewhere.
        for _ in 0..4 {
            peers.push(Peer::start(&launch).await);
        }
        for peer in &mut peers {
            peer.on("Message");
            let calls: Vec<u64> = (0..20)
                .map(|call| peer.begin("invoke", "Echo", json!([call.to_string()])))
                .collect();
            for (call, number) in calls.into_iter().enumerate() {
                assert_eq!(peer.end_of(number).await, Ok(json!(call.to_string())));
            }
            peer.call("InvokeWithString", json!(["told"])).await;
            peer.called_with("Message", &[json!(["told"])]).await;
            let (items, end) = peer.stream("Stream", json!([])).await;
            assert_eq!((items, end), (vec![json!("a"), json!("b"), json!("c")], Ok(Value::Null)));
            let words = json!(["Hello ", "world"]);
            let hello = peer.upload("StreamingConcat", words, None).await;
            assert_eq!(hello, Ok(json!("Hello world")));
        }
        for peer in &mut peers {
            assert_eq!(peer.stop().await, None);
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_at_whichever_node_its_client_comes_back_to() {
    let (node, haproxy) = (need!(tools::node()), need!(tools::haproxy()));
    let nodes = fixtures().await;
    let front = Rival::round_robin(&haproxy, &nodes.each_ref().map(Fixture::address)).await;
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![front.address()]).await;
        let launch = lasting(&node, cable.address(), "/roomhub", protocol);
        let mut peer = Peer::start(&launch).await;
        peer.on("Said");
        peer.call("Join", json!([protocol])).await;
        let before = peer.connection();
        let mut expected = Vec::new();
        for cut in 0..10 {
            for number in 0..20 {
                let text = format!("{cut} {number} {}", "x".repeat(1000));
                peer.begin("send", "SayToRoom", json!([protocol, text]));
                expected.push(json!([text]));
            }
            cable.cut();
            peer.called_with("Said", &expected).await;
        }
        assert_eq!(peer.call("MyId", json!([])).await.as_str(), before.as_deref());
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
        assert_eq!(peer.stop().await, None);
    }
}

#[tokio::test]
async fn hubs_of_the_binary_answer_at_any_node() {
    let (node, haproxy) = (need!(tools::node()), need!(tools::haproxy()));
    let nodes = binaries().await;
    let front = Rival::round_robin(&haproxy, &nodes.each_ref().map(Everwire::address)).await;
    let url = format!("http://{}/echo", front.address());
    for launch in each_way(&node, &url) {
        for _ in 0..4 {
            let mut peer = Peer::start(&launch).await;
            peer.on("Said");
            for text in ["one", "two", "three"] {
                peer.call("Say", json!([text])).await;
            }
            peer.called_with("Said", &[json!(["one"]), json!(["two"]), json!(["three"])]).await;
            assert_eq!(peer.stop().await, None);
        }
    }
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![front.address()]).await;
        let mut peer = Peer::start(&lasting(&node, cable.address(), "/echo", protocol)).await;
        peer.on("Said");
        let before = peer.connection();
        let mut expected = Vec::new();
        for cut in 0..6 {
            let call = peer.begin("invoke", "Say", json!([cut]));
            cable.cut();
            expected.push(json!([cut]));
            assert_eq!(peer.end_of(call).await, Ok(Value::Null));
            peer.called_with("Said", &expected).await;
        }
        assert_eq!(peer.connection(), before);
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
    }
}

#[tokio::test]
async fn a_client_whose_node_is_killed_begins_anew_at_another() {
    let (node, haproxy) = (need!(tools::node()), need!(tools::haproxy()));
    for (transport, protocol) in [("WebSockets", "json"), ("LongPolling", "messagepack")] {
        let mut nodes = binaries().await;
        let front = Rival::round_robin(&haproxy, &nodes.each_ref().map(Everwire::address)).await;
        let launch = npm(&node, format!("http://{}/echo", front.address()))
            .with("transport", transport)
            .with("protocol", protocol)
            .flag("stateful")
            .flag("reconnect");
        let mut peer = Peer::start(&launch).await;
        peer.on("Said");
        peer.call("Say", json!(["before"])).await;
        let before = peer.connection();
        let mut its = 0;
        for (at, node) in nodes.iter().enumerate() {
            if node.metric("everwire_hub_connections").await > 0.0 {
                its = at;
            }
        }
        nodes[its].process().kill();
        peer.reconnected(1).await;
        assert_ne!(peer.connection(), before, "{transport}");
        eventually("an answer", async || {
            peer.called("Said").contains(&json!(["before"])).then_some(())
        })
        .await;
        peer.call("Say", json!(["after"])).await;
        peer.called_with("Said", &[json!(["before"]), json!(["after"])]).await;
    }
}
