//! A session that outlives its socket goes on by itself: `Recover` is for new connections.

use everwire_hub::Hub;

use super::{Follower, HUB, say, with_history};
use crate::peer::{Peer, Served, serve};

async fn socket(served: &Served, token: &str) -> Peer {
    served.stranger(&format!("?id={token}")).await
}

#[tokio::test]
async fn a_resumed_session_misses_and_doubles_nothing_and_recover_changes_nothing() {
    let served = serve(with_history().build().unwrap()).await;
    let hub: &Hub = &served.hub;
    let token = served.negotiate("").await;
    let mut peer = socket(&served, &token).await;
    peer.send(r#"{"protocol":"json","version":2}"#).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
    let mut follower = Follower::new(peer);
    assert!(follower.recover(&HUB).await);
    say(hub, 1..=3);
    follower.until(3).await;
    while follower.cursor["offset"] != 3 {
        follower.step().await;
    }
    // Everything so far: the answer, and three messages with one cursor for each piece they came in.
    drop(follower.peer);
    say(hub, 4..=6);
    follower.peer = socket(&served, &token).await;
    // The client has counted what it has; here nothing was acknowledged, so that all comes again.
    let sequence = follower.peer.next().await.unwrap();
    assert!(sequence.contains(r#""type":9"#), "{sequence}");
    follower.peer.send(r#"{"type":9,"sequenceId":2}"#).await;
    let seen = std::mem::take(&mut follower.seen);
    assert!(follower.step().await.is_some(), "the answer to the first call");
    follower.until(6).await;
    assert_eq!(follower.seen, [&seen[..], &[4, 5, 6]].concat(), "in the order of its counting");
    while follower.cursor["offset"] != 6 {
        follower.step().await;
    }
    follower.seen.clear();
    assert!(follower.recover(&HUB).await);
    say(hub, 7..=8);
    follower.until(8).await;
    assert_eq!(follower.seen, [7, 8]);
}
