//! The backplane goes away, loses what it had, and comes back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use everwire_backplane::{Bus, memory};
use everwire_hub::{Channel, Gap, Hub, Lost, NodeId, SendError};
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
async fn fault_b12_what_the_backplane_refuses_is_an_error_of_its_publisher_and_of_nobody_else() {
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

/// Two hubs on one node, which share its bus.
fn two_hubs(
    cluster: &memory::Cluster,
    tell: &mpsc::Sender<(&'static str, NodeId)>,
    hangs: &Arc<AtomicBool>,
) -> (Arc<memory::Node>, [Hub; 2]) {
    let bus = Arc::new(cluster.node());
    let hubs = ["one", "two"].map(|name| {
        let (tell, hangs) = (tell.clone(), Arc::clone(hangs));
        let told = move |_, lost: Lost| {
            let (tell, hangs) = (tell.clone(), Arc::clone(&hangs));
            async move {
                if name == "two" && hangs.swap(false, Relaxed) {
                    std::future::pending::<()>().await;
                }
                tell.send((name, lost.node)).await.unwrap();
            }
        };
        let channel = Channel::new(name).unwrap();
        let hub = builder().node_lost(told).backplane(bus.clone(), channel).build().unwrap();
        hub.start();
        hub
    });
    (bus, hubs)
}

#[tokio::test]
async fn of_two_hubs_that_share_a_bus_the_one_that_is_done_first_is_not_both() {
    let cluster = memory::Cluster::default();
    let (tell, mut told) = mpsc::channel(10);
    let hangs = Arc::new(AtomicBool::new(true));
    let mut nodes = Vec::from([(); 3].map(|()| two_hubs(&cluster, &tell, &hangs)));
    for (_, hubs) in &nodes {
        for hub in hubs {
            while hub.nodes().len() < 2 {
                tokio::task::yield_now().await;
            }
        }
    }
    let first = nodes.remove(0);
    let lost = first.0.member().node;
    cluster.kill(lost);
    assert_eq!(told.recv().await, Some(("one", lost)));
    while hangs.load(Relaxed) {
        tokio::task::yield_now().await;
    }
    // The first by its name is the one that cleans up, and its second hub is still at it.
    let heirs: Vec<_> = nodes.iter().map(|(bus, _)| bus.member().node).collect();
    cluster.kill(*heirs.iter().min().unwrap());
    while told.recv().await != Some(("two", lost)) {}
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
