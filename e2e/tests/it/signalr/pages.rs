//! npm's client on a page of headless Chromium, which is of another origin than the hub.

use std::path::Path;

use everwire_testkit::{
    foreign::Launch,
    loopback::unique_address,
    need,
    signalr::{Fixture, Peer, Refused},
    tools,
};
use serde_json::{Value, json};

use super::WAYS;

/// A page for each way to talk.
pub(super) fn pages(node: &Path, browser: &Path, url: &str) -> Vec<Launch> {
    let talking = |(transport, protocol)| {
        Launch::node(node, "signalr_browser.mjs")
            .with("browser", browser.display())
            .with("url", url)
            .with("transport", transport)
            .with("protocol", protocol)
    };
    WAYS.map(talking).into()
}

#[tokio::test]
async fn pages_talk_to_a_hub_of_another_origin() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let fixture = Fixture::start().await;
    for (launch, (transport, _)) in
        pages(&node, &browser, &fixture.url("/testhub")).iter().zip(WAYS)
    {
        let mut peer = Peer::start(launch).await;
        assert_eq!(peer.call("Echo", json!(["你好，世界！"])).await, "你好，世界！");
        assert_eq!(peer.call("GetActiveTransportName", json!([])).await, transport);
        // Cookies travel with credentials alone, and so do not reach a server that takes none.
        assert_eq!(peer.call("GetCookie", json!(["testCookie"])).await, "testValue");
        let error = "An unexpected error occurred invoking 'ThrowException' on the server. \
                     InvalidOperationException: Broken.";
        assert_eq!(peer.fail("ThrowException", json!(["Broken."])).await, error);

        let (items, end) = peer.stream("Stream", json!([])).await;
        assert_eq!((items, end), (vec![json!("a"), json!("b"), json!("c")], Ok(Value::Null)));
        peer.on("StreamCanceled");
        let endless = peer.begin("stream", "InfiniteStream", json!([]));
        peer.cancel(endless);
        peer.called_with("StreamCanceled", &[json!([])]).await;
        let words: Vec<String> = (0..500).map(|number| format!("{number} ")).collect();
        let whole = peer.upload("StreamingConcat", json!(words), None).await;
        assert_eq!(whole, Ok(json!(words.concat())));
        let failed = peer.upload("StreamingConcat", json!([]), Some("Something bad")).await;
        let error = "An unexpected error occurred invoking 'StreamingConcat' on the server. \
                     HubException: Something bad";
        assert_eq!(failed, Err(Refused(error.into())));

        peer.answer("Result", Ok(json!(7)));
        peer.call("Echo", json!(["it answers now"])).await;
        let path = format!("/clientresult/{}", peer.connection().expect("it has negotiated"));
        assert_eq!(fixture.request("GET", &path).await.body, "7");
        assert_eq!(peer.stop().await, None);
    }
}

/// Pages cannot put a token in a header of a WebSocket or an event stream.
#[tokio::test]
async fn pages_have_tokens_over_each_transport() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let fixture = Fixture::start().await;
    let token = fixture.url("/generateJwtToken");
    for launch in pages(&node, &browser, &fixture.url("/authorizedhub")) {
        let mut peer = Peer::start(&launch.with("token", &token)).await;
        assert_eq!(peer.call("Echo", json!(["in"])).await, "in");
    }
}

#[tokio::test]
async fn pages_come_back_to_a_server_that_was_restarted() {
    let (node, browser) = (need!(tools::node()), need!(tools::chromium()));
    let fixture = Fixture::start_at((unique_address(), 0).into()).await;
    let address = fixture.address();
    let mut crowd = Vec::new();
    for launch in pages(&node, &browser, &fixture.url("/testhub")) {
        crowd.push(Peer::start(&launch.flag("reconnect")).await);
    }
    fixture.stop_gracefully().await;
    let _fixture = Fixture::start_at(address).await;
    for peer in &mut crowd {
        peer.reconnected(1).await;
        assert_eq!(peer.call("Echo", json!(["again"])).await, "again");
    }
}
