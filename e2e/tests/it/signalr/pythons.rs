//! Clients of other makes: Python's `signalrcore` and `pysignalr`, and npm's beside them.

use std::path::Path;

use everwire_testkit::{
    foreign::Launch,
    need,
    signalr::{Fixture, Peer, Refused},
    tools,
};
use serde_json::json;

use super::npm;

/// Python's `signalrcore`, which runs on threads.
const THREADS: &str = "signalr_threads.py";

/// Python's `pysignalr`, which runs on asyncio.
const ASYNCIO: &str = "signalr_asyncio.py";

/// Each Python client in each way that it can talk and hear several messages at a time.
pub(super) fn pythons(python: &Path, url: &str) -> Vec<Launch> {
    let ways = [
        (THREADS, "WebSockets", "json"),
        (THREADS, "WebSockets", "messagepack"),
        (THREADS, "ServerSentEvents", "json"),
        (ASYNCIO, "WebSockets", "json"),
        (ASYNCIO, "WebSockets", "messagepack"),
    ];
    let launch = |(script, transport, protocol)| {
        of(python, script, url).with("transport", transport).with("protocol", protocol)
    };
    ways.map(launch).into()
}

fn of(python: &Path, script: &str, url: impl ToString) -> Launch {
    Launch::python(python, script).with("url", url)
}

#[tokio::test]
async fn python_clients_call_and_are_called() {
    let python = need!(tools::python());
    let fixture = Fixture::start().await;
    for launch in pythons(&python, &fixture.url("/testhub")) {
        let mut peer = Peer::unconnected(&launch);
        peer.on("Message");
        assert_eq!(peer.try_connect().await["event"], "started");
        assert_eq!(peer.call("Echo", json!(["你好，世界！"])).await, "你好，世界！");
        peer.call("InvokeWithString", json!(["back"])).await;
        peer.called_with("Message", &[json!(["back"])]).await;
        let error = "An unexpected error occurred invoking 'ThrowException' on the server. \
                     InvalidOperationException: Broken.";
        assert_eq!(peer.fail("ThrowException", json!(["Broken."])).await, error);
    }
}

/// `signalrcore` takes one message of each poll's answer, and the rest with the next answer: it is
/// given one at a time.
#[tokio::test]
async fn a_python_client_polls() {
    let python = need!(tools::python());
    let fixture = Fixture::start().await;
    let launch = of(&python, THREADS, fixture.url("/testhub")).with("transport", "LongPolling");
    let mut peer = Peer::start(&launch).await;
    for number in 0..20 {
        assert_eq!(peer.call("Echo", json!([number.to_string()])).await, number.to_string());
    }
    assert_eq!(peer.call("GetActiveTransportName", json!([])).await, "LongPolling");
}

/// `signalrcore` is not asked: it subscribes to a stream after it has called for it, and loses the
/// items that are quicker.
#[tokio::test]
async fn a_python_client_takes_streams() {
    let python = need!(tools::python());
    let fixture = Fixture::start().await;
    let error = "An unexpected error occurred invoking 'StreamThrowException' on the server. \
                 InvalidOperationException: Broken.";
    for protocol in ["json", "messagepack"] {
        let launch = of(&python, ASYNCIO, fixture.url("/testhub")).with("protocol", protocol);
        let mut peer = Peer::start(&launch).await;
        let (items, end) = peer.stream("Stream", json!([])).await;
        assert_eq!((items, end), (vec![json!("a"), json!("b"), json!("c")], Ok(json!(null))));
        let (_, end) = peer.stream("StreamThrowException", json!(["Broken."])).await;
        assert_eq!(end, Err(Refused(error.to_owned())));
    }
}

/// In MessagePack `signalrcore` is not asked: its call leaves out an item that has to be there.
#[tokio::test]
async fn python_clients_upload_streams() {
    let python = need!(tools::python());
    let fixture = Fixture::start().await;
    let mut launches = pythons(&python, &fixture.url("/roomhub"));
    launches.remove(1);
    for launch in launches {
        let mut peer = Peer::unconnected(&launch);
        peer.on("Said");
        assert_eq!(peer.try_connect().await["event"], "started");
        let words: Vec<String> = (0..100).map(|number| format!("{number} ")).collect();
        // These clients ask for no answer to an upload.
        assert_eq!(peer.upload("SayJoined", json!(words), None).await, Ok(json!(null)));
        peer.called_with("Said", &[json!([words.concat()])]).await;
    }
}

#[tokio::test]
async fn a_python_client_has_a_token() {
    let python = need!(tools::python());
    let fixture = Fixture::start().await;
    for script in [THREADS, ASYNCIO] {
        let launch = of(&python, script, fixture.url("/roomhub"))
            .with("token", fixture.url("/generateJwtToken?user=anna"));
        let mut peer = Peer::start(&launch).await;
        assert_eq!(peer.call("WhoAmI", json!([])).await, "anna", "{script}");
    }
}

#[tokio::test]
async fn clients_of_all_makes_meet_in_one_room() {
    let (node, python) = (need!(tools::node()), need!(tools::python()));
    let fixture = Fixture::start().await;
    let mut launches = pythons(&python, &fixture.url("/roomhub"));
    launches.push(npm(&node, fixture.url("/roomhub")));
    let mut crowd = Vec::new();
    for launch in &launches {
        let mut peer = Peer::unconnected(launch);
        peer.on("Said");
        assert_eq!(peer.try_connect().await["event"], "started");
        peer.call("Join", json!(["all"])).await;
        crowd.push(peer);
    }
    let mut said = Vec::new();
    for (at, peer) in crowd.iter_mut().enumerate() {
        let from = format!("from {at}");
        peer.call("SayToRoom", json!(["all", from])).await;
        said.push(json!([from]));
    }
    for peer in &crowd {
        peer.called_with("Said", &said).await;
    }
}
