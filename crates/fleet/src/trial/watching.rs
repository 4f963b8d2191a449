//! Clients of the hub that watch: what each hears, on whichever node it hangs.

use everwire_backplane::memory::Cluster;
use everwire_testkit::{
    relay::Relay,
    wait::{eventually, soon},
};
use serde_json::json;

use super::{Heard, Node, Watcher, key, put, set, until_watched};
use crate::set::{Change, Renamed};

/// Writers and watchers on each of so many nodes.
async fn each_change_once(count: usize) {
    let cluster = Cluster::default();
    let shop = set("shop/prod");
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::start(&cluster).await);
    }
    let mut watchers = Vec::new();
    for node in &nodes {
        for _ in 0..3 {
            watchers.push(node.watcher("set=shop/prod").await);
        }
    }
    for watcher in &mut watchers {
        assert_eq!(watcher.snapshot().await, 0);
    }
    let writes = nodes.iter().enumerate().map(|(number, node)| {
        let shop = &shop;
        async move {
            for value in 0..20 {
                node.put(shop, &format!("K{number}"), &value.to_string()).await;
            }
        }
    });
    let mut writes: Vec<_> = writes.map(Box::pin).collect();
    // All at once: they get into each other's way.
    let all = std::future::poll_fn(|cx| {
        writes.retain_mut(|write| write.as_mut().poll(cx).is_pending());
        if writes.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    everwire_testkit::wait::within(std::time::Duration::from_secs(30), "all writes", all).await;
    let last = 20 * count as u64;
    for watcher in &mut watchers {
        for version in 1..=last {
            assert_eq!(watcher.change().await, version);
        }
    }
    nodes[0].put(&shop, "end", "").await;
    for watcher in &mut watchers {
        assert_eq!(watcher.change().await, last + 1, "and nothing twice");
        assert_eq!(watcher.rest(), []);
    }
}

#[tokio::test]
async fn pred_k1_a_change_is_told_once_by_one_node() {
    each_change_once(1).await;
}

#[tokio::test]
async fn pred_k1_a_change_is_told_once_by_two_nodes() {
    each_change_once(2).await;
}

#[tokio::test]
async fn pred_k1_a_change_is_told_once_by_three_nodes() {
    each_change_once(3).await;
}

#[tokio::test]
async fn pred_k1_changes_are_told_once_while_nodes_come_and_go() {
    let cluster = Cluster::default();
    let shop = set("shop/prod");
    let stays = Node::start(&cluster).await;
    let mut faithful = stays.watcher("set=shop/prod").await;
    assert_eq!(faithful.snapshot().await, 0);
    let mut version = 0;
    for round in 0..5 {
        let comes = Node::start(&cluster).await;
        let mut guest = comes.watcher("set=shop/prod").await;
        assert_eq!(guest.snapshot().await, version);
        for value in 0..4 {
            let node = if value % 2 == 0 { &comes } else { &stays };
            node.put(&shop, "A", &format!("{round} {value}")).await;
            version += 1;
            assert_eq!((guest.change().await, faithful.change().await), (version, version));
        }
        // Every second one is killed, the others stop.
        if round % 2 == 0 {
            comes.stop().await;
        }
    }
    assert_eq!(faithful.rest(), []);
}

#[tokio::test]
async fn pred_k7_who_was_away_is_told_what_it_missed_on_whichever_node_it_returns_to() {
    let cluster = Cluster::default();
    let (one, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    one.put(&shop, "A", "1").await;
    let mut watcher = one.watcher("set=shop/prod").await;
    let Heard::Snapshot(snapshot) = watcher.next().await else { panic!("no snapshot") };
    assert_eq!((&snapshot["version"], &snapshot["values"]), (&json!(1), &json!({"A": "1"})));
    watcher.connection.stop().await;
    other.put(&shop, "A", "2").await;
    one.put(&shop, "B", "3").await;

    let cursor = format!("{}-1", snapshot["epoch"].as_str().unwrap());
    let mut back = other.watcher(&format!("set=shop/prod&cursor={cursor}")).await;
    assert_eq!((back.change().await, back.change().await), (2, 3));
    let mut called = other.watcher("").await;
    called.watch(&[json!("shop/prod"), json!({"epoch": snapshot["epoch"], "version": 2})]).await;
    let Heard::Changed(change) = called.next().await else { panic!("no change") };
    assert_eq!(change["changes"], json!([{"key": "B", "value": "3"}]));
    let mut text = other.watcher("").await;
    text.watch(&[json!("shop/prod"), json!(cursor)]).await;
    assert_eq!(text.change().await, 2);
}

#[tokio::test]
async fn pred_k7_a_log_that_begins_anew_is_a_gap_and_everything() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    node.put(&shop, "A", "1").await;
    let mut watcher = node.watcher("set=shop/prod").await;
    assert_eq!(watcher.snapshot().await, 1);
    let before = node.cursor(&shop).await;
    cluster.empty();
    let other = Node::start(&cluster).await;
    other.put(&shop, "B", "2").await;
    assert_eq!(watcher.next().await, Heard::Gap(json!({"set": "shop/prod"})));
    let Heard::Snapshot(snapshot) = watcher.next().await else { panic!("no snapshot") };
    // It may be seen before anybody writes to it.
    match snapshot["version"].as_u64() {
        Some(0) => assert_eq!(watcher.change().await, 1),
        _ => assert_eq!(snapshot["values"], json!({"B": "2"})),
    }
    assert_ne!(snapshot["epoch"], json!(format!("{:x}", before.epoch)));
    let mut late = other.watcher(&format!("set=shop/prod&cursor={before}")).await;
    assert!(matches!(late.next().await, Heard::Gap(_)));
    assert_eq!(late.snapshot().await, 1);
}

#[tokio::test]
async fn pred_k2_k3_a_blip_neither_multiplies_what_is_heard_nor_locks_out() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    let cable = Relay::start(vec![node.address]).await;
    let url = format!("http://{}/fleet?set=shop/prod", cable.address());
    let mut watcher = Watcher::connect(everwire_client::Client::builder(url)).await;
    assert_eq!(watcher.snapshot().await, 0);
    for round in 1..=4 {
        cable.cut();
        assert_eq!(watcher.snapshot().await, round - 1, "it is back by itself");
        node.put(&shop, "A", &round.to_string()).await;
        assert_eq!(watcher.change().await, round);
    }
    node.put(&shop, "A", "end").await;
    assert_eq!(watcher.change().await, 5);
    assert_eq!(watcher.rest(), []);
    until_watched(&node, &shop, 1).await;
}

