//! Connections without a hub protocol.

use std::path::Path;

use everwire_testkit::{foreign::Launch, need, scripted::Wire, signalr::Peer, site::Site, tools};
use serde_json::json;

fn raw(node: &Path, url: &str, transport: &str) -> Launch {
    Launch::node(node, "signalr_raw.mjs").with("url", url).with("transport", transport)
}

on_one_node_and_on_three! {
    what_is_said_comes_back_over_each_transport,
    a_connection_of_requests_follows_redirects,
    who_has_not_brought_its_cookie_hears_nothing,
    a_close_is_answered_with_a_normal_one,
}

async fn what_is_said_comes_back_over_each_transport(site: Site) {
    let node = need!(tools::node());
    for transport in ["WebSockets", "ServerSentEvents", "LongPolling"] {
        let mut peer = Peer::start(&raw(&node, &site.url("/echo"), transport)).await;
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
async fn a_connection_of_requests_follows_redirects(site: Site) {
    let node = need!(tools::node());
    for transport in ["ServerSentEvents", "LongPolling"] {
        let mut peer = Peer::start(&raw(&node, &site.url("/echoredirect"), transport)).await;
        peer.send("", json!(["there"])).await;
        peer.called_with("heard", &[json!(["there"])]).await;
        assert_eq!(peer.stop().await, None);
    }
}

async fn who_has_not_brought_its_cookie_hears_nothing(site: Site) {
    let negotiated = site.request("POST", "/echo/negotiate?negotiateVersion=1").await.json();
    let token = negotiated["connectionToken"].as_str().expect("a token");
    let target = format!("/echo?id={token}");
    assert_eq!(site.request("GET", &target).await.status, 200, "the first poll");
    assert_eq!(site.request("GET", &target).await.status, 204, "and the last");
}

/// A Close without a status is answered with one: clients look at it.
async fn a_close_is_answered_with_a_normal_one(site: Site) {
    let mut wire = Wire::upgrade(site.address(), "/echo", &[]).await;
    wire.send(&[0x88, 0x80, 0, 0, 0, 0]).await;
    let answer = wire.next_frame_whenever().await.expect("a frame");
    assert_eq!(answer.close_code(), Some(1000));
}
