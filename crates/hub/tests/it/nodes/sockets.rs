//! WebSockets: one opens where it comes to, and its session is found from everywhere.

use super::{Node, SECRET, node, three};
use crate::peer::Peer;

async fn hello(peer: &mut Peer, version: u32) {
    peer.send(&format!(r#"{{"protocol":"json","version":{version}}}"#)).await;
    assert_eq!(peer.next().await.as_deref(), Some("{}"));
}

async fn connected(nodes: &[Node; 3], wanted: [usize; 3]) {
    while [0, 1, 2].map(|at| nodes[at].served.hub.connected()) != wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_websocket_opens_at_the_node_that_it_comes_to() {
    let nodes = three().await;
    let token = nodes[0].served.negotiate("").await;
    let query = format!("?id={token}");
    let mut peer = nodes[1].served.stranger(&query).await;
    hello(&mut peer, 1).await;
    assert!(peer.call("id", "[]").await.contains(&token[..22]));
    connected(&nodes, [0, 1, 0]).await;
    for node in &nodes {
        assert_eq!(node.served.refused(&query).await, 409, "it is one connection");
        assert!([400, 405].contains(&node.ask("POST", &query, "").await.0), "it is a WebSocket");
    }
    assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
}

#[tokio::test]
async fn a_session_goes_on_through_whichever_node() {
    let nodes = three().await;
    let token = nodes[0].served.negotiate("").await;
    let query = format!("?id={token}");
    let mut peer = nodes[1].served.stranger(&query).await;
    hello(&mut peer, 2).await;
    for (round, entry) in [2, 0, 1, 2, 2, 1, 0].into_iter().enumerate() {
        let (first, second) = (2 * round, 2 * round + 1);
        nodes[1].served.hub.all().send("m", &(first,)).unwrap();
        assert!(peer.next().await.unwrap().contains(&format!("[{first}]")));
        // What is acknowledged is not sent again.
        peer.send(&format!(r#"{{"type":8,"sequenceId":{}}}"#, 3 * round + 1)).await;
        assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
        drop(peer);
        nodes[1].served.hub.all().send("m", &(second,)).unwrap();
        peer = nodes[entry].served.stranger(&query).await;
        peer.send(&format!(r#"{{"type":9,"sequenceId":{}}}"#, round + 2)).await;
        let first = peer.next().await.unwrap();
        assert_eq!(first, format!(r#"{{"type":9,"sequenceId":{}}}"#, 3 * round + 2));
        assert!(peer.next().await.unwrap().contains(r#""type":3"#));
        assert!(peer.next().await.unwrap().contains(&format!("[{second}]")));
        connected(&nodes, [0, 1, 0]).await;
    }
    assert_eq!(nodes[2].cluster.totals().tunneled, 3);
    assert_eq!(nodes[0].cluster.totals().tunneled, 2);
}

#[tokio::test]
async fn a_client_that_ends_through_another_node_has_ended() {
    let nodes = three().await;
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    let mut peer = nodes[1].served.stranger(&query).await;
    hello(&mut peer, 2).await;
    drop(peer);
    let mut peer = nodes[2].served.stranger(&query).await;
    assert!(peer.next().await.unwrap().contains(r#""type":9"#));
    peer.close(Some(1000)).await;
    assert_eq!(peer.code().await, Some(1000), "its answer is carried too");
    connected(&nodes, [0, 0, 0]).await;
}

#[tokio::test]
async fn a_node_that_stops_lets_go_of_what_it_carries() {
    let nodes = three().await;
    let query = format!("?id={}", nodes[0].served.negotiate("").await);
    let mut peer = nodes[1].served.stranger(&query).await;
    hello(&mut peer, 2).await;
    drop(peer);
    let mut peer = nodes[2].served.stranger(&query).await;
    assert!(peer.next().await.unwrap().contains(r#""type":9"#));
    nodes[2].served.hub.stop();
    assert_eq!(peer.next().await, None);
    nodes[2].served.hub.stopped().await;
    assert_eq!(nodes[2].served.refused("").await, 503, "it takes no more clients");
    let mut peer = nodes[0].served.stranger(&query).await;
    assert!(peer.next().await.unwrap().contains(r#""type":9"#), "the session goes on elsewhere");
}

#[tokio::test]
async fn a_token_of_a_node_that_is_gone_is_404() {
    let mut nodes = three().await;
    let token = nodes[0].served.negotiate("").await;
    nodes[0].peers.shutdown().await;
    assert_eq!(nodes[1].served.refused(&format!("?id={token}")).await, 404);
    assert_eq!(nodes[1].ask("GET", &format!("?id={token}"), "").await.0, 404);
    assert_eq!(nodes[1].cluster.totals().unreachable, 2);
    // What began at another node before stays.
    let query = format!("?id={}", nodes[2].served.negotiate("").await);
    let mut peer = nodes[1].served.stranger(&query).await;
    hello(&mut peer, 1).await;
    assert!(peer.call("echo", "[1]").await.contains(r#""result":1"#));
}

#[tokio::test]
async fn secrets_are_replaced_one_node_after_the_other() {
    const NEW: &str = "what the three nodes will have in common";
    let nodes = [node(&[SECRET, NEW]).await, node(&[NEW, SECRET]).await, node(&[NEW]).await];
    for (from, to, is_let_in) in [(0, 1, true), (1, 0, true), (1, 2, true), (0, 2, false)] {
        let query = format!("?id={}", nodes[from].served.negotiate("").await);
        if is_let_in {
            hello(&mut nodes[to].served.stranger(&query).await, 1).await;
        } else {
            assert_eq!(nodes[to].served.refused(&query).await, 404);
        }
    }
}
