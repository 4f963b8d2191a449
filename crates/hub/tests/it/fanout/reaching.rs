//! Who receives what is said on another node.

use everwire_hub::{ConnectionId, Hub, SendError, Sent};

use super::{Nodes, builder, call};
use crate::peer::Peer;

/// One client of each node and a second one of the first, in the group `go` all but the last.
async fn clients(nodes: &Nodes) -> Vec<(Peer, ConnectionId)> {
    let mut clients = vec![nodes.nodes[0].client("Ann").await];
    for node in &nodes.nodes {
        clients.push(node.client("Ann").await);
    }
    clients.push(nodes.nodes[nodes.nodes.len() - 1].client("Bob").await);
    for (_, id) in &clients[..clients.len() - 1] {
        let there = nodes.hub(0).groups().add_confirmed(*id, "go").await.unwrap();
        assert!(there.value && there.unreached == 0);
    }
    clients
}

/// What is said numbers itself; who receives it is told by the indices of clients.
type Said = (Box<dyn Fn(&Hub, u32) -> Result<(), SendError>>, Vec<usize>);

fn everything(ids: &[ConnectionId]) -> Vec<Said> {
    let last = ids.len() - 1;
    let (first, bob, some) = (ids[0], ids[last], vec![ids[0], ids[last]]);
    let ids = ids.to_vec();
    let all: Vec<usize> = (0..=last).collect();
    let but = |out: usize| all.iter().copied().filter(|at| *at != out).collect::<Vec<_>>();
    vec![
        (Box::new(|hub, n| hub.all().send("m", &(n,))), all.clone()),
        (Box::new(move |hub, n| hub.all().except([first]).send("m", &(n,))), but(0)),
        (Box::new(|hub, n| hub.group("go").send("m", &(n,))), but(last)),
        (
            Box::new(move |hub, n| hub.group("go").except([first]).send("m", &(n,))),
            (1..last).collect(),
        ),
        (Box::new(|hub, n| hub.members(["go", "chess"]).send("m", &(n,))), but(last)),
        (Box::new(|hub, n| hub.user("Ann").send("m", &(n,))), but(last)),
        (Box::new(|hub, n| hub.users(["Ann", "ann", "Bob"]).send("m", &(n,))), all.clone()),
        (Box::new(move |hub, n| hub.connection(bob).send("m", &(n,))), vec![last]),
        (Box::new(move |hub, n| hub.connections(some.clone()).send("m", &(n,))), vec![0, last]),
        (Box::new(move |hub, n| hub.connections(ids.clone()).send("m", &(n,))), all),
    ]
}

/// keyshade's K1: with N nodes each client got each message N times.
async fn each_client_gets_it_once(count: usize) {
    let nodes = Nodes::of(count, builder).await;
    let mut clients = clients(&nodes).await;
    let ids: Vec<_> = clients.iter().map(|(_, id)| *id).collect();
    let mut expected = vec![Vec::new(); clients.len()];
    for (from, node) in nodes.nodes.iter().enumerate() {
        for (at, (send, receivers)) in everything(&ids).into_iter().enumerate() {
            let number = (from * 100 + at) as u32;
            send(node.hub(), number).unwrap();
            receivers.into_iter().for_each(|receiver| expected[receiver].push(number));
        }
        // Nothing that comes later can be mistaken for a second time of what came before.
        node.hub().all().send("m", &(999,)).unwrap();
        for ((peer, _), expected) in clients.iter_mut().zip(&mut expected) {
            for number in expected.drain(..).chain([999]) {
                assert_eq!(peer.next().await, Some(call("m", &format!("[{number}]"))));
            }
        }
    }
}

#[tokio::test]
async fn pred_k1_each_client_of_one_node_gets_it_once() {
    each_client_gets_it_once(1).await;
}

#[tokio::test]
async fn pred_k1_each_client_of_two_nodes_gets_it_once() {
    each_client_gets_it_once(2).await;
}

#[tokio::test]
async fn pred_k1_each_client_of_three_nodes_gets_it_once() {
    each_client_gets_it_once(3).await;
}

