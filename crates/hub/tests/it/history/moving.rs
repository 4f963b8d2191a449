//! Several nodes: a client comes back at another one while messages flow.

use std::time::Duration;

use everwire_hub::Hub;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Follower, HUB, say, with_history};
use crate::{
    fanout::Nodes,
    peer::{Served, Stock},
};

/// Sends numbers to everybody, some thousand a second, from one node after the other; gives the last.
pub(super) async fn flow(hubs: Vec<Hub>, last: u64) -> u64 {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for number in 1..=last {
        let hub = &hubs[0];
        hub.all().send("m", &(number,)).unwrap();
        if number % 2 == 0 {
            tick.tick().await;
        }
    }
    last
}

/// A new connection of the client there, which wants what it missed first.
pub(super) async fn come_back(mut follower: Follower<Stock>, served: &Served) -> Follower<Stock> {
    // A client looks at all of a frame, or its connection was cut before it had any of it.
    while follower.peer.has_more() {
        follower.step().await;
    }
    let Follower { seen, cursor, gaps, peer } = follower;
    drop(peer);
    let mut peer = served.stranger("?recover=first").await;
    peer.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    Follower { seen, cursor, gaps, peer }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recover_at_another_node_misses_and_doubles_nothing_while_messages_flow() {
    let nodes = Nodes::of(3, with_history).await;
    let mut follower = Follower::new(nodes.nodes[0].served.peer().await);
    assert!(follower.recover(&HUB).await);
    let mut flowing = JoinSet::new();
    flowing.spawn(flow(vec![nodes.hub(1).clone()], 4000));
    for round in 1..=12 {
        follower.until(round * 300).await;
        follower = come_back(follower, &nodes.nodes[round as usize % 3].served).await;
        assert!(follower.recover(&HUB).await, "round {round}");
    }
    follower.until(4000).await;
    assert_eq!(follower.seen, (1..=4000).collect::<Vec<_>>());
    assert_eq!(follower.gaps, 0);
}

#[tokio::test]
async fn all_clients_of_all_nodes_see_one_order() {
    let nodes = Nodes::of(3, with_history).await;
    let mut followers = Vec::new();
    for node in &nodes.nodes {
        let mut follower = Follower::new(node.served.peer().await);
        follower.peer.call("Join", r#"["room"]"#).await;
        assert!(follower.recover(&json!("room")).await);
        followers.push(follower);
    }
    for number in 0..300 {
        let hub = nodes.hub(number as usize % 3);
        hub.group("room").send("m", &(number,)).unwrap();
    }
    let mut orders = Vec::new();
    for follower in &mut followers {
        while follower.seen.len() < 300 {
            follower.step().await;
        }
        orders.push(follower.seen.clone());
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
}

#[tokio::test]
async fn what_is_recorded_waits_for_the_backplane_and_comes_to_all() {
    let nodes = Nodes::of(2, with_history).await;
    let mut here = Follower::new(nodes.nodes[0].served.peer().await);
    let mut there = Follower::new(nodes.nodes[1].served.peer().await);
    assert!(here.recover(&HUB).await && there.recover(&HUB).await);
    nodes.cluster.cut();
    say(nodes.hub(0), 1..=50);
    let refused = here.ask(&HUB, &json!(null)).await;
    assert!(refused["error"].as_str().unwrap().contains("cannot be read now"), "{refused}");
    nodes.cluster.heal();
    say(nodes.hub(0), 51..=60);
    for follower in [&mut here, &mut there] {
        follower.until(60).await;
        assert_eq!(follower.seen, (1..=60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_emptied_backplane_is_a_gap_for_who_follows_and_no_recovery() {
    let nodes = Nodes::of(2, with_history).await;
    let mut follower = Follower::new(nodes.nodes[0].served.peer().await);
    assert!(follower.recover(&HUB).await);
    say(nodes.hub(0), 1..=5);
    follower.until(5).await;
    let mut late = Follower::new(nodes.nodes[1].served.peer().await);
    late.cursor = follower.cursor.clone();
    nodes.cluster.empty();
    assert!(!late.recover(&HUB).await);
    while follower.gaps == 0 {
        follower.step().await;
    }
    say(nodes.hub(0), 6..=9);
    follower.until(9).await;
    late.until(9).await;
    assert_eq!(follower.seen, (1..=9).collect::<Vec<_>>());
    assert_eq!(late.seen, [6, 7, 8, 9]);
    let mut later = Follower::new(nodes.nodes[1].served.peer().await);
    later.cursor = follower.cursor.clone();
    while follower.cursor["offset"] != 4 {
        follower.step().await;
    }
    assert!(later.recover(&HUB).await, "the new epoch counts");
}
