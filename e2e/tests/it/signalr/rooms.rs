//! Who is reached: rooms, users, others, everybody, in whatever way each talks.

use everwire_testkit::{
    need,
    signalr::{Fixture, Peer},
    tools,
};
use serde_json::{Value, json};

use super::{each_way, npm};

/// One client for each way to talk, all listening.
async fn crowd(node: &std::path::Path, fixture: &Fixture) -> Vec<Peer> {
    let mut crowd = Vec::new();
    for launch in each_way(node, &fixture.url("/roomhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("Said");
        // A round trip, so that the client listens.
        peer.call("WhoAmI", json!([])).await;
        crowd.push(peer);
    }
    crowd
}

/// What everybody has heard, once everything that was said before has gone its way.
async fn heard(crowd: &mut [Peer]) -> Vec<Vec<Value>> {
    for peer in crowd.iter_mut() {
        let id = peer.call("MyId", json!([])).await;
        peer.call("SayToConnection", json!([id, "end"])).await;
    }
    crowd
        .iter()
        .map(|peer| {
            let mut heard: Vec<Value> = peer.called("Said");
            assert_eq!(heard.pop(), Some(json!(["end"])));
            heard.into_iter().map(|arguments| arguments[0].clone()).collect()
        })
        .collect()
}

#[tokio::test]
async fn a_message_reaches_everybody_or_all_others() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let mut crowd = crowd(&node, &fixture).await;
    crowd[0].call("SayToAll", json!(["all"])).await;
    crowd[4].call("SayToOthers", json!(["others"])).await;
    let heard = heard(&mut crowd).await;
    for there in &heard[..4] {
        assert_eq!(there, &["all", "others"]);
    }
    assert_eq!(heard[4], ["all"]);
}

#[tokio::test]
async fn a_room_is_who_has_joined_and_not_left() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let mut crowd = crowd(&node, &fixture).await;
    for at in [0, 1, 2] {
        crowd[at].call("Join", json!(["red"])).await;
    }
    for at in [2, 3] {
        crowd[at].call("Join", json!(["Red"])).await;
    }
    crowd[4].call("SayToRoom", json!(["red", "1"])).await;
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

#[tokio::test]
async fn a_user_is_reached_on_every_connection_of_theirs() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let mut crowd = Vec::new();
    for (launch, user) in each_way(&node, &fixture.url("/roomhub"))
        .into_iter()
        .zip(["anna", "anna", "bob", "Anna", "anna"])
    {
        let token = fixture.url(&format!("/generateJwtToken?user={user}"));
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
async fn a_client_that_reads_nothing_holds_nobody_up() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let mut frozen = crowd(&node, &fixture).await;
    for peer in &mut frozen {
        peer.process().freeze();
    }
    let mut other = Peer::start(&npm(&node, fixture.url("/roomhub"))).await;
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
