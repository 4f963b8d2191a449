//! Stateful reconnect: a session outlives its sockets.

use everwire_hub::{Context, End, Hub, HubConfig, method::Opaque};
use tokio::sync::mpsc;

use crate::peer::{Peer, Served, serve};

struct Session {
    served: Served,
    ends: mpsc::Receiver<End>,
    token: String,
}

/// A session and the first socket of it.
async fn session(config: HubConfig) -> (Session, Peer) {
    let (tx, ends) = mpsc::channel(100);
    let hub = Hub::builder()
        .config(config)
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .disconnected(move |_, end| {
            let tx = tx.clone();
            async move { drop(tx.send(end).await) }
        })
        .build()
        .unwrap();
    let served = serve(hub).await;
    let token = served.negotiate("").await;
    let mut peer = served.stranger(&format!("?id={token}")).await;
    peer.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    (Session { served, ends, token }, peer)
}

impl Session {
    /// Another socket of the session.
    async fn again(&self) -> Peer {
        self.served.stranger(&format!("?id={}", self.token)).await
    }
}

fn message(number: u32) -> String {
    format!(r#"{{"type":1,"target":"m","arguments":[{number}]}}"#)
}

fn echo(id: u32) -> String {
    format!(r#"{{"type":1,"invocationId":"{id}","target":"echo","arguments":[{id}]}}"#)
}

fn echoed(id: u32) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{id}}}"#)
}

#[tokio::test]
async fn fault_b9_what_was_not_acknowledged_comes_again_and_what_was_said_counts_once() {
    let (session, mut peer) = session(HubConfig::default()).await;
    let hub = &session.served.hub;
    for number in 1..=3 {
        hub.all().send("m", &(number,)).unwrap();
    }
    for number in 1..=3 {
        assert_eq!(peer.next().await, Some(message(number)));
    }
    peer.send(&echo(1)).await;
    assert_eq!(peer.next().await, Some(echoed(1)));
    peer.send(r#"{"type":8,"sequenceId":2}"#).await;
    peer.send(&echo(2)).await;
    assert_eq!(peer.next().await, Some(echoed(2)));
    drop(peer);
    hub.all().send("m", &(4,)).unwrap();

    let mut peer = session.again().await;
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":9,"sequenceId":3}"#));
    for expected in [message(3), echoed(1), echoed(2), message(4)] {
        assert_eq!(peer.next().await, Some(expected));
    }
    // Both calls again, of which the hub has heard, and a new one.
    peer.send(r#"{"type":9,"sequenceId":1}"#).await;
    for id in 1..=3 {
        peer.send(&echo(id)).await;
    }
    assert_eq!(peer.next().await, Some(echoed(3)));
    assert_eq!(hub.connected(), 1);
}

#[tokio::test]
async fn a_socket_that_comes_while_the_old_one_lives_takes_over() {
    let (session, mut old) = session(HubConfig::default()).await;
    let mut new = session.again().await;
    assert_eq!(new.next().await.as_deref(), Some(r#"{"type":9,"sequenceId":1}"#));
    assert_eq!(old.next().await, None);
    session.served.hub.all().send("m", &(1,)).unwrap();
    assert_eq!(new.next().await, Some(message(1)));
}

#[tokio::test]
async fn messages_that_are_missing_end_the_session() {
    let (mut session, peer) = session(HubConfig::default()).await;
    drop(peer);
    let mut peer = session.again().await;
    peer.send(r#"{"type":9,"sequenceId":3}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":9,"sequenceId":1}"#));
    let close = peer.next().await.unwrap();
    assert!(close.contains("Sequence ID greater than amount of messages we've received."));
    assert_eq!(peer.code().await, Some(1000));
    assert!(matches!(session.ends.recv().await, Some(End::Misunderstood(_))));
}

#[tokio::test]
async fn a_goodbye_is_no_loss() {
    let (mut session, mut peer) = session(HubConfig::default()).await;
    peer.close(Some(1000)).await;
    assert_eq!(session.ends.recv().await, Some(End::Left(None)));
}

#[tokio::test]
async fn a_session_that_keeps_too_much_ends() {
    let config = HubConfig { stateful_max: 1000, queue_max: 1000, ..HubConfig::default() };
    let (mut session, peer) = session(config).await;
    drop(peer);
    for _ in 0..60 {
        session.served.hub.all().send("m", &("x".repeat(20),)).unwrap();
    }
    assert_eq!(session.ends.recv().await, Some(End::Slow));
}
