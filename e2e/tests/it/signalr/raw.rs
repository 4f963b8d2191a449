//! Connections without a hub protocol.

use std::path::Path;

use everwire_testkit::{
    foreign::Launch,
    need,
    scripted::Wire,
    signalr::{Fixture, Peer},
    tools,
};
use serde_json::json;

fn raw(node: &Path, url: &str, transport: &str) -> Launch {
    Launch::node(node, "signalr_raw.mjs").with("url", url).with("transport", transport)
}

#[tokio::test]
async fn what_is_said_comes_back_over_each_transport() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for transport in ["WebSockets", "ServerSentEvents", "LongPolling"] {
        let mut peer = Peer::start(&raw(&node, &fixture.url("/echo"), transport)).await;
        let mut said = Vec::new();
        for number in 0..10 {
            let words = json!([format!("Hello World! {number}")]);
            peer.send("", words.clone()).await;
            said.push(words);
            peer.called_with("heard", &said).await;
        }
        assert_eq!(peer.stop().await, None);
    }
}

/// No WebSocket client follows a redirect.
#[tokio::test]
async fn a_connection_of_requests_follows_redirects() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for transport in ["ServerSentEvents", "LongPolling"] {
        let mut peer = Peer::start(&raw(&node, &fixture.url("/echoredirect"), transport)).await;
        peer.send("", json!(["there"])).await;
        peer.called_with("heard", &[json!(["there"])]).await;
        assert_eq!(peer.stop().await, None);
    }
}

#[tokio::test]
async fn who_has_not_brought_its_cookie_hears_nothing() {
    let fixture = Fixture::start().await;
    let negotiated = fixture.request("POST", "/echo/negotiate?negotiateVersion=1").await.json();
    let token = negotiated["connectionToken"].as_str().expect("a token");
    let target = format!("/echo?id={token}");
    assert_eq!(fixture.request("GET", &target).await.status, 200, "the first poll");
    assert_eq!(fixture.request("GET", &target).await.status, 204, "and the last");
}

/// A Close without a status is answered with one: clients look at it.
#[tokio::test]
async fn a_close_is_answered_with_a_normal_one() {
    let fixture = Fixture::start().await;
    let mut wire = Wire::upgrade(fixture.address(), "/echo", &[]).await;
    wire.send(&[0x88, 0x80, 0, 0, 0, 0]).await;
    let answer = wire.next_frame_whenever().await.expect("a frame");
    assert_eq!(answer.close_code(), Some(1000));
}
