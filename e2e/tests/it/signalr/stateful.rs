//! Sessions that outlive their socket, with npm's client on the other side.

use std::path::Path;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    foreign::Launch,
    loopback::unique_address,
    need,
    relay::Relay,
    signalr::{Fixture, Peer},
    site::Site,
    tools,
    wait::until_equal,
};
use serde_json::json;

use super::npm;

/// npm's client, which wants its session to outlive its socket.
fn lasting(node: &Path, url: String, protocol: &str) -> Launch {
    npm(node, url).with("transport", "WebSockets").with("protocol", protocol).flag("stateful")
}

on_one_node_and_on_three! {
    fault_b9_nothing_is_lost_or_doubled_when_a_socket_is_cut,
    calls_and_answers_wait_for_a_session_to_be_resumed,
}

async fn fault_b9_nothing_is_lost_or_doubled_when_a_socket_is_cut(site: Site) {
    let node = need!(tools::node());
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![site.address()]).await;
        let url = format!("http://{}/roomhub", cable.address());
        let launch = lasting(&node, url, protocol);
        let mut peer = Peer::start(&launch).await;
        let mut other = Peer::start(&npm(&node, site.url("/roomhub"))).await;
        for peer in [&mut peer, &mut other] {
            peer.on("Said");
            peer.call("Join", json!([protocol])).await;
        }
        let before = peer.connection();
        let mut expected = Vec::new();
        for cut in 0..5 {
            let (up, down) = (format!("{cut} up"), format!("{cut} down"));
            // What is said now gets no further than the cable.
            cable.hold();
            peer.begin("send", "SayToRoom", json!([protocol, up]));
            other.call("SayToRoom", json!([protocol, down])).await;
            cable.cut();
            cable.heal();
            expected.extend([down, up]);
            for peer in [&peer, &other] {
                until_equal("what was said", expected.clone(), async || said(peer)).await;
            }
        }
        assert_eq!(peer.call("MyId", json!([])).await.as_str(), before.as_deref());
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
        assert_eq!(peer.stop().await, None);
    }
}

/// What was said to a client, the earlier first; of one number in the order of the alphabet, since two
/// say it at two nodes.
fn said(peer: &Peer) -> Vec<String> {
    let said = peer.called("Said");
    let mut said: Vec<_> = said.iter().map(|said| said[0].as_str().unwrap().to_owned()).collect();
    let number = |text: &str| text.split(' ').next().map(str::to_owned);
    assert!(said.is_sorted_by_key(|text| number(text)), "{said:?}");
    said.sort_unstable();
    said
}

/// Each side keeps 100,000 bytes and waits then: more than that is under way at every cut.
async fn calls_and_answers_wait_for_a_session_to_be_resumed(site: Site) {
    let node = need!(tools::node());
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![site.address()]).await;
        let url = format!("http://{}/testhub", cable.address());
        let mut peer = Peer::start(&lasting(&node, url, protocol)).await;
        for cut in 0..5 {
            let text = |number| format!("{cut} {number} {}", "x".repeat(10_000));
            let begin = |number| peer.begin("invoke", "Echo", json!([text(number)]));
            let calls: Vec<u64> = (0..30).map(begin).collect();
            cable.cut();
            for (number, call) in calls.into_iter().enumerate() {
                assert_eq!(peer.end_of(call).await, Ok(json!(text(number))));
            }
        }
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
    }
}

/// A client that has lost its server tries its old session first, which the new server must bear.
#[tokio::test]
async fn a_session_that_is_gone_is_begun_anew() {
    let node = need!(tools::node());
    let fixture = Fixture::start_at((unique_address(), 0).into()).await;
    let address = fixture.address();
    let launch = lasting(&node, fixture.url("/testhub"), "json").flag("reconnect");
    let mut peer = Peer::start(&launch).await;
    let before = peer.connection();
    fixture.stop_gracefully().await;
    let fixture = Fixture::start_at(address).await;
    peer.reconnected(1).await;
    assert_ne!(peer.connection(), before);
    assert_eq!(peer.call("Echo", json!(["again"])).await, "again");
    drop(fixture);
    let _fixture = Fixture::start_at(address).await;
    peer.reconnected(2).await;
    assert_eq!(peer.call("Echo", json!(["again"])).await, "again");
}

/// A client that was away for too long is told so: it begins anew, as somebody else, and knows it.
#[tokio::test]
async fn fault_b9_a_client_that_is_away_for_longer_than_its_session_is_kept_knows_it() {
    let node = need!(tools::node());
    let hub = "[hubs.echo]\npath = \"/echo\"\ndisconnect_timeout = \"1s\"\n[hubs.echo.methods]\n\
               Say = { send = \"caller\", target = \"Said\" }\n";
    let everwire = Everwire::start(&Setup::new().hubs(hub)).await;
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![everwire.address()]).await;
        let url = format!("http://{}/echo", cable.address());
        let mut peer = Peer::start(&lasting(&node, url, protocol).flag("reconnect")).await;
        peer.on("Said");
        peer.call("Say", json!(["before"])).await;
        let before = peer.connection();
        cable.hold();
        cable.cut();
        let kept = async || everwire.metric("everwire_hub_connections").await;
        until_equal("sessions that are kept", 0.0, kept).await;
        cable.heal();
        peer.reconnected(1).await;
        assert_eq!(peer.count("reconnecting"), 1);
        assert_ne!(peer.connection(), before);
        peer.call("Say", json!(["after"])).await;
        peer.called_with("Said", &[json!(["before"]), json!(["after"])]).await;
        assert_eq!(peer.stop().await, None);
    }
}
