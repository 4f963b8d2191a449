//! How connections end, and that each ends once.

use std::time::Duration;

use everwire_hub::{End, Hub, HubConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::peer::{Served, serve};

/// A hub that reports every end.
async fn reporting() -> (Served, mpsc::Receiver<End>) {
    let (tx, rx) = mpsc::channel(100);
    let hub = Hub::builder()
        .disconnected(move |_, end| {
            let tx = tx.clone();
            async move { drop(tx.send(end).await) }
        })
        .build()
        .unwrap();
    (serve(hub).await, rx)
}

#[tokio::test]
async fn a_close_without_a_code_is_answered_with_1000() {
    let (served, mut ends) = reporting().await;
    let mut peer = served.peer().await;
    peer.close(None).await;
    assert_eq!(peer.code().await, Some(1000));
    assert_eq!(ends.recv().await, Some(End::Left(None)));
}

#[tokio::test]
async fn a_goodbye_with_words_is_answered() {
    let (served, mut ends) = reporting().await;
    let mut peer = served.peer().await;
    peer.send(r#"{"type":7,"error":"tired"}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":7}"#));
    assert_eq!(peer.code().await, Some(1000));
    assert_eq!(ends.recv().await, Some(End::Left(Some("tired".into()))));
}

#[tokio::test]
async fn a_client_that_is_gone_has_ended_once() {
    let (served, mut ends) = reporting().await;
    drop(served.peer().await);
    assert_eq!(ends.recv().await, Some(End::Vanished));
    assert_eq!(served.hub.connected(), 0);
    assert!(ends.try_recv().is_err());
}

#[tokio::test]
async fn an_unknown_protocol_is_told_so() {
    let (served, _ends) = reporting().await;
    let mut peer = served.stranger("").await;
    peer.send(r#"{"protocol":"morse","version":1}"#).await;
    assert_eq!(
        peer.next().await.as_deref(),
        Some(r#"{"error":"The protocol 'morse' is not supported."}"#)
    );
    assert_eq!(peer.code().await, Some(1000));
}

#[tokio::test]
async fn a_message_too_large_ends_the_connection() {
    let (served, mut ends) = reporting().await;
    let mut peer = served.peer().await;
    peer.send(&"x".repeat(40_000)).await;
    let close = peer.next().await.unwrap();
    assert!(close.contains("The maximum message size of 32768B was exceeded."), "{close}");
    assert_eq!(peer.code().await, Some(1000));
    assert!(matches!(ends.recv().await, Some(End::Misunderstood(_))));
}

#[tokio::test]
async fn a_stopping_hub_lets_its_clients_reconnect() {
    let (served, mut ends) = reporting().await;
    let mut peer = served.peer().await;
    served.hub.stop();
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":7,"allowReconnect":true}"#));
    assert_eq!(peer.code().await, Some(1001));
    assert_eq!(ends.recv().await, Some(End::Stopping));
}

/// Whoever has sent a Close sends no other, however wrong it was, and waits for the socket's end.
#[tokio::test]
async fn a_close_that_breaks_the_rules_is_a_last_word() {
    let config = || HubConfig { close_timeout: Duration::from_secs(3600), ..HubConfig::default() };
    let hubs = [
        Hub::builder().config(config()),
        Hub::builder().config(config()).raw(|mut socket| async move {
            while socket.receive().await.is_some() {}
            Ok(())
        }),
    ];
    for hub in hubs {
        let served = serve(hub.build().unwrap()).await;
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        // Masked with nothing, a Close with code 0.
        let request = b"GET /hub HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        \r\n\x88\x82\0\0\0\0\0\0";
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        timeout(Duration::from_secs(20), read).await.expect("the socket ends").unwrap();
        assert!(answer.ends_with(b"\x88\x02\x03\xea"), "{answer:?}");
    }
}
