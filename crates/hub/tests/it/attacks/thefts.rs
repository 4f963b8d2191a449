//! S4 and S5: what attaches to a connection of somebody else's, and what does not.

use everwire_hub::{Context, Hub, HubConfig, Identity, method::Opaque};
use futures_util::future::join_all;

use crate::peer::{Peer, Served, serve};

/// A hub that believes whatever name it is told.
async fn hub() -> Served {
    let hub = Hub::builder()
        .config(HubConfig::default())
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .method("Id", |cx: Context| async move { cx.connection_id().to_string() })
        .authenticate(|request| async move {
            let user = request.parameter("user").map(Into::into);
            Ok(Identity { user, ..Identity::default() })
        });
    serve(hub.build().unwrap()).await
}

async fn open(served: &Served, query: &str, version: u32) -> Peer {
    let mut peer = served.stranger(query).await;
    peer.send(&format!(r#"{{"protocol":"json","version":{version}}}"#)).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    peer
}

#[tokio::test]
async fn attack_s4_a_connection_s_id_attaches_to_nothing() {
    let served = hub().await;
    let token = served.negotiate("").await;
    let id = &token[..22];
    assert_eq!(served.refused(&format!("?id={id}")).await, 404, "before it is opened");
    let mut peer = open(&served, &format!("?id={token}"), 1).await;
    assert!(peer.call("id", "[]").await.contains(id), "it is public");
    let guesses =
        [id.to_owned(), format!("{id}{id}"), format!("{id}{}", "A".repeat(22)), token[22..].into()];
    for guess in guesses {
        assert_eq!(served.refused(&format!("?id={guess}")).await, 404, "{guess}");
    }
    assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
}

#[tokio::test]
async fn attack_s4_a_second_socket_for_a_live_one_is_409() {
    let served = hub().await;
    let token = served.negotiate("").await;
    let mut peer = open(&served, &format!("?id={token}"), 1).await;
    assert_eq!(served.refused(&format!("?id={token}")).await, 409);
    assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
}

#[tokio::test]
async fn attack_s4_s5_a_token_is_of_use_to_its_user_only() {
    let served = hub().await;
    let token = served.negotiate("&user=ann").await;
    let mut peer = open(&served, &format!("?id={token}&user=ann"), 2).await;
    for thief in ["", "&user=bob", "&user=Ann"] {
        assert_eq!(served.refused(&format!("?id={token}{thief}")).await, 403, "while it lives");
    }
    assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
    drop(peer);
    assert_eq!(served.refused(&format!("?id={token}&user=bob")).await, 403, "while it waits");
    let mut peer = served.stranger(&format!("?id={token}&user=ann")).await;
    assert!(peer.next().await.unwrap().contains(r#""type":9"#));
    assert!(peer.next().await.unwrap().contains(r#""result":1"#), "what was not acknowledged");
}

#[tokio::test]
async fn attack_s5_of_many_who_resume_at_once_one_wins() {
    let served = hub().await;
    let token = served.negotiate("").await;
    drop(open(&served, &format!("?id={token}"), 2).await);
    let query = format!("?id={token}");
    let peers = join_all((0..10).map(|_| served.stranger(&query))).await;
    assert_eq!(served.hub.connected(), 1);
    // Everybody but the winner is told nothing more, or nothing at all.
    served.hub.all().send("m", &("for one",)).unwrap();
    served.hub.stop();
    let heard = join_all(peers.into_iter().map(|mut peer| async move {
        let mut heard = 0;
        while let Some(message) = peer.next().await {
            heard += usize::from(message.contains("for one"));
        }
        heard
    }));
    assert_eq!(heard.await.iter().sum::<usize>(), 1);
}

#[tokio::test]
async fn attack_s5_an_old_token_opens_nothing() {
    let served = hub().await;
    let token = served.negotiate("").await;
    let query = format!("?id={token}");
    let mut peer = open(&served, &query, 2).await;
    peer.close(Some(1000)).await;
    peer.code().await;
    while served.hub.connected() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.refused(&query).await, 404);
}
