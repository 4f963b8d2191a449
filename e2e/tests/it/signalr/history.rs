//! A client of npm's that follows a hub with a history, two nodes of the binary, and a Redis.

use std::time::Duration;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    redis::{DURABLE, Server},
    relay::Relay,
    signalr::Peer,
    tools,
    wait::eventually,
};
use serde_json::{Value, json};

use super::npm;

const HUB: &str = "[hubs.news]\npath = \"/news\"\n\
    [hubs.news.history]\ngroups = []\n\
    [hubs.news.methods]\nTell = { send = \"all\", target = \"Told\" }\n";

async fn node(redis: &Server) -> Everwire {
    let backplane = format!("[backplane]\nurl = \"{}\"\n", redis.url());
    let setup = Setup::new().cluster("a secret that both nodes have been told");
    Everwire::start(&setup.hubs(&format!("{backplane}{HUB}"))).await
}

/// Publishes numbers while `meanwhile` goes on; gives the last.
async fn tell(teller: &mut Peer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        teller.call("Tell", json!([number])).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recover_a_client_that_comes_back_at_another_node_has_each_message_once() {
    let (program, redis) = (need!(tools::node()), need!(tools::redis()));
    let redis = Server::start(&redis, DURABLE).await;
    let (one, other) = (node(&redis).await, node(&redis).await);
    // One connection goes to the one, the next to the other.
    let cable = Relay::start(vec![one.address(), other.address()]).await;
    let url = format!("http://{}/news?recover=first", cable.address());
    let launch = npm(&program, url).with("transport", "WebSockets");
    let launch = launch.flag("skipNegotiation").flag("reconnect").flag("follow");
    let mut follower = Peer::unconnected(&launch);
    follower.on("Told");
    assert_eq!(follower.try_connect().await["event"], "started");
    let mut teller = Peer::start(&npm(&program, other.url("/news"))).await;
    tell(&mut teller, 0..50).await;
    for cut in 1..=6 {
        cable.cut();
        tell(&mut teller, cut * 50..cut * 50 + 50).await;
        follower.reconnected(cut as usize).await;
        eventually("the client to have recovered", async || {
            (follower.count("recovered") == cut as usize).then_some(())
        })
        .await;
    }
    let expected: Vec<Value> = (0..350).map(|number| json!([number])).collect();
    follower.called_with("Told", &expected).await;
    assert_eq!(follower.count("loads"), 1, "at the beginning, and never because of a loss");
    assert_eq!(follower.stop().await, None);
    tokio::time::timeout(Duration::from_secs(5), teller.stop()).await.expect("an end");
}

#[test]
fn the_documentation_shows_the_example_that_is_tested() {
    let example = std::fs::read_to_string(tools::workspace().join("e2e/node/follow.mjs")).unwrap();
    let (_, function) = example.split_once("export ").unwrap();
    let shown = std::fs::read_to_string(tools::workspace().join("docs/history.md")).unwrap();
    assert!(shown.contains(function), "docs/history.md shows e2e/node/follow.mjs as it is");
}
