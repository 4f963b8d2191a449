//! Sessions that outlive their socket, with npm's client on the other side.

use everwire_testkit::{
    need,
    relay::Relay,
    signalr::{Fixture, Peer},
    tools,
};
use serde_json::json;

use super::npm;

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_a_socket_is_cut() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for protocol in ["json", "messagepack"] {
        let cable = Relay::start(vec![fixture.address()]).await;
        let url = format!("http://{}/roomhub", cable.address());
        let launch = npm(&node, url)
            .with("transport", "WebSockets")
            .with("protocol", protocol)
            .flag("stateful");
        let mut peer = Peer::start(&launch).await;
        let mut other = Peer::start(&npm(&node, fixture.url("/roomhub"))).await;
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
            expected.extend([json!([down]), json!([up])]);
            for peer in [&peer, &other] {
                peer.called_with("Said", &expected).await;
            }
        }
        assert_eq!(peer.call("MyId", json!([])).await.as_str(), before.as_deref());
        assert_eq!(peer.count("reconnecting") + peer.count("closed"), 0);
        assert_eq!(peer.stop().await, None);
    }
}
