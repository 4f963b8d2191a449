//! Streams in both directions.

use everwire_testkit::{
    need,
    signalr::{Peer, Refused},
    site::Site,
    tools,
};
use serde_json::{Value, json};

use super::each_way;

on_one_node_and_on_three! {
    a_stream_gives_its_items_and_ends,
    a_stream_that_fails_says_why,
    a_stream_that_nobody_wants_any_more_is_canceled,
    an_upload_reaches_its_method_in_order,
    an_upload_that_fails_fails_its_method,
}

async fn a_stream_gives_its_items_and_ends(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let (items, end) = peer.stream("Stream", json!([])).await;
        assert_eq!((items, end), (vec![json!("a"), json!("b"), json!("c")], Ok(Value::Null)));
        assert_eq!(peer.stream("EmptyStream", json!([])).await, (Vec::new(), Ok(Value::Null)));
    }
}

async fn a_stream_that_fails_says_why(site: Site) {
    let node = need!(tools::node());
    let thrown = "An unexpected error occurred invoking 'StreamThrowException' on the server. \
                  InvalidOperationException: Broken.";
    let wrong = "The client attempted to invoke the non-streaming 'Echo' method with a streaming \
                 invocation.";
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let refused = |error: &str| (Vec::new(), Err(Refused(error.to_owned())));
        let said = peer.stream("StreamThrowException", json!(["Broken."])).await;
        assert_eq!(said, refused(thrown));
        assert_eq!(peer.stream("Echo", json!(["x"])).await, refused(wrong));
    }
}

async fn a_stream_that_nobody_wants_any_more_is_canceled(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("StreamCanceled");
        let call = peer.begin("stream", "InfiniteStream", json!([]));
        // Other calls go on beside a stream.
        assert_eq!(peer.call("Echo", json!(["beside"])).await, "beside");
        peer.cancel(call);
        peer.called_with("StreamCanceled", &[json!([])]).await;
    }
}

async fn an_upload_reaches_its_method_in_order(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let hello = peer.upload("StreamingConcat", json!(["Hello ", "world", "!"]), None).await;
        assert_eq!(hello, Ok(json!("Hello world!")));
        assert_eq!(peer.upload("StreamingConcat", json!([]), None).await, Ok(json!("")));
        let numbers: Vec<String> = (0..1000).map(|number| format!("{number} ")).collect();
        let many = peer.upload("StreamingConcat", json!(numbers), None).await;
        assert_eq!(many, Ok(json!(numbers.concat())));
    }
}

async fn an_upload_that_fails_fails_its_method(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let failed = peer.upload("StreamingConcat", json!(["a"]), Some("Something bad")).await;
        let error = "An unexpected error occurred invoking 'StreamingConcat' on the server. \
                     HubException: Something bad";
        assert_eq!(failed, Err(Refused(error.to_owned())));
    }
}