#[tokio::test]
async fn pred_k4_the_end_of_a_node_locks_nobody_out() {
    let cluster = Cluster::default();
    let shop = set("shop/prod");
    let dies = Node::start(&cluster).await;
    let mut watcher = dies.watcher("set=shop/prod").await;
    dies.put(&shop, "A", "1").await;
    assert_eq!((watcher.snapshot().await, watcher.change().await), (0, 1));
    let cursor = dies.cursor(&shop).await;
    drop(dies);
    let next = Node::start(&cluster).await;
    let mut again = next.watcher(&format!("set=shop/prod&cursor={cursor}")).await;
    next.put(&shop, "A", "2").await;
    assert_eq!(again.change().await, 2);
}

#[tokio::test]
async fn pred_k5_k6_one_token_has_as_many_sessions_as_it_wants_even_at_once() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let client = node.client("set=shop/prod&access_token=whatever");
        tasks.spawn(Watcher::connect(client));
    }
    let mut watchers = soon("all", tasks.join_all()).await;
    node.put(&set("shop/prod"), "A", "1").await;
    for watcher in &mut watchers {
        let first = watcher.next().await;
        match first {
            Heard::Snapshot(it) if it["version"] == 0 => assert_eq!(watcher.change().await, 1),
            Heard::Snapshot(it) => assert_eq!(it["version"], 1),
            other => panic!("{other:?} comes first"),
        }
    }
}

