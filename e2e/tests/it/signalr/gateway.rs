//! SignalR through the gateway: every transport, with what plain requests it needs.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    signalr::{Fixture, Peer},
    tools,
};
use serde_json::json;

use super::{WAYS, npm};

#[tokio::test]
async fn a_client_talks_through_the_gateway_over_each_transport() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let setup =
        Setup::new().backend(format!("ws://{}", fixture.address())).route("outage_max", r#""0s""#);
    let everwire = Everwire::start(&setup).await;
    let url = format!("http://{}/testhub", everwire.address());
    for (transport, protocol) in WAYS {
        let launch = npm(&node, &url).with("transport", transport).with("protocol", protocol);
        let mut peer = Peer::start(&launch).await;
        assert_eq!(peer.call("GetActiveTransportName", json!([])).await, transport);
        assert_eq!(peer.call("Echo", json!(["through"])).await, "through");
        let long = "x".repeat(20_000);
        assert_eq!(peer.call("Echo", json!([long])).await, long);
        assert_eq!(peer.stop().await, None);
    }
    everwire.requests_become(0).await;
    everwire.pipes_become(0).await;
}
