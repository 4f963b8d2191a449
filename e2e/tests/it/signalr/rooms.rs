//! Who is reached: rooms, users, others, everybody, in whatever way each talks.

use everwire_testkit::{need, signalr::Peer, site::Site, tools, wait::until_equal};
use serde_json::json;

use super::{each_way, npm};

/// One client for each way to talk, all listening.
async fn crowd(node: &std::path::Path, site: &Site) -> Vec<Peer> {
    let mut crowd = Vec::new();
    for launch in each_way(node, &site.url("/roomhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("Said");
        // A round trip, so that the client listens.
        peer.call("WhoAmI", json!([])).await;
        crowd.push(peer);
    }
    crowd
}

/// What everybody has heard, once everything that was said before has gone its way: whatever node
/// somebody speaks at, what they say comes in their order. What different ones say has none.
async fn heard(crowd: &mut [Peer]) -> Vec<Vec<String>> {
    let mut ids = Vec::new();
    for peer in crowd.iter_mut() {
        ids.push(peer.call("MyId", json!([])).await);
    }
    for peer in crowd.iter_mut() {
        for id in &ids {
            peer.call("SayToConnection", json!([id, END])).await;
        }
    }
    let ends = |peer: &Peer| peer.called("Said").iter().filter(|said| said[0] == END).count();
    let mut all = Vec::new();
    for peer in crowd.iter() {
        until_equal("ends", ids.len(), async || ends(peer)).await;
        let said = peer.called("Said").into_iter().filter(|said| said[0] != END);
        let mut said: Vec<_> = said.map(|said| said[0].as_str().unwrap().to_owned()).collect();
        said.sort_unstable();
        all.push(said);
    }
    all
}

const END: &str = "end";

on_one_node_and_on_three! {
    a_message_reaches_everybody_or_all_others,
    a_room_is_who_has_joined_and_not_left,
    a_user_is_reached_on_every_connection_of_theirs,
}

async fn a_message_reaches_everybody_or_all_others(site: Site) {
    let node = need!(tools::node());
    let mut crowd = crowd(&node, &site).await;
    crowd[0].call("SayToAll", json!(["all"])).await;
    crowd[4].call("SayToOthers", json!(["others"])).await;
    let heard = heard(&mut crowd).await;
    for there in &heard[..4] {
        assert_eq!(there, &["all", "others"]);
    }
    assert_eq!(heard[4], ["all"]);
}

async fn a_room_is_who_has_joined_and_not_left(site: Site) {
    let node = need!(tools::node());
    let mut crowd = crowd(&node, &site).await;
    for at in [0, 1, 2] {
        crowd[at].call("Join", json!(["red"])).await;
    }
    for at in [2, 3] {
        crowd[at].call("Join", json!(["Red"])).await;
    }
    crowd[4].call("SayToRoom", json!(["red", "1"])).await;
    for at in 0..4 {
        // Who leaves is not told what is still on its way.
        crowd[at].called_with("Said", &[json!(["1"])][..usize::from(at < 3)]).await;
    }
    crowd[1].call("SayToOthersInRoom", json!(["red", "2"])).await;
    crowd[1].call("Leave", json!(["red"])).await;
    crowd[1].call("SayToRooms", json!([["red", "Red", "none"], "3"])).await;
    let heard = heard(&mut crowd).await;
    assert_eq!(heard[0], ["1", "2", "3"]);
    assert_eq!(heard[1], ["1"]);
    assert_eq!(heard[2], ["1", "2", "3"], "in both rooms, and told once");
    assert_eq!(heard[3], ["3"]);
    assert!(heard[4].is_empty());
}

async fn a_user_is_reached_on_every_connection_of_theirs(site: Site) {
    let node = need!(tools::node());
    let mut crowd = Vec::new();
    for (launch, user) in each_way(&node, &site.url("/roomhub"))
        .into_iter()
        .zip(["anna", "anna", "bob", "Anna", "anna"])
    {
        let token = site.url(&format!("/generateJwtToken?user={user}"));
        let mut peer = Peer::start(&launch.with("token", token)).await;
        peer.on("Said");
        assert_eq!(peer.call("WhoAmI", json!([])).await, user);
        crowd.push(peer);
    }
    crowd[2].call("SayToUser", json!(["anna", "hello"])).await;
    let heard = heard(&mut crowd).await;
    let nothing: [&str; 0] = [];
    assert_eq!(heard[2], nothing);
    assert_eq!(heard[3], nothing, "names differ in case");
    for at in [0, 1, 4] {
        assert_eq!(heard[at], ["hello"]);
    }
}

/// What waits for a client that is frozen is limited, and beyond that the client is let go.
#[tokio::test]
async fn fault_b11_a_client_that_reads_nothing_holds_nobody_up() {
    let node = need!(tools::node());
    let site = Site::one().await;
    let mut frozen = crowd(&node, &site).await;
    for peer in &mut frozen {
        peer.process().freeze();
    }
    let mut other = Peer::start(&npm(&node, site.url("/roomhub"))).await;
    other.on("Said");
    // Beyond the queue's limit, and beyond what kernels keep.
    let long = "x".repeat(30_000);
    for _ in 0..400 {
        other.call("SayToAll", json!([long])).await;
    }
    assert_eq!(other.called("Said").len(), 400);
    for peer in &mut frozen {
        peer.process().wake();
        peer.closed().await;
    }
}
