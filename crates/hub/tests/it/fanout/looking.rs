//! Who is where, on all nodes together.

use std::collections::BTreeSet;

use super::{Nodes, builder};

#[tokio::test]
async fn groups_users_and_connections_are_counted_and_read_page_by_page_from_any_node() {
    let nodes = Nodes::of(3, builder).await;
    let mut clients = Vec::new();
    for number in 0..9 {
        let node = &nodes.nodes[number % 3];
        let (mut peer, id) = node.client(["Ann", "Bob"][number % 2]).await;
        peer.call("join", r#"["all"]"#).await;
        peer.call("join", &format!(r#"["g{}"]"#, number % 4)).await;
        clients.push((peer, id));
    }
    for node in &nodes.nodes {
        let hub = node.hub();
        let count = hub.all().count().await;
        assert_eq!((count.value, count.unreached), (9, 0));
        assert_eq!(hub.user("Ann").count().await.value, 5);
        assert_eq!(hub.group("g0").count().await.value, 3);
        assert_eq!(hub.group("all").except([clients[0].1]).count().await.value, 8);
        assert_eq!(hub.connections([clients[0].1, clients[1].1]).count().await.value, 2);
        assert_eq!(hub.group("none").count().await.value, 0);

        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = hub.group("all").page(after, 2).await.value;
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            assert_eq!(last.groups.len(), 2);
            after = Some(last.id);
            ids.extend(page.iter().map(|member| member.id));
        }
        assert!(ids.is_sorted());
        let expected: BTreeSet<_> = clients.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids, expected.into_iter().collect::<Vec<_>>());

        let groups = hub.groups().page(None, 3).await.value;
        let named: Vec<_> = groups.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(named, [("all", 9), ("g0", 3), ("g1", 2)]);
        let rest = hub.groups().page(Some(&groups[2].0), 9).await.value;
        let named: Vec<_> = rest.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(named, [("g2", 2), ("g3", 2)]);
        let users = hub.users_page(None, 9).await.value;
        let named: Vec<_> = users.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(named, [("Ann", 5), ("Bob", 4)]);
        assert!(hub.users_page(Some(&users[1].0), 9).await.value.is_empty());
    }
}

#[tokio::test]
async fn nodes_that_do_not_answer_are_counted() {
    let nodes = Nodes::of(3, builder).await;
    let _client = nodes.nodes[0].client("Ann").await;
    nodes.cluster.cut();
    tokio::time::pause();
    let count = nodes.hub(0).all().count().await;
    assert_eq!((count.value, count.unreached), (1, 2));
    nodes.cluster.heal();
    let count = nodes.hub(0).all().count().await;
    assert_eq!((count.value, count.unreached), (1, 0));
}