#[tokio::test]
async fn what_one_node_publishes_arrives_in_its_order_everywhere() {
    let nodes = Nodes::of(3, builder).await;
    let mut clients = Vec::new();
    for node in &nodes.nodes {
        clients.push(node.client("x").await.0);
    }
    for number in 0..1000 {
        for (from, node) in nodes.nodes.iter().enumerate() {
            node.hub().all().send("m", &(from, number)).unwrap();
        }
    }
    for peer in &mut clients {
        let mut next = [0; 3];
        for _ in 0..3000 {
            let said: serde_json::Value =
                serde_json::from_str(&peer.next().await.unwrap()).unwrap();
            let from = said["arguments"][0].as_u64().unwrap() as usize;
            assert_eq!(said["arguments"][1], next[from]);
            next[from] += 1;
        }
    }
}

#[tokio::test]
async fn a_client_gets_the_same_whatever_its_node_and_its_encoding() {
    let nodes = Nodes::of(2, builder).await;
    let (mut here, _) = nodes.nodes[0].client("x").await;
    let (mut there, _) = nodes.nodes[1].client("x").await;
    let value = (1.5, "ö\u{1e}", [u64::MAX], Some(()), bytes::Bytes::from_static(&[1, 2]));
    nodes.hub(0).all().send("m", &value).unwrap();
    assert_eq!(here.next().await, there.next().await);
    let body = bytes::Bytes::from_static(br#"[{"a": 1e3}]"#);
    let said = format!(r#"{{"type":1,"target":"Say","arguments":{}}}"#, r#"[{"a": 1e3}]"#);
    here.send(&said).await;
    assert_eq!(there.next().await, Some(call("said", str::from_utf8(&body).unwrap())));
}

#[tokio::test]
async fn nodes_without_anybody_who_is_meant_drop_a_message_after_its_header() {
    let nodes = Nodes::of(2, builder).await;
    let (mut peer, id) = nodes.nodes[1].client("Ann").await;
    let before = nodes.hub(1).exchanged().unwrap();
    nodes.hub(0).group("empty").send("m", &()).unwrap();
    nodes.hub(0).user("Nobody").send("m", &()).unwrap();
    nodes.hub(0).connection(id).send("m", &(1,)).unwrap();
    assert_eq!(peer.next().await, Some(call("m", "[1]")));
    let after = nodes.hub(1).exchanged().unwrap();
    assert_eq!((after.heard - before.heard, after.unwanted - before.unwanted), (3, 2));
    // What can only be meant for clients of this node is not said to others.
    nodes.hub(1).connection(id).send("m", &(2,)).unwrap();
    assert_eq!(nodes.hub(1).exchanged().unwrap().said, after.said);
}

#[tokio::test]
async fn a_publisher_that_waits_learns_what_became_of_a_message() {
    let nodes = Nodes::of(2, builder).await;
    let (mut here, id) = nodes.nodes[0].client("x").await;
    let (mut there, _) = nodes.nodes[1].client("x").await;
    let hub = nodes.hub(0);
    assert!(matches!(hub.all().send_confirmed("m", &(1,)).await, Ok(Sent::Stored(_))));
    assert_eq!(there.next().await, Some(call("m", "[1]")));
    assert_eq!(hub.connections([id]).send_confirmed("m", &(2,)).await.unwrap(), Sent::Here);
    let large = "x".repeat(everwire_backplane::PAYLOAD_MAX);
    let refused = hub.all().send_confirmed("m", &(&large,)).await.unwrap_err();
    assert!(matches!(refused, SendError::NotStored(everwire_hub::Refusal::TooLarge)));
    assert_eq!(hub.exchanged().unwrap().refused, 1);
    let alone = Hub::builder().build().unwrap();
    assert_eq!(alone.all().send_confirmed("m", &()).await.unwrap(), Sent::Here);
    for expected in ["[1]", "[2]"] {
        assert_eq!(here.next().await, Some(call("m", expected)));
    }
}
