//! How connections end, and who comes back.

use everwire_testkit::{
    loopback::unique_address,
    need,
    signalr::{Fixture, Peer},
    site::Site,
    tools,
};
use serde_json::json;

use super::each_way;

on_one_node_and_on_three! {
    a_client_that_is_sent_away_for_good_does_not_come_back,
    a_message_that_is_too_long_ends_its_connection_alone,
    a_client_that_stopped_may_start_again,
    a_client_whose_greeting_fails_is_told_why,
}

async fn a_client_that_is_sent_away_for_good_does_not_come_back(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/roomhub")) {
        let mut peer = Peer::start(&launch.flag("reconnect")).await;
        peer.send("Abort", json!([])).await;
        assert_eq!(peer.closed().await, None);
        assert_eq!(peer.count("reconnecting"), 0);
    }
}

#[tokio::test]
async fn clients_come_back_to_a_server_that_was_restarted() {
    let node = need!(tools::node());
    let fixture = Fixture::start_at((unique_address(), 0).into()).await;
    let address = fixture.address();
    let mut crowd = Vec::new();
    for launch in each_way(&node, &fixture.url("/testhub")) {
        crowd.push(Peer::start(&launch.flag("reconnect")).await);
    }
    let before: Vec<_> = crowd.iter().map(Peer::connection).collect();
    fixture.stop_gracefully().await;
    let fixture = Fixture::start_at(address).await;
    for (peer, before) in crowd.iter_mut().zip(before) {
        peer.reconnected(1).await;
        assert_ne!(peer.connection(), before);
        assert_eq!(peer.call("Echo", json!(["again"])).await, "again");
        assert_eq!(peer.count("closed"), 0);
    }
    // The same once more, without a word.
    drop(fixture);
    let _fixture = Fixture::start_at(address).await;
    for peer in &mut crowd {
        peer.reconnected(2).await;
        assert_eq!(peer.call("Echo", json!(["again"])).await, "again");
    }
}

async fn a_message_that_is_too_long_ends_its_connection_alone(site: Site) {
    let node = need!(tools::node());
    let error = "Server returned an error on close: Connection closed with an error. \
                 InvalidDataException: The maximum message size of 32768B was exceeded. The \
                 message size can be configured in AddHubOptions.";
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut other = Peer::start(&launch).await;
        let mut peer = Peer::start(&launch).await;
        let fits = "x".repeat(32_000);
        assert_eq!(peer.call("Echo", json!([fits])).await, fits);
        peer.begin("send", "Echo", json!(["x".repeat(33_000)]));
        assert_eq!(peer.closed().await.as_deref(), Some(error));
        assert_eq!(other.call("Echo", json!(["unharmed"])).await, "unharmed");
    }
}

async fn a_client_that_stopped_may_start_again(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("Message");
        assert_eq!(peer.stop().await, None);
        assert_eq!(peer.try_connect().await["event"], "started");
        peer.call("InvokeWithString", json!(["after"])).await;
        peer.called_with("Message", &[json!(["after"])]).await;
    }
}

async fn a_client_whose_greeting_fails_is_told_why(site: Site) {
    let node = need!(tools::node());
    let error = "Server returned an error on close: Connection closed with an error. \
                 InvalidOperationException: This hub cannot be had.";
    for launch in each_way(&node, &site.url("/uncreatable")) {
        let mut peer = Peer::unconnected(&launch);
        // Whether its start fails or it is closed afterwards is a matter of who is quicker.
        let said = peer.try_connect().await;
        let told = match said["event"].as_str() {
            Some("failed") => said["error"].as_str().map(str::to_owned),
            _ => peer.closed().await,
        };
        assert_eq!(told.as_deref(), Some(error));
    }
}
