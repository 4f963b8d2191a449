//! Groups, and ends, of connections on other nodes.

use everwire_hub::{ConnectionId, GroupError, HubConfig};

use super::{Nodes, builder, call};

#[tokio::test]
async fn a_connection_of_another_node_is_in_a_group_for_all_that_is_said_after() {
    let nodes = Nodes::of(3, builder).await;
    let (mut peer, id) = nodes.nodes[2].client("Ann").await;
    let hub = nodes.hub(0);
    for round in 0..100 {
        hub.groups().add(id, "go").unwrap();
        hub.group("go").send("m", &(round,)).unwrap();
        hub.groups().remove(id, "go").unwrap();
        hub.group("go").send("never", &()).unwrap();
        assert_eq!(peer.next().await, Some(call("m", &format!("[{round}]"))));
    }
}

#[tokio::test]
async fn whoever_adds_and_waits_learns_what_came_of_it() {
    let few = || builder().config(HubConfig { groups_max: 1, ..HubConfig::default() });
    let nodes = Nodes::of(2, few).await;
    let (_peer, id) = nodes.nodes[1].client("Ann").await;
    let groups = nodes.hub(0).groups();
    assert!(groups.add_confirmed(id, "go").await.unwrap().value);
    assert!(groups.add_confirmed(id, "go").await.unwrap().value);
    assert_eq!(groups.add_confirmed(id, "chess").await, Err(GroupError::TooMany));
    let long = groups.add_confirmed(id, "x".repeat(2000)).await;
    assert_eq!(long, Err(GroupError::TooLong));
    assert!(groups.remove_confirmed(id, "go").await.value);
    assert!(groups.add_confirmed(id, "chess").await.unwrap().value);
    let nobody: ConnectionId = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    let gone = groups.add_confirmed(nobody, "go").await.unwrap();
    assert_eq!((gone.value, gone.unreached), (false, 0));
    // With the others out of reach nobody can tell.
    nodes.cluster.cut();
    tokio::time::pause();
    let unknown = groups.add_confirmed(nobody, "go").await.unwrap();
    assert_eq!((unknown.value, unknown.unreached), (false, 1));
}

#[tokio::test]
async fn a_connection_is_ended_from_any_node() {
    let nodes = Nodes::of(3, builder).await;
    let (mut peer, id) = nodes.nodes[1].client("Ann").await;
    let ended = nodes.hub(2).abort(id).await;
    assert_eq!((ended.value, ended.unreached), (true, 0));
    assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":7}"#));
    drop(peer);
    while nodes.hub(1).connected() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!nodes.hub(2).abort(id).await.value);
}
