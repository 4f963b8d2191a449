//! How clients come in: negotiation, redirects, tokens, cookies, origins.

use everwire_testkit::{
    need,
    signalr::{Fixture, Peer},
    site::Site,
    tools,
};
use serde_json::json;

use super::{WAYS, each_way, npm};

on_one_node_and_on_three! {
    a_connection_knows_how_it_came,
    a_client_takes_the_best_transport_that_it_can_use,
    a_client_may_skip_negotiation,
    only_who_has_a_token_comes_in,
    a_refused_negotiation_is_told_to_the_client,
    negotiation_answers_as_the_official_servers,
}

async fn a_connection_knows_how_it_came(site: Site) {
    let node = need!(tools::node());
    let headers = json!({ "User-Agent": "Custom Agent", "X-HEADER": "VALUE" });
    for (launch, (transport, _)) in each_way(&node, &site.url("/testhub")).into_iter().zip(WAYS) {
        let mut peer = Peer::start(&launch.with("headers", &headers)).await;
        assert_eq!(peer.call("GetActiveTransportName", json!([])).await, transport);
        let id = peer.call("GetCallerConnectionId", json!([])).await;
        assert_eq!(id.as_str(), peer.connection().as_deref());
        assert_eq!(peer.call("GetHeader", json!(["User-Agent"])).await, "Custom Agent");
        assert_eq!(peer.call("GetHeader", json!(["x-header"])).await, "VALUE");
        assert_eq!(peer.call("GetCookie", json!(["testCookie"])).await, "testValue");
        assert_eq!(peer.call("GetCookie", json!(["testCookie2"])).await, "testValue2");
        assert_eq!(peer.call("GetCookie", json!(["expiredCookie"])).await, json!(null));
    }
}

async fn a_client_takes_the_best_transport_that_it_can_use(site: Site) {
    let node = need!(tools::node());
    let expected = [
        ("/testhub", "json", "WebSockets"),
        ("/testhub", "messagepack", "WebSockets"),
        ("/testhub-nowebsockets", "json", "ServerSentEvents"),
        ("/testhub-nowebsockets", "messagepack", "LongPolling"),
    ];
    for (path, protocol, transport) in expected {
        let launch = npm(&node, site.url(path)).with("protocol", protocol);
        let mut peer = Peer::start(&launch).await;
        assert_eq!(peer.call("GetActiveTransportName", json!([])).await, transport);
    }
}

async fn a_client_may_skip_negotiation(site: Site) {
    let node = need!(tools::node());
    for protocol in ["json", "messagepack"] {
        let launch = npm(&node, site.url("/testhub"))
            .with("transport", "WebSockets")
            .with("protocol", protocol)
            .flag("skipNegotiation");
        let mut peer = Peer::start(&launch).await;
        assert_eq!(peer.connection(), None);
        assert_eq!(peer.call("Echo", json!(["straight"])).await, "straight");
    }
}

#[tokio::test]
async fn a_client_comes_over_tls() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for (transport, protocol) in WAYS {
        let launch = npm(&node, fixture.tls_url("/testhub"))
            .with("transport", transport)
            .with("protocol", protocol)
            .flag("insecure");
        let mut peer = Peer::start(&launch).await;
        let text = "x".repeat(20_000);
        assert_eq!(peer.call("Echo", json!([text])).await, text);
        assert_eq!(peer.call("GetCookie", json!(["testCookie"])).await, "testValue");
        assert_eq!(peer.stop().await, None);
    }
}

#[tokio::test]
async fn a_client_follows_redirects_of_its_negotiation() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let url = format!("/redirect?baseUrl={}", fixture.url(""));
    for turn in 1..=2 {
        let mut peer = Peer::start(&npm(&node, fixture.url(&url))).await;
        assert_eq!(peer.call("GetNumRedirects", json!([])).await, turn);
    }
}

async fn only_who_has_a_token_comes_in(site: Site) {
    let node = need!(tools::node());
    let token = site.url("/generateJwtToken");
    for launch in each_way(&node, &site.url("/authorizedhub")) {
        let mut peer = Peer::start(&launch.clone().with("token", &token)).await;
        assert_eq!(peer.call("Echo", json!(["in"])).await, "in");
        assert_eq!(peer.stop().await, None);
        let wrong = site.url("/bad-negotiate");
        for stranger in [launch.clone(), launch.with("token", wrong)] {
            let failed = Peer::unconnected(&stranger).try_connect().await;
            let error = "Failed to complete negotiation with the server: Error: Unauthorized: \
                         Status code '401'";
            assert_eq!(failed["error"], error);
        }
    }
}

async fn a_refused_negotiation_is_told_to_the_client(site: Site) {
    let node = need!(tools::node());
    let refused = [
        (
            "/bad-negotiate",
            "Failed to complete negotiation with the server: Error: Some response from server: \
             Status code '400'",
        ),
        (
            "/nowhere",
            "Failed to complete negotiation with the server: Error: Not Found: Status code '404' \
             Either this is not a SignalR endpoint or there is a proxy blocking the connection.",
        ),
    ];
    for (path, error) in refused {
        let failed = Peer::unconnected(&npm(&node, site.url(path))).try_connect().await;
        assert_eq!(failed["error"], error);
    }
}

async fn negotiation_answers_as_the_official_servers(site: Site) {
    let zero = site.request("POST", "/testhub/negotiate").await.json();
    assert_eq!(zero["negotiateVersion"], 0);
    assert_eq!(zero["connectionToken"], json!(null));
    let one = site.request("POST", "/testHub/negotiate?NEGOTIATEVERSION=7").await.json();
    assert_eq!(one["negotiateVersion"], 1);
    assert_ne!(one["connectionToken"], one["connectionId"]);
    assert_eq!(one["useStatefulReconnect"], json!(null));
    assert_eq!(one["availableTransports"][1]["transferFormats"], json!(["Text"]));
    let wrong = site.request("POST", "/testhub/negotiate?negotiateVersion=x").await.json();
    let error = "The client requested a non-integer protocol version.";
    assert_eq!(wrong, json!({ "error": error }));
    assert_eq!(site.request("GET", "/testhub/negotiate").await.status, 405);
    let unknown = site.request("GET", "/testhub?id=nobody").await;
    assert_eq!((unknown.status, &*unknown.body), (404, "No Connection with that ID"));
    let nobody = site.request("GET", "/testhub").await;
    assert_eq!((nobody.status, &*nobody.body), (400, "Connection ID required"));
}
