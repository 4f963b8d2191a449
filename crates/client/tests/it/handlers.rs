//! What a server calls, and what it is answered.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use everwire_client::{Answer, CloseReason, Protocol, Timing};
use everwire_testkit::wait::soon;
use tokio::sync::{Notify, mpsc};

use crate::peer::{PING, Peer};

fn called(target: &str, arguments: &str) -> String {
    format!("{{\"type\":1,\"target\":\"{target}\",\"arguments\":{arguments}}}\u{1e}")
}

/// The same with an answer wanted.
fn asked(target: &str, arguments: &str) -> String {
    format!(
        "{{\"type\":1,\"invocationId\":\"q\",\"target\":\"{target}\",\"arguments\":{arguments}}}\u{1e}"
    )
}

fn answered(what: &str) -> String {
    format!("{{\"type\":3,\"invocationId\":\"q\",{what}}}\u{1e}")
}

#[tokio::test]
async fn handlers_get_typed_arguments_in_order_and_names_have_no_case() {
    let (heard, mut hear) = mpsc::channel(10);
    let (first, second) = (heard.clone(), heard);
    let peer = Peer::bind().await;
    let client = peer
        .client()
        .on("Message", move |user: String, count: u32| {
            first.try_send(format!("{user} {count}")).unwrap();
        })
        .on("message", move |user: String| {
            let second = second.clone();
            async move { second.send(format!("also {user}")).await.unwrap() }
        });
    let (client, mut server) = peer.connected(client).await;
    client.on("Nothing", || {});
    server.say(&called("nobody", "[]")).await;
    server.say(&called("MESSAGE", "[\"ann\",1]")).await;
    server.say(&(called("message", "[\"ben\",2]") + &called("nothing", "[1,2]"))).await;
    for wanted in ["ann 1", "also ann", "ben 2", "also ben"] {
        assert_eq!(soon("a call", hear.recv()).await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn a_server_that_asks_is_told_a_result_an_error_or_that_there_is_none() {
    let peer = Peer::bind().await;
    let client = peer
        .client()
        .on("Add", |one: u32, two: u32| Answer(one + two))
        .on("Later", |one: u32| async move { Ok::<_, String>(Answer(one)) })
        .on("Fail", || Err::<(), _>("it is broken"))
        .on("Void", || {})
        .on("Twice", || Answer(1))
        .on("Twice", || Answer(2));
    let (_client, mut server) = peer.connected(client).await;
    for (question, answer) in [
        (asked("Add", "[1,2]"), "\"result\":3"),
        (asked("Later", "[4]"), "\"result\":4"),
        (asked("Fail", "[]"), "\"error\":\"it is broken\""),
        (asked("Void", "[]"), "\"error\":\"Client didn't provide a result.\""),
        (asked("Nobody", "[]"), "\"error\":\"Client didn't provide a result.\""),
        (asked("Twice", "[]"), "\"error\":\"Client provided multiple results.\""),
        (
            asked("Add", "[\"one\"]"),
            "\"error\":\"Error binding arguments. Make sure that the types of the provided values \
             match the types of the hub method being invoked.\"",
        ),
    ] {
        server.say(&question).await;
        assert_eq!(server.hear().await, answered(answer));
    }
}

#[tokio::test]
async fn a_server_that_speaks_message_pack_is_answered_in_it() {
    let peer = Peer::bind().await;
    let client = peer
        .client()
        .protocol(Protocol::MessagePack)
        .on("Add", |one: u32, two: u32| Answer(one + two));
    let (_client, mut server) = peer.connected(client).await;
    // [1, {}, "q", "Add", [1, 2], []]
    server
        .say_bytes(&[0x0d, 0x96, 1, 0x80, 0xa1, b'q', 0xa3, b'A', b'd', b'd', 0x92, 1, 2, 0x90])
        .await;
    // [3, {}, "q", 3, 3]
    assert_eq!(server.hear_bytes().await, [0x07, 0x95, 3, 0x80, 0xa1, b'q', 3, 3]);
}

#[tokio::test]
async fn a_slow_handler_does_not_stop_pings_or_answers() {
    let go = Arc::new(Notify::new());
    let (waits, peer) = (go.clone(), Peer::bind().await);
    let timing = Timing { keep_alive: Duration::from_millis(5), ..Timing::default() };
    let client = peer.client().timing(timing).on("Slow", move || {
        let waits = waits.clone();
        async move {
            waits.notified().await;
            Answer("done")
        }
    });
    let (client, mut server) = peer.connected(client).await;
    server.say(&asked("Slow", "[]")).await;
    for _ in 0..3 {
        assert_eq!(server.hear_any().await.into_text().unwrap(), PING);
    }
    let serve = async {
        server.hear().await;
        server.say("{\"type\":3,\"invocationId\":\"0\",\"result\":3}\u{1e}").await;
    };
    let (sum, ()) = tokio::join!(client.invoke::<u32>("Add", &[1]), serve);
    assert_eq!(sum.unwrap(), 3);
    go.notify_one();
    assert_eq!(server.hear().await, answered("\"result\":\"done\""));
}

#[tokio::test]
async fn a_handler_may_call_the_server_that_called_it() {
    let peer = Peer::bind().await;
    let (client, mut server) = peer.connected(peer.client()).await;
    let calling = client.clone();
    client.on("Relay", move |value: u32| {
        let client = calling.clone();
        async move { client.invoke::<u32>("Add", &[value]).await.map(Answer) }
    });
    server.say(&asked("Relay", "[1]")).await;
    server.hear().await;
    server.say("{\"type\":3,\"invocationId\":\"0\",\"result\":3}\u{1e}").await;
    assert_eq!(server.hear().await, answered("\"result\":3"));
}

#[tokio::test]
async fn a_panic_in_a_handler_closes_the_connection() {
    let peer = Peer::bind().await;
    let client = peer.client().on("Break", |value: Option<u32>| assert!(value.is_some()));
    let (client, mut server) = peer.connected(client).await;
    server.say(&called("Break", "[]")).await;
    assert_eq!(server.hear().await, "{\"type\":7}\u{1e}");
    server.ended().await;
    let why = soon("the end", client.closed()).await;
    assert!(matches!(*why, CloseReason::HandlerPanicked), "{why}");
}

#[tokio::test]
async fn handlers_are_dropped_with_their_connection() {
    let held = Arc::new(Mutex::new(()));
    let (holds, peer) = (held.clone(), Peer::bind().await);
    let client = peer.client().on("Hold", move || drop(holds.lock().unwrap()));
    let (client, server) = peer.connected(client).await;
    let (_, ()) = tokio::join!(client.stop(), server.ended());
    assert_eq!(Arc::strong_count(&held), 1);
}
