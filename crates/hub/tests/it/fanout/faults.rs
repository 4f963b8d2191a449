//! The backplane goes away, loses what it had, and comes back.

use everwire_hub::{Gap, SendError};
use tokio::sync::mpsc;

use super::{Nodes, builder, call};

#[tokio::test]
async fn while_the_backplane_is_away_this_nodes_clients_are_told_at_once_and_others_later() {
    let nodes = Nodes::of(2, builder).await;
    let (mut here, _) = nodes.nodes[0].client("x").await;
    let (mut there, _) = nodes.nodes[1].client("x").await;
    nodes.cluster.cut();
    for number in 0..100 {
        nodes.hub(0).all().send("m", &(number,)).unwrap();
        assert_eq!(here.next().await, Some(call("m", &format!("[{number}]"))));
    }
    nodes.cluster.heal();
    for number in 0..100 {
        assert_eq!(there.next().await, Some(call("m", &format!("[{number}]"))));
    }
}

#[tokio::test]
async fn what_the_backplane_refuses_is_an_error_of_its_publisher_and_of_nobody_else() {
    let nodes = Nodes::of(2, builder).await;
    let (mut there, _) = nodes.nodes[1].client("x").await;
    nodes.cluster.cut();
    let mut stored = 0;
    let refused = loop {
        match nodes.hub(0).all().send("m", &(stored,)) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::NotStored(everwire_hub::Refusal::Full)), "{refused}");
    assert_eq!(nodes.hub(0).exchanged().unwrap().refused, 1);
    nodes.cluster.heal();
    for number in 0..stored {
        assert_eq!(there.next().await, Some(call("m", &format!("[{number}]"))));
    }
    nodes.hub(0).all().send("m", &(stored,)).unwrap();
    assert_eq!(there.next().await, Some(call("m", &format!("[{stored}]"))));
}

#[tokio::test]
async fn an_application_is_told_of_a_gap() {
    let (tell, mut told) = mpsc::channel(10);
    let builder = move || {
        let tell = tell.clone();
        builder().gap(move |hub, gap| {
            let tell = tell.clone();
            async move {
                hub.all().send("reload", &()).unwrap();
                tell.send(gap).await.unwrap();
            }
        })
    };
    let nodes = Nodes::of(1, builder).await;
    let (mut peer, _) = nodes.nodes[0].client("x").await;
    nodes.cluster.empty();
    assert_eq!(told.recv().await, Some(Gap::Emptied));
    assert_eq!(peer.next().await, Some(call("reload", "[]")));
    assert_eq!(nodes.hub(0).exchanged().unwrap().gaps, 1);
}
