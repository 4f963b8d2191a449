//! Who writes to a set, on several nodes at once.

use everwire_backplane::{Channel, Log, Version, memory::Cluster};
use everwire_testkit::wait::{soon, within};

use super::{Node, key, put, set};
use crate::{
    set::{Change, ChangeError, Value},
    sets::{Author, Written},
};

fn author(by: &str) -> Author {
    Author { by: by.into(), note: None }
}

#[tokio::test]
async fn pred_k8_of_two_who_saw_the_same_version_one_wins_and_the_other_is_told() {
    let cluster = Cluster::default();
    let (one, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    assert_eq!(one.put(&shop, "A", "1").await, Written { version: 1, is_new: true });
    let changes = [put("A", "2")];
    // The other node may not have read version 1 yet: it looks before it judges.
    let changed = other.fleet.change(&shop, &changes, author("bob"), Some(1)).await;
    assert_eq!(changed.unwrap().version, 2);
    let changes = [put("A", "3")];
    let refused = one.fleet.change(&shop, &changes, author("ann"), Some(1)).await.unwrap_err();
    assert_eq!(refused, ChangeError::Conflict(2));
    assert!(refused.to_string().contains("read it, decide again"));
    let early = one.fleet.change(&shop, &changes, author("ann"), Some(7)).await;
    assert_eq!(early, Err(ChangeError::Conflict(2)));
}

#[tokio::test]
async fn pred_k8_writers_who_expect_no_version_all_come_through() {
    let cluster = Cluster::default();
    let shop = set("shop/prod");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (cluster, shop) = (cluster.clone(), shop.clone());
        tasks.spawn(async move {
            let node = Node::start(&cluster).await;
            let mut versions = Vec::new();
            for value in 0..20 {
                let key = format!("K{number}-{value}");
                versions.push(node.put(&shop, &key, "").await.version);
            }
            versions
        });
    }
    let all = within(std::time::Duration::from_secs(30), "all", tasks.join_all()).await;
    let mut versions = all.concat();
    versions.sort_unstable();
    assert!(versions.into_iter().eq(1..=60), "each change is a version of its own");
    let state = Node::start(&cluster).await.fleet.set(&shop).await.unwrap();
    assert_eq!(state.values.len(), 60);
}

#[tokio::test]
async fn what_changes_nothing_is_judged_by_what_there_is_and_not_by_what_was_read() {
    let cluster = Cluster::default();
    let (one, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    for round in 0..50 {
        one.put(&shop, "A", "1").await;
        other.put(&shop, "A", "2").await;
        // This node may still have the first value.
        let written = one.put(&shop, "A", "1").await;
        assert_eq!(written, Written { version: 3 + 4 * round, is_new: true });
        one.put(&shop, "A", "0").await;
    }
}

#[tokio::test]
async fn pred_k16_k17_a_change_is_one_entry_and_has_no_secret_in_it() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    let mut watcher = node.watcher("set=shop/prod").await;
    assert_eq!(watcher.snapshot().await, 0);
    let secret = Value::new("hunter2").unwrap();
    let secret = Change::Set { key: key("PASSWORD"), value: secret, secret: true };
    node.change(&shop, &[secret, put("A", "1"), put("B", "2")]).await;
    let super::Heard::Changed(change) = watcher.next().await else { panic!("no change") };
    assert_eq!(change["changes"][2]["value"], "hunter2", "who may read the set reads it");
    node.put(&shop, "A", "2").await;
    let log = Channel::new("fleet/sets/shop/prod").unwrap();
    let page = cluster.read(&log, Version(0), 10).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    for entry in &page.entries {
        assert!(!String::from_utf8_lossy(&entry.payload).contains("hunter"));
    }
    let state = node.fleet.set(&shop).await.unwrap();
    let history = node.fleet.history(&shop, None, 10).await.unwrap();
    let diff = node.fleet.diff(&shop, 0, 2).await.unwrap();
    let shown = serde_json::to_string(&(&state, &history, &diff)).unwrap();
    assert!(shown.contains("***") && !shown.contains("hunter"), "{shown}");
}

#[tokio::test]
async fn a_set_is_looked_at_compared_and_brought_back() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    let note = Author { by: "ann".into(), note: Some("first".into()) };
    node.fleet.change(&shop, &[put("A", "1"), put("B", "2")], note, None).await.unwrap();
    node.change(&shop, &[put("A", "2"), Change::Delete { key: key("B") }]).await;
    let back = node.fleet.rollback(&shop, 1, author("bob"), Some(2)).await.unwrap();
    assert_eq!(back.version, 3);
    let state = node.fleet.set(&shop).await.unwrap();
    let values: Vec<_> = state.values.iter().map(|it| (it.key.as_str(), &*it.value)).collect();
    assert_eq!(values, [("A", "1"), ("B", "2")]);
    let history = node.fleet.history(&shop, Some(3), 1).await.unwrap();
    assert_eq!((history.version, history.oldest, history.items[0].version), (3, 0, 2));
    let all = serde_json::to_value(node.fleet.history(&shop, None, 9).await.unwrap()).unwrap();
    assert_eq!(all["items"][0]["rolled_back_to"], 1);
    assert_eq!(all["items"][2]["note"], "first");
    assert_eq!(all["items"][2]["changes"][0]["after"], "1");
    let diff = serde_json::to_value(node.fleet.diff(&shop, 2, 3).await.unwrap()).unwrap();
    assert_eq!(diff["items"][1], serde_json::json!({"key": "B", "from": null, "to": "2"}));
    assert!(node.fleet.diff(&shop, 1, 3).await.unwrap().items.is_empty());
    let unknown = node.fleet.diff(&shop, 1, 9).await.unwrap_err();
    assert!(unknown.to_string().contains("the latest 3"), "{unknown}");
}

#[tokio::test]
async fn a_change_without_a_log_is_refused_and_says_what_to_do() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    node.put(&shop, "A", "1").await;
    cluster.cut();
    let changes = [put("A", "2")];
    let refused = node.fleet.change(&shop, &changes, author("ann"), None);
    let refused = soon("an answer", refused).await.unwrap_err();
    assert!(refused.to_string().contains("try again"), "{refused}");
    cluster.heal();
    assert_eq!(node.put(&shop, "A", "2").await.version, 2);
}
