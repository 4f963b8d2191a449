//! Users whose connections are on several nodes, or on another one: their groups, and their end.

use std::time::Duration;

use everwire_hub::{Hub, HubConfig, StandingError};

use super::{Node, Nodes, builder, call};
use crate::peer::Peer;

/// The groups of a user's connections on this node.
async fn groups_of(node: &Node, user: &str) -> Vec<String> {
    let members = node.hub().user(user).members_now().await;
    let mut groups: Vec<_> = members
        .into_iter()
        .flat_map(|member| member.groups)
        .map(|group| group.to_string())
        .collect();
    groups.sort();
    groups
}

/// Everything that a node has said before has come to this client's.
async fn caught_up(from: &Hub, peer: &mut Peer) {
    from.all().send("mark", &()).unwrap();
    while peer.next().await != Some(call("mark", "[]")) {}
}

#[tokio::test]
async fn what_is_said_of_a_user_on_one_node_holds_on_all() {
    let nodes = Nodes::of(3, builder).await;
    let (mut one, _) = nodes.nodes[1].client("ann").await;
    let (mut two, _) = nodes.nodes[2].client("ann").await;
    let groups = nodes.hub(0).groups();
    for round in 0..20 {
        groups.add_user("ann", "go", None).await.unwrap();
        nodes.hub(0).group("go").send("m", &(round,)).unwrap();
        groups.remove_user("ann", "go").await.unwrap();
        nodes.hub(0).group("go").send("never", &()).unwrap();
        for peer in [&mut one, &mut two] {
            assert_eq!(peer.next().await, Some(call("m", &format!("[{round}]"))));
        }
    }
    groups.add_user("ann", "go", Some(Duration::from_secs(60))).await.unwrap();
    groups.add_user("ann", "chess", Some(Duration::ZERO)).await.unwrap();
    caught_up(nodes.hub(0), &mut one).await;
    // Whoever comes later is in what is remembered, wherever it comes.
    let (_three, _) = nodes.nodes[1].client("ann").await;
    assert_eq!(groups_of(&nodes.nodes[1], "ann").await, ["chess", "go", "go"]);
    for node in 0..3 {
        let there = nodes.hub(node).groups();
        assert!(there.has_user("ann", "go").await.value, "{node}");
        assert!(there.has_user("ann", "chess").await.value, "some connection is: {node}");
        assert!(!there.has_user("bob", "go").await.value, "{node}");
    }
    nodes.hub(2).groups().remove_user_from_all("ann").await.unwrap();
    caught_up(nodes.hub(2), &mut one).await;
    assert!(groups_of(&nodes.nodes[1], "ann").await.is_empty());
    assert!(!nodes.hub(1).groups().has_user("ann", "go").await.value);
}

#[tokio::test(start_paused = true)]
async fn a_membership_ends_on_all_nodes_when_its_time_is_over() {
    let nodes = Nodes::of(2, builder).await;
    let (_peer, _) = nodes.nodes[1].client("ann").await;
    nodes.hub(0).groups().add_user("ann", "go", Some(Duration::from_secs(20))).await.unwrap();
    while groups_of(&nodes.nodes[1], "ann").await.is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(19)).await;
    assert_eq!(groups_of(&nodes.nodes[1], "ann").await, ["go"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(groups_of(&nodes.nodes[1], "ann").await.is_empty());
}

#[tokio::test]
async fn a_node_that_starts_learns_which_groups_users_are_to_be_in() {
    let mut nodes = Nodes::of(1, builder).await;
    let groups = nodes.hub(0).groups();
    // More than one page of it.
    for number in 0..1500 {
        let stay = Some(Duration::from_secs(600 + number));
        groups.add_user(format!("u{number}"), "go", stay).await.unwrap();
    }
    groups.add_user("ann", "open", None).await.unwrap();
    nodes.add(builder()).await;
    for (user, group) in [("u0", "go"), ("u1499", "go"), ("ann", "open")] {
        loop {
            let (_peer, _) = nodes.nodes[1].client(user).await;
            if groups_of(&nodes.nodes[1], user).await.contains(&group.to_owned()) {
                break;
            }
        }
    }
    nodes.hub(0).groups().remove_user("u0", "go").await.unwrap();
    while nodes.hub(1).groups().has_user("u0", "go").await.value {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_does_not_fit_or_cannot_be_told_is_an_error_of_who_says_it() {
    let few = || builder().config(HubConfig { groups_max: 1, ..HubConfig::default() });
    let nodes = Nodes::of(2, few).await;
    let (_peer, _) = nodes.nodes[0].client("ann").await;
    let groups = nodes.hub(0).groups();
    groups.add_user("ann", "go", None).await.unwrap();
    let full = groups.add_user("ann", "chess", None).await;
    assert!(matches!(full, Err(StandingError::Connection(_))), "{full:?}");
    nodes.cluster.cut();
    while nodes.hub(0).all().send("m", &()).is_ok() {}
    let untold = groups.remove_user("ann", "go").await;
    assert!(matches!(untold, Err(StandingError::NotStored(_))), "{untold:?}");
    assert!(groups_of(&nodes.nodes[0], "ann").await.is_empty(), "here it is done");
}

#[tokio::test]
async fn whoever_is_ended_hears_what_came_before_and_why_on_every_node() {
    let nodes = Nodes::of(3, builder).await;
    let mut peers = Vec::new();
    for node in &nodes.nodes {
        peers.push(node.client("ann").await);
    }
    let (mut spared, spared_id) = nodes.nodes[2].client("ann").await;
    let anns = nodes.hub(0).user("ann").except([spared_id]);
    anns.send("Last", &("words",)).unwrap();
    anns.end(Some("moved away")).unwrap();
    for (peer, id) in &mut peers {
        assert_eq!(peer.next().await, Some(call("Last", r#"["words"]"#)));
        assert_eq!(peer.next().await.as_deref(), Some(r#"{"type":7,"error":"moved away"}"#));
        assert_eq!(peer.code().await, Some(1000));
        while nodes.hub(0).exists(*id).await.value {
            tokio::task::yield_now().await;
        }
    }
    nodes.hub(0).connection(spared_id).send("m", &()).unwrap();
    assert_eq!(spared.next().await, Some(call("m", "[]")));
    assert!(nodes.hub(0).exists(spared_id).await.value);
    nodes.hub(1).connections([spared_id]).end(None).unwrap();
    assert_eq!(spared.next().await.as_deref(), Some(r#"{"type":7}"#));
}

#[tokio::test]
async fn a_connection_of_another_node_leaves_all_groups() {
    let nodes = Nodes::of(3, builder).await;
    let (_peer, id) = nodes.nodes[2].client("ann").await;
    for group in ["go", "chess"] {
        assert!(nodes.hub(0).groups().add_confirmed(id, group).await.unwrap().value);
    }
    let gone = nodes.hub(1).groups().remove_from_all(id).await;
    assert_eq!((gone.value, gone.unreached), (true, 0));
    assert!(groups_of(&nodes.nodes[2], "ann").await.is_empty());
    let nobody = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    assert!(!nodes.hub(1).groups().remove_from_all(nobody).await.value);
}
