//! Losing sockets of a session that the server keeps.

use std::time::Duration;

use everwire_client::{ClientBuilder, Protocol, ReconnectPolicy, State};
use everwire_testkit::wait::soon;
use tokio::sync::mpsc;

use crate::peer::{Peer, STATEFUL};

/// A client that tells which numbers it is called with.
fn telling(client: ClientBuilder) -> (ClientBuilder, mpsc::Receiver<u32>) {
    let (tell, told) = mpsc::channel(100);
    let client = client.stateful_reconnect().on("Count", move |number: u32| {
        tell.try_send(number).unwrap();
    });
    (client, told)
}

fn count(number: u32) -> String {
    format!("{{\"type\":1,\"target\":\"Count\",\"arguments\":[{number}]}}\u{1e}")
}

fn said(number: u32) -> String {
    format!("{{\"type\":1,\"target\":\"Say\",\"arguments\":[{number}]}}\u{1e}")
}

async fn told(tell: &mut mpsc::Receiver<u32>, wanted: impl IntoIterator<Item = u32>) {
    for number in wanted {
        assert_eq!(soon("a call", tell.recv()).await, Some(number));
    }
}

#[tokio::test]
async fn a_lost_socket_is_replaced_and_nothing_is_lost_or_doubled() {
    let peer = Peer::bind().await;
    let (client, mut tell) = telling(peer.client());
    let (client, mut server) = peer.connected_by(client, STATEFUL).await;
    let mut states = client.state();
    states.mark_unchanged();

    // The server takes 1 of 1 and 2; the client takes 1 and 2.
    for number in [1, 2] {
        client.send("Say", &[number]).await.unwrap();
    }
    assert_eq!(server.hear().await, said(1));
    server.say(&(count(1) + &count(2))).await;
    told(&mut tell, [1, 2]).await;
    server.cut();

    let mut server = peer.socket().await;
    assert_eq!(server.request.uri(), "/hub?id=a%2Bb");
    assert_eq!(server.hear().await, "{\"type\":9,\"sequenceId\":1}\u{1e}", "no handshake");
    assert_eq!([server.hear().await, server.hear().await], [said(1), said(2)]);
    // What precedes the server's sequence is not counted; it says 2 again and then 3.
    server.say(&count(9)).await;
    server.say(&format!("{{\"type\":9,\"sequenceId\":2}}\u{1e}{}{}", count(2), count(3))).await;
    told(&mut tell, [3]).await;
    assert_eq!(server.hear().await, "{\"type\":8,\"sequenceId\":3}\u{1e}");

    // Acknowledged messages are not said again; new ones are.
    server.say("{\"type\":8,\"sequenceId\":2}\u{1e}").await;
    server.say(&count(4)).await;
    told(&mut tell, [4]).await;
    server.cut();
    let mut server = peer.socket().await;
    assert_eq!(server.hear().await, "{\"type\":9,\"sequenceId\":3}\u{1e}");
    server.say("{\"type\":9,\"sequenceId\":5}\u{1e}").await;
    client.send("Say", &[3]).await.unwrap();
    assert_eq!(server.hear().await, said(3));
    assert!(!states.has_changed().unwrap(), "nobody notices");
    assert_eq!(client.connection_id().unwrap().as_str(), "one");
}

#[tokio::test]
async fn message_pack_sessions_resume_alike() {
    let peer = Peer::bind().await;
    let client = peer.client().stateful_reconnect().protocol(Protocol::MessagePack);
    let (client, mut server) = peer.connected_by(client, STATEFUL).await;
    client.send("Say", &[1]).await.unwrap();
    // [1, {}, nil, "Say", [1], []]
    let said = [0x0b, 0x96, 1, 0x80, 0xc0, 0xa3, b'S', b'a', b'y', 0x91, 1, 0x90];
    assert_eq!(server.hear_bytes().await, said);
    server.cut();
    let mut server = peer.socket().await;
    assert_eq!(server.hear_bytes().await, [3, 0x92, 9, 1]);
    assert_eq!(server.hear_bytes().await, said);
}

#[tokio::test]
async fn an_answer_may_come_over_another_socket() {
    let peer = Peer::bind().await;
    let client = peer.client().stateful_reconnect();
    let (client, mut server) = peer.connected_by(client, STATEFUL).await;
    let serve = async {
        server.hear().await;
        server.cut();
        let mut server = peer.socket().await;
        server.hear().await;
        server.say("{\"type\":9,\"sequenceId\":1}\u{1e}").await;
        server.say("{\"type\":3,\"invocationId\":\"0\",\"result\":3}\u{1e}").await;
        server
    };
    let (sum, _server) = tokio::join!(client.invoke::<u32>("Add", &[1]), serve);
    assert_eq!(sum.unwrap(), 3);
}

#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_replaced() {
    let peer = Peer::bind().await;
    let policy = ReconnectPolicy::Delays(vec![Duration::ZERO]);
    let client = peer.client().stateful_reconnect().reconnect(policy);
    let (client, server) = peer.connected_by(client, STATEFUL).await;
    server.cut();
    let head = peer.answer("404 Not Found", "", "No Connection with that ID").await;
    assert!(head.starts_with("GET /hub?id=a%2Bb "), "{head}");
    let _server = peer.serve(&STATEFUL.replace("one", "two")).await;
    let mut state = client.state();
    let reconnected = state.wait_for(|state| matches!(state, State::Reconnected { .. }));
    soon("another connection", reconnected).await.unwrap();
    assert_eq!(client.connection_id().unwrap().as_str(), "two");
}
