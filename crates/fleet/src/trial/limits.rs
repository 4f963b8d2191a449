//! What is limited, filled.

use std::time::Duration;

use bytes::Bytes;
use everwire_backplane::memory::Cluster;
use everwire_testkit::wait::{eventually, soon};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::{Node, put, set};
use crate::{
    FleetConfig,
    entry::{Event, write_event},
    follow::FOLLOWED_MAX,
    ledger::SETS_MAX,
    set::ChangeError,
    sets::{Author, NAMES_PAGE_MAX},
    shelf::STREAMS_MAX,
};

#[tokio::test]
async fn one_connection_watches_only_so_many_sets() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let watcher = node.watcher("set=a").await;
    for number in 1..FOLLOWED_MAX {
        watcher.watch(&[json!(format!("s{number}"))]).await;
    }
    watcher.watch(&[json!("s1")]).await;
    let refused = watcher.connection.invoke::<()>("Watch", &["more"]).await.unwrap_err();
    assert!(refused.to_string().contains("unwatch some"), "{refused}");
    watcher.connection.invoke::<()>("Unwatch", &["s1"]).await.unwrap();
    watcher.watch(&[json!("more")]).await;
    let query = (0..=FOLLOWED_MAX).map(|number| format!("set=s{number}&")).collect::<String>();
    let many = node.watcher(&query).await;
    let end = soon("the end", many.connection.closed()).await;
    assert!(format!("{end:?}").contains("at most 100 sets"), "{end:?}");
}

#[tokio::test]
async fn a_node_has_only_so_many_sets_in_use() {
    let cluster = Cluster::default();
    let node =
        Node::start_as(&cluster, FleetConfig { sets_max: 3, ..FleetConfig::default() }).await;
    let watcher = node.watcher("set=a&set=b").await;
    node.put(&set("c"), "A", "1").await;
    let refused = watcher.connection.invoke::<()>("Watch", &["d"]).await.unwrap_err();
    assert!(refused.to_string().contains("too many sets are in use"), "{refused}");
    let refused = node.fleet.set(&set("d")).await.unwrap_err();
    assert!(matches!(&refused, ChangeError::NotStored(why) if why.contains("too many sets")));
    watcher.watch(&[json!("c")]).await;
}

#[tokio::test]
async fn what_is_not_understood_is_refused_in_words() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let watcher = node.watcher("set=a").await;
    for (arguments, why) in [
        (vec![], "Watch takes the name of a set"),
        (vec![json!(7)], "Watch takes the name of a set"),
        (vec![json!("a b")], "is not a set"),
        (vec![json!("a"), json!("yesterday")], "a cursor is epoch-version"),
        (vec![json!("a"), json!({"epoch": 1})], "a cursor is epoch-version"),
        (vec![json!("a"), json!(null), json!("soon")], "'coalesce' is a number"),
    ] {
        let refused = watcher.connection.invoke::<()>("Watch", &arguments).await.unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    for (query, why) in [
        ("cursor=1-1", "'cursor' comes behind its 'set'"),
        ("set=", "is not a set"),
        ("set=a&cursor=x", "a cursor is epoch-version"),
        ("set=a&coalesce=x", "'coalesce' is a number"),
    ] {
        let wrong = node.watcher(query).await;
        let end = soon("the end", wrong.connection.closed()).await;
        assert!(format!("{end:?}").contains(why), "{end:?}");
    }
}

#[tokio::test]
async fn a_fleet_has_only_so_many_sets_and_lists_them() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    node.put(&set("shop/prod"), "A", "1").await;
    let event = |number| write_event(&Event::Set { name: set(&format!("s{number:05}")) });
    let events: Vec<_> = (1..SETS_MAX).map(event).collect();
    let ledger = node.fleet.sets_of_node().ledger();
    let version = ledger.append(events).await.unwrap();
    soon("all sets", ledger.reached(version)).await.unwrap();
    let (more, change) = (set("more"), [put("A", "1")]);
    let refused = node.fleet.change(&more, &change, Author::default(), None).await;
    assert_eq!(refused, Err(ChangeError::TooManySets));
    let nothing = node.fleet.change(&more, &[], Author::default(), None).await.unwrap();
    assert_eq!((nothing.version, nothing.is_new), (0, false), "nothing needs no set");
    assert_eq!(node.put(&set("shop/prod"), "A", "2").await.version, 2);
    let page = node.fleet.sets(Some(&set("s00002")), 2);
    assert_eq!(page, [set("s00003"), set("s00004")]);
    assert_eq!(node.fleet.sets(None, usize::MAX).len(), NAMES_PAGE_MAX);
}

#[tokio::test]
async fn a_node_has_only_so_many_streams_of_events() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let mut places: Vec<_> = (0..STREAMS_MAX).map(|_| node.shelf().stream().unwrap()).collect();
    assert!(node.shelf().stream().is_none());
    let service = node.fleet.service(None);
    let ask = || Request::get("/fleet/sets/a/events").body(Full::<Bytes>::default()).unwrap();
    let refused = soon("an answer", service.handle(ask())).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    places.pop();
    assert_eq!(soon("an answer", service.handle(ask())).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_nobody_uses_is_put_away_and_opened_again() {
    let cluster = Cluster::default();
    let node = Node::start(&cluster).await;
    let shop = set("shop/prod");
    node.put(&shop, "A", "1").await;
    assert_eq!(node.shelf().in_use(), 1);
    tokio::time::advance(Duration::from_secs(30)).await;
    node.put(&shop, "A", "2").await;
    let put_away = async || (node.shelf().in_use() == 0).then_some(());
    eventually("nothing in use", put_away).await;
    assert_eq!(node.put(&shop, "A", "3").await.version, 3);
}
