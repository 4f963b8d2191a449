//! S6, and CVE-2026-56170: sessions that are kept for clients who never come back.

use everwire_hub::{Context, Hub, HubConfig, method::Opaque};

use crate::peer::{Peer, Served, serve};

/// What all sessions together may keep: far less than each of them might.
const KEPT_MAX: usize = 200_000;

const SESSIONS: usize = 20;

async fn hub() -> Served {
    let config = HubConfig { stateful_total_max: KEPT_MAX, ..HubConfig::default() };
    let hub = Hub::builder()
        .config(config)
        .method("Echo", |_: Context, anything: Opaque| async move { anything });
    serve(hub.build().unwrap()).await
}

async fn session(served: &Served) -> (String, Peer) {
    let token = served.negotiate("").await;
    let mut peer = served.stranger(&format!("?id={token}")).await;
    peer.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    (token, peer)
}

/// What is published next, once all of it has been written or kept.
async fn publish(served: &Served, listener: &mut Peer, number: usize) {
    served.hub.all().send("m", &(number, "x".repeat(1000))).unwrap();
    assert!(listener.next().await.unwrap().contains(&format!("[{number},")));
    let kept = served.hub.totals().kept;
    assert!(kept <= KEPT_MAX, "{kept} bytes are kept");
}

#[tokio::test]
async fn attack_s6_sessions_without_clients_go_the_oldest_first_and_are_counted() {
    let served = hub().await;
    let mut listener = served.peer().await;
    let mut tokens = Vec::new();
    for number in 0..SESSIONS {
        let (token, peer) = session(&served).await;
        tokens.push(token);
        drop(peer);
        // What a session is sent before it is known to have lost its client it keeps too.
        publish(&served, &mut listener, number).await;
    }
    let mut last = SESSIONS;
    while served.hub.totals().given_up < SESSIONS as u64 - 5 {
        publish(&served, &mut listener, last).await;
        last += 1;
    }
    while served.hub.connected() > 6 {
        tokio::task::yield_now().await;
    }
    for token in &tokens[..SESSIONS - 5] {
        assert_eq!(served.refused(&format!("?id={token}")).await, 404);
    }
    let mut back = served.stranger(&format!("?id={}", tokens[SESSIONS - 1])).await;
    assert_eq!(back.next().await.as_deref(), Some(r#"{"type":9,"sequenceId":1}"#));
    for number in SESSIONS - 1..last {
        assert!(back.next().await.unwrap().contains(&format!("[{number},")));
    }
}

#[tokio::test]
async fn attack_s6_clients_that_acknowledge_nothing_stay_and_cannot_come_back() {
    let served = hub().await;
    let mut listener = served.peer().await;
    let mut hoarders = Vec::new();
    for _ in 0..SESSIONS {
        hoarders.push(session(&served).await);
    }
    for number in 0..50 {
        publish(&served, &mut listener, number).await;
    }
    let given_up = served.hub.totals().given_up;
    assert!((1..=SESSIONS as u64).contains(&given_up), "{given_up}");
    for (_, peer) in &mut hoarders {
        for number in 0..50 {
            assert!(peer.next().await.unwrap().contains(&format!("[{number},")));
        }
        // Both ends still count.
        peer.send(r#"{"type":8,"sequenceId":50}"#).await;
        assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
    }
    assert_eq!(served.hub.connected(), SESSIONS + 1);
    let tokens: Vec<_> = hoarders.into_iter().map(|(token, _)| token).collect();
    while served.hub.connected() > SESSIONS + 1 - given_up as usize {
        tokio::task::yield_now().await;
    }
    let mut refused = 0;
    for token in tokens {
        let target = format!("ws://{}/hub?id={token}", served.address);
        refused += u64::from(tokio_tungstenite::connect_async(target).await.is_err());
    }
    assert_eq!(refused, given_up);
}

#[tokio::test]
async fn what_is_kept_is_given_back() {
    let served = hub().await;
    let mut listener = served.peer().await;
    let (_, mut peer) = session(&served).await;
    publish(&served, &mut listener, 0).await;
    assert!(served.hub.totals().kept > 1000);
    peer.send(r#"{"type":8,"sequenceId":1}"#).await;
    while served.hub.totals().kept > 0 {
        tokio::task::yield_now().await;
    }
    publish(&served, &mut listener, 1).await;
    assert!(served.hub.totals().kept > 1000);
    peer.close(Some(1000)).await;
    while served.hub.connected() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.hub.totals().kept, 0);
}
