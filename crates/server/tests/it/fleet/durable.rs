//! What outlives the node.

use serde_json::json;

use super::{ask, instance::Instance, journal, node, with_fleet};
use crate::process::{Node, file, run};

#[tokio::test]
async fn what_was_accepted_is_there_when_the_node_was_killed() {
    let path = with_fleet("killed-fleet", "");
    let mut node = Node::with_file(&path);
    let one = Instance::join(&node, "app=shop&id=a").await;
    let command = r#"{"target": "shop", "name": "refresh", "deadline": "60s"}"#;
    let (status, accepted) = ask(&node, "POST", "fleet/commands", command);
    assert_eq!(status, 202, "{accepted}");
    assert_eq!(ask(&node, "PATCH", "fleet/sets/shop", r#"{"changes": {"A": "1"}}"#).0, 200);
    node.child.kill().expect("it is ours");
    node.child.wait().expect("it ends");
    drop((node, one));
    let node = Node::with_file(&path);
    let (_, set) = ask(&node, "GET", "fleet/sets/shop", "");
    assert_eq!((&set["version"], &set["values"][0]["value"]), (&json!(1), &json!("1")), "{set}");
    let mut one = Instance::join(&node, "app=shop&id=a").await;
    let (call, command) = one.command().await;
    assert_eq!(command["id"], accepted["id"], "it comes under the same id");
    one.answer(&call, json!(null)).await;
    let path = format!("fleet/commands/{}", accepted["id"].as_str().expect("an id"));
    let is_done = || ask(&node, "GET", &path, "").1["counts"]["done"] == 1;
    assert!((0..1000).any(|_| is_done()));
}

#[test]
fn a_second_node_on_the_same_journal_ends_with_1_and_says_what_several_nodes_need() {
    let path = with_fleet("shared-journal", "");
    let _first = Node::with_file(&path);
    let ended = run(&["serve", "-c", path.to_str().expect("text")]);
    assert_eq!(ended.code, 1, "{}", ended.err);
    let name = journal("shared-journal").display().to_string();
    assert!(ended.err.contains("backplane.url") && ended.err.contains(&name), "{}", ended.err);
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let path = with_fleet("not-a-journal", "");
    std::fs::write(journal("not-a-journal"), "my diary, and nobody else's\n").expect("it is ours");
    let ended = run(&["serve", "-c", path.to_str().expect("text")]);
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains("is no journal"), "{}", ended.err);
    let kept = std::fs::read_to_string(journal("not-a-journal")).expect("it is there");
    assert_eq!(kept, "my diary, and nobody else's\n");
}

#[test]
fn a_volatile_fleet_writes_nothing() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[fleet]\n\
                durability = \"volatile\"\n";
    let node = Node::with_file(&file("volatile-fleet.toml", text));
    assert_eq!(ask(&node, "PATCH", "fleet/sets/shop", r#"{"changes": {"A": "1"}}"#).0, 200);
}

#[tokio::test]
async fn a_token_that_a_reload_takes_away_ends_what_it_has_opened() {
    let tokens =
        |lines: &str| format!("[fleet.tokens]\n{lines}\n\"another-of-the-tokens\" = {{}}\n");
    let path =
        with_fleet("reloaded-fleet", &tokens("\"the-first-of-the-tokens\" = { app = \"shop\" }"));
    let node = Node::with_file(&path);
    let query = "app=shop&id=a&access_token=the-first-of-the-tokens";
    let mut one = Instance::join(&node, query).await;
    let text = std::fs::read_to_string(&path).expect("it is ours");
    std::fs::write(&path, text.replace("the-first-of-the-tokens", "the-third-of-the-tokens"))
        .expect("it is ours");
    node.signal("HUP");
    let farewell = one.0.next().await.expect("it is told why it has to go");
    assert_eq!(farewell["type"], 7, "{farewell}");
    let again = Instance::connect(&node, query).await;
    assert!(again.is_none(), "it lets nobody in any more");
    Instance::join(&node, "app=shop&id=a&access_token=the-third-of-the-tokens").await;
}

#[test]
fn nodes_stop_in_order() {
    let node = node("stopped-fleet");
    node.signal("TERM");
    assert_eq!(node.ended().code, 0);
}