#[tokio::test]
async fn pred_k20_deletions_and_renames_are_told() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    node.change(&shop, &[put("A", "1"), put("B", "2")]).await;
    let mut watcher = node.watcher("set=shop/prod").await;
    assert_eq!(watcher.snapshot().await, 1);
    let rename = Change::Rename(Renamed { from: key("B"), to: key("C") });
    node.change(&shop, &[Change::Delete { key: key("A") }, rename]).await;
    let Heard::Changed(change) = watcher.next().await else { panic!("no change") };
    let told = json!([
        {"key": "A", "value": null},
        {"key": "B", "value": null},
        {"key": "C", "value": "2"},
    ]);
    assert_eq!(change["changes"], told);
}

#[tokio::test]
async fn a_burst_is_one_change_for_who_asks_and_nobody_hears_what_it_left() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    let mut calm = node.watcher("set=shop/prod&coalesce=1000").await;
    let mut eager = node.watcher("set=shop/prod").await;
    assert_eq!((calm.snapshot().await, eager.snapshot().await), (0, 0));
    for value in 1..=10 {
        node.change(&shop, &[put("A", &value.to_string()), put(&format!("K{value}"), "")]).await;
        assert_eq!(eager.change().await, value);
    }
    let Heard::Changed(change) = calm.next().await else { panic!("no change") };
    assert_eq!(change["version"], 10);
    assert_eq!(change["changes"].as_array().unwrap().len(), 11);
    assert_eq!(change["changes"][0], json!({"key": "A", "value": "10"}));
    eager.connection.invoke::<()>("Unwatch", &["shop/prod"]).await.unwrap();
    node.put(&shop, "A", "end").await;
    assert_eq!(calm.change().await, 11);
    assert_eq!(eager.rest(), []);
}

#[tokio::test]
async fn an_instance_that_returns_by_its_url_is_told_everything_and_nothing_twice() {
    let cluster = Cluster::default();
    let (node, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let shop = set("shop/prod");
    node.put(&shop, "A", "1").await;
    let cursor = node.cursor(&shop).await;
    node.put(&shop, "A", "2").await;
    let query = format!("app=shop&id=7f&set=shop/prod&cursor={cursor}");
    let cable = Relay::start(vec![node.address]).await;
    let url = format!("http://{}/fleet?{query}", cable.address());
    let mut first = Watcher::connect(everwire_client::Client::builder(url)).await;
    assert_eq!(first.change().await, 2, "the URL says where it stands when it first comes");
    let known = async || {
        let page = other.fleet.instances(&crate::target::Target::default(), None, 10);
        (page.total == 1).then_some(())
    };
    eventually("an instance", known).await;
    cable.cut();
    assert_eq!(first.snapshot().await, 2, "the client has come back by itself");
    other.put(&shop, "A", "3").await;
    let mut again = other.watcher(&query).await;
    assert_eq!(again.snapshot().await, 3, "what it has by now nobody knows");
    other.put(&shop, "A", "4").await;
    assert_eq!(again.change().await, 4);
}

#[tokio::test]
async fn a_change_is_an_event_on_every_node() {
    let cluster = Cluster::default();
    let (node, other) = (Node::start(&cluster).await, Node::start(&cluster).await);
    let mut events = other.fleet.events(None);
    node.put(&set("shop/prod"), "A", "1").await;
    loop {
        let told = soon("an event", events.next()).await.unwrap();
        let event = serde_json::to_value(&*told.event).unwrap();
        if event["type"] == "set_changed" {
            assert_eq!((&event["set"], &event["version"]), (&json!("shop/prod"), &json!(1)));
            return;
        }
    }
}
