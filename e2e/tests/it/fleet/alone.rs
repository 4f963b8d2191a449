//! What a node wants of the place where its fleet remembers, before it begins.

use everwire_testkit::{
    everwire::{Everwire, Setup},
    need,
    redis::{DURABLE, Server, VOLATILE},
    tools,
};
use serde_json::json;

use super::stage::{alone, change, set, sharing};

#[tokio::test]
async fn a_second_process_on_the_same_journal_exits_with_1_and_names_backplane_url() {
    let first = Everwire::start(&alone()).await;
    let journal = first.folder().join("fleet.journal");
    let second = Setup::new().hubs(&format!("[fleet]\njournal = {journal:?}\n"));
    let (status, said) = Everwire::fail(&second).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("backplane.url"), "{said}");
    // Nor has it harmed the first.
    assert_eq!(change(&first, "shop/prod", json!({ "COLOR": "red" })).await, 1);
}

#[tokio::test]
async fn a_redis_that_keeps_no_file_is_refused_unless_the_fleet_may_be_forgotten() {
    let redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (status, said) = Everwire::fail(&sharing(&redis.url())).await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("appendonly") && said.contains("volatile"), "{said}");
    let told = sharing(&redis.url()).hubs("durability = \"volatile\"\n");
    let node = Everwire::start(&told).await;
    assert_eq!(change(&node, "shop/prod", json!({ "COLOR": "red" })).await, 1);
}

/// Every node may be killed at once, and Redis with them.
#[tokio::test]
async fn a_redis_that_keeps_a_file_gives_all_back_after_everybody_was_killed() {
    let mut redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let mut node = Everwire::start(&sharing(&redis.url())).await;
    for number in 1..=5 {
        let changes = json!({ "N": number.to_string() });
        assert_eq!(change(&node, "shop/prod", changes).await, number);
    }
    node.process().kill();
    redis.kill_and_restart().await;
    node.restart().await;
    let set = set(&node, "shop/prod").await;
    assert_eq!(set["version"], 5);
    assert_eq!(set["values"][0]["value"], "5", "{set}");
}
