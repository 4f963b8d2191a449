//! Streams in both directions.

use everwire_testkit::{
    need,
    signalr::{Fixture, Peer, Refused},
    tools,
};
use serde_json::{Value, json};

use super::each_way;

#[tokio::test]
async fn a_stream_gives_its_items_and_ends() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for launch in each_way(&node, &fixture.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let (items, end) = peer.stream("Stream", json!([])).await;
        assert_eq!((items, end), (vec![json!("a"), json!("b"), json!("c")], Ok(Value::Null)));
        assert_eq!(peer.stream("EmptyStream", json!([])).await, (Vec::new(), Ok(Value::Null)));
    }
}

#[tokio::test]
async fn a_stream_that_fails_says_why() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    let thrown = "An unexpected error occurred invoking 'StreamThrowException' on the server. \
                  InvalidOperationException: Broken.";
    let wrong = "The client attempted to invoke the non-streaming 'Echo' method with a streaming \
                 invocation.";
    for launch in each_way(&node, &fixture.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let refused = |error: &str| (Vec::new(), Err(Refused(error.to_owned())));
        let said = peer.stream("StreamThrowException", json!(["Broken."])).await;
        assert_eq!(said, refused(thrown));
        assert_eq!(peer.stream("Echo", json!(["x"])).await, refused(wrong));
    }
}

#[tokio::test]
async fn a_stream_that_nobody_wants_any_more_is_canceled() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for launch in each_way(&node, &fixture.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("StreamCanceled");
        let call = peer.begin("stream", "InfiniteStream", json!([]));
        // Other calls go on beside a stream.
        assert_eq!(peer.call("Echo", json!(["beside"])).await, "beside");
        peer.cancel(call);
        peer.called_with("StreamCanceled", &[json!([])]).await;
    }
}

#[tokio::test]
async fn an_upload_reaches_its_method_in_order() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for launch in each_way(&node, &fixture.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let hello = peer.upload("StreamingConcat", json!(["Hello ", "world", "!"]), None).await;
        assert_eq!(hello, Ok(json!("Hello world!")));
        assert_eq!(peer.upload("StreamingConcat", json!([]), None).await, Ok(json!("")));
        let numbers: Vec<String> = (0..1000).map(|number| format!("{number} ")).collect();
        let many = peer.upload("StreamingConcat", json!(numbers), None).await;
        assert_eq!(many, Ok(json!(numbers.concat())));
    }
}

#[tokio::test]
async fn an_upload_that_fails_fails_its_method() {
    let node = need!(tools::node());
    let fixture = Fixture::start().await;
    for launch in each_way(&node, &fixture.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let failed = peer.upload("StreamingConcat", json!(["a"]), Some("Something bad")).await;
        let error = "An unexpected error occurred invoking 'StreamingConcat' on the server. \
                     HubException: Something bad";
        assert_eq!(failed, Err(Refused(error.to_owned())));
    }
}
