//! Calls of methods, and what they come to.

use everwire_testkit::{need, signalr::Peer, site::Site, tools, wait::until_equal};
use serde_json::json;

use super::{WAYS, each_way};

on_one_node_and_on_three! {
    a_method_gives_its_result_whatever_the_case_of_its_name,
    what_fails_reads_as_with_the_official_server,
    a_call_that_wants_no_answer_is_carried_out,
    values_of_every_kind_survive_both_ways,
    a_hundred_calls_at_once_are_all_answered,
    a_client_answers_what_the_server_asks,
}

async fn a_method_gives_its_result_whatever_the_case_of_its_name(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        assert_eq!(peer.call("Echo", json!(["你好，世界！"])).await, "你好，世界！");
        assert_eq!(peer.call("eCHO", json!(["a\nb\u{1e}c"])).await, "a\nb\u{1e}c");
        assert_eq!(peer.stop().await, None);
    }
}

async fn what_fails_reads_as_with_the_official_server(site: Site) {
    let node = need!(tools::node());
    let invoking = "An unexpected error occurred invoking";
    let expected = [
        (
            "Nothing",
            json!([]),
            "Failed to invoke 'Nothing' due to an error on the server. HubException: Method does \
             not exist."
                .to_owned(),
        ),
        (
            "ThrowException",
            json!(["Broken."]),
            format!(
                "{invoking} 'ThrowException' on the server. InvalidOperationException: Broken."
            ),
        ),
        (
            "EmptyStream",
            json!([]),
            "The client attempted to invoke the streaming 'EmptyStream' method with a \
             non-streaming invocation."
                .to_owned(),
        ),
        (
            "Echo",
            json!([]),
            "Failed to invoke 'Echo' due to an error on the server. InvalidDataException: \
             Invocation provides 0 argument(s) but target expects 1."
                .to_owned(),
        ),
        (
            "StreamingConcat",
            json!([]),
            format!(
                "{invoking} 'StreamingConcat' on the server. HubException: Client sent 0 \
                 stream(s), Hub method expects 1."
            ),
        ),
    ];
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        for (method, arguments, error) in &expected {
            assert_eq!(&peer.fail(method, arguments.clone()).await, error);
        }
        assert_eq!(peer.call("Echo", json!(["still here"])).await, "still here");
    }
}

async fn a_call_that_wants_no_answer_is_carried_out(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        peer.on("mEssage");
        peer.send("InvokeWithString", json!(["one"])).await;
        peer.send("NoSuchMethod", json!([])).await;
        peer.call("InvokeWithString", json!(["two"])).await;
        // What a method sends its caller comes before its result.
        assert_eq!(peer.called("mEssage"), [json!(["one"]), json!(["two"])]);
    }
}

async fn values_of_every_kind_survive_both_ways(site: Site) {
    let node = need!(tools::node());
    for (launch, (_, protocol)) in each_way(&node, &site.url("/testhub")).iter().zip(WAYS) {
        let (bytes, date) = match protocol {
            "json" => (json!("AQID"), json!("2000-01-01T00:00:00Z")),
            _ => (json!({ "bytes": [1, 2, 3] }), json!({ "date": "2000-01-01T00:00:00.000Z" })),
        };
        let object = json!({
            "ByteArray": bytes,
            "DateTime": date,
            "Guid": "00010203-0405-0607-0706-050403020100",
            "IntArray": [1, 2, 3],
            "String": "hello world",
        });
        let mut peer = Peer::start(launch).await;
        assert_eq!(peer.call("SendComplexObject", json!([])).await, object);
        assert_eq!(peer.call("EchoComplexObject", json!([object])).await, object);
        peer.on("CustomObject");
        let custom = json!({ "Name": "test", "Value": 42 });
        peer.call("SendCustomObject", json!([custom])).await;
        peer.called_with("CustomObject", &[json!([custom])]).await;
    }
}

async fn a_hundred_calls_at_once_are_all_answered(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let text = |number| format!("{number} {}", "x".repeat(number * 10));
        let calls: Vec<u64> =
            (0..100).map(|number| peer.begin("invoke", "Echo", json!([text(number)]))).collect();
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(peer.end_of(call).await, Ok(json!(text(number))));
        }
    }
}

async fn a_client_answers_what_the_server_asks(site: Site) {
    let node = need!(tools::node());
    for launch in each_way(&node, &site.url("/testhub")) {
        let mut peer = Peer::start(&launch).await;
        let path = format!("/clientresult/{}", peer.connection().expect("it has negotiated"));
        let ask = async || site.request("GET", &path).await.body;
        assert_eq!(ask().await, "Client didn't provide a result.");
        peer.answer("Result", Ok(json!(12)));
        peer.call("Echo", json!(["it answers now"])).await;
        assert_eq!(ask().await, "12");
        peer.answer("Result", Ok(json!(13)));
        peer.call("Echo", json!(["it answers twice now"])).await;
        assert_eq!(ask().await, "Client provided multiple results.");
        peer.stop().await;
        let gone = format!("Connection '{}' does not exist.", &path["/clientresult/".len()..]);
        until_equal("the server's word", gone, ask).await;

        let mut failing = Peer::start(&launch).await;
        failing.answer("Result", Err("from callback"));
        failing.call("Echo", json!(["it fails now"])).await;
        let path = format!("/clientresult/{}", failing.connection().expect("it has negotiated"));
        assert_eq!(site.request("GET", &path).await.body, "Error: from callback");
    }
}
