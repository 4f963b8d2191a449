//! Tokens: who may watch, and what becomes of watches when that changes.

use std::time::Duration;

use everwire_backplane::memory::Cluster;
use everwire_testkit::wait::{eventually, soon};
use serde_json::json;

use super::{Node, grant, put, set};
use crate::{
    FleetConfig,
    access::{Grant, Grants, Right},
    target::Target,
};

const SHOP: &str = "token-of-the-shop";
const BANK: &str = "token-of-the-bank";

fn both() -> Grants {
    let read = [Right::Read];
    Grants::new([grant(SHOP, "shop/**", &read), grant(BANK, "bank/**", &read)]).unwrap()
}

#[tokio::test]
async fn pred_k14_a_token_that_is_withdrawn_ends_its_watches_and_says_why() {
    let cluster = Cluster::default();
    let plan = FleetConfig { grants: both(), ..FleetConfig::default() };
    let (node, other) = (Node::start_as(&cluster, plan).await, Node::start(&cluster).await);
    let (shop, bank) = (set("shop/prod"), set("bank/prod"));
    let mut reader = node.watcher(&format!("set=shop/prod&access_token={SHOP}")).await;
    let mut stays = node.watcher(&format!("set=bank/prod&access_token={BANK}")).await;
    assert_eq!((reader.snapshot().await, stays.snapshot().await), (0, 0));
    other.put(&shop, "A", "1").await;
    assert_eq!(reader.change().await, 1);
    let only_bank = Grants::new([grant(BANK, "bank/**", &[Right::Read])]).unwrap();
    node.fleet.update_access(only_bank);
    other.put(&shop, "A", "2").await;
    let end = soon("the end", reader.connection.closed()).await;
    assert!(format!("{end:?}").contains("withdrawn"), "{end:?}");
    assert_eq!(reader.rest(), [], "it heard nothing more");
    other.put(&bank, "A", "1").await;
    assert_eq!(stays.change().await, 1);
}

#[tokio::test]
async fn pred_k14_a_token_that_is_for_less_ends_the_watches_that_it_is_not_for() {
    let cluster = Cluster::default();
    let plan = FleetConfig { grants: both(), ..FleetConfig::default() };
    let node = Node::start_as(&cluster, plan).await;
    let mut reader = node.watcher(&format!("set=shop/prod&access_token={SHOP}")).await;
    let mut narrow = node.watcher(&format!("set=shop/test&access_token={SHOP}")).await;
    assert_eq!((reader.snapshot().await, narrow.snapshot().await), (0, 0));
    let less = Grants::new([grant(SHOP, "shop/test", &[Right::Read])]).unwrap();
    node.fleet.update_access(less);
    let end = soon("the end", reader.connection.closed()).await;
    assert!(format!("{end:?}").contains("the right to read shop/prod was withdrawn"), "{end:?}");
    node.put(&set("shop/test"), "A", "1").await;
    assert_eq!(narrow.change().await, 1);
}

#[tokio::test]
async fn pred_k14_who_may_not_read_a_set_does_not_watch_it() {
    let cluster = Cluster::default();
    let plan = FleetConfig { grants: both(), ..FleetConfig::default() };
    let node = Node::start_as(&cluster, plan).await;
    for query in ["set=shop/prod", "set=shop/prod&access_token=of-somebody-else"] {
        assert!(soon("an answer", node.client(query).connect()).await.is_err(), "{query}");
    }
    let client = super::Watcher::connect(node.client(&format!("access_token={BANK}"))).await;
    let refused = client.connection.invoke::<()>("Watch", &["shop/prod"]).await.unwrap_err();
    assert!(refused.to_string().contains("may not read shop/prod"), "{refused}");
    client.watch(&[json!("bank/prod")]).await;
    let foreign =
        super::Watcher::connect(node.client(&format!("set=shop/prod&access_token={BANK}")));
    let foreign = foreign.await;
    let end = soon("the end", foreign.connection.closed()).await;
    assert!(format!("{end:?}").contains("may not read shop/prod"), "{end:?}");
}

#[tokio::test]
async fn pred_k14_an_instance_is_here_as_long_as_its_token_lets_it_join() {
    let cluster = Cluster::default();
    let may = |app: &str| {
        let shop = Grant::new(SHOP, app, [], [Right::Join]).unwrap();
        Grants::new([shop]).unwrap()
    };
    let config = FleetConfig { grants: may("shop"), ..FleetConfig::default() };
    let node = Node::start_as(&cluster, config).await;
    let of = |app: &str| node.client(&format!("app={app}&id=7f&access_token={SHOP}"));
    let bank = super::Watcher::connect(of("bank")).await;
    let end = soon("the end", bank.connection.closed()).await;
    assert!(format!("{end:?}").contains("may not join as bank"), "{end:?}");
    let shop = super::Watcher::connect(of("shop")).await;
    let there = async || {
        let page = node.fleet.instances(&Target::default(), None, 10);
        (page.total == 1).then_some(())
    };
    eventually("an instance", there).await;
    node.fleet.update_access(may("bank"));
    let end = soon("the end", shop.connection.closed()).await;
    assert!(format!("{end:?}").contains("the token was withdrawn"), "{end:?}");
}

#[tokio::test]
async fn pred_k15_a_connection_that_says_nothing_ends_with_a_reason_and_one_that_watches_stays() {
    let cluster = Cluster::default();
    let plan = FleetConfig { silent_max: Duration::from_millis(300), ..FleetConfig::default() };
    let node = Node::start_as(&cluster, plan).await;
    let mut stays = node.watcher("set=shop/prod").await;
    let silent = node.watcher("").await;
    let end = soon("the end", silent.connection.closed()).await;
    assert!(format!("{end:?}").contains("neither joined nor watched"), "{end:?}");
    assert_eq!(stays.snapshot().await, 0);
    node.change(&set("shop/prod"), &[put("A", "1")]).await;
    assert_eq!(stays.change().await, 1);
}
