//! Tokens of the fleet on the admin listener.

use super::{ask_with, with_fleet};
use crate::process::Node;

/// A node with a token for its operator, one for who changes the shop's sets, one for who reads them, and
/// one for who commands the shop.
fn guarded(name: &str) -> Node {
    let tokens = "[fleet.tokens]\n\
        \"the-token-that-writes\" = { sets = [\"shop/**\"], rights = [\"write\"] }\n\
        \"the-token-that-reads\" = { sets = [\"shop/**\"], rights = [\"read\"] }\n\
        \"the-token-that-commands\" = { app = \"shop\", rights = [\"command\"] }\n";
    let path = with_fleet(name, tokens);
    let text = std::fs::read_to_string(&path).expect("it is ours");
    let guarded = text.replace("[admin]\n", "[admin]\ntoken = \"open-sesame\"\n");
    assert_ne!(text, guarded);
    std::fs::write(&path, guarded).expect("it is ours");
    Node::with_file(&path)
}

/// What the admin API answers to who shows this token.
fn ask(node: &Node, token: &str, method: &str, path: &str, body: &str) -> u16 {
    let token = format!("Authorization: Bearer {token}");
    ask_with(node, method, path, &[&token], body).0
}

#[test]
fn a_token_changes_and_reads_the_sets_that_it_is_for() {
    let node = guarded("guest-of-sets");
    let (writes, reads) = ("the-token-that-writes", "the-token-that-reads");
    let change = r#"{"changes": {"A": "1"}}"#;
    let set = "fleet/sets/shop/prod";
    assert_eq!(ask(&node, reads, "PATCH", set, change), 403);
    assert_eq!(ask(&node, writes, "PATCH", "fleet/sets/bank/prod", change), 403);
    assert_eq!(ask(&node, "a-token-of-nobody", "PATCH", set, change), 401);
    assert_eq!(ask(&node, writes, "PATCH", set, change), 200);
    assert_eq!(ask(&node, writes, "GET", set, ""), 403);
    assert_eq!(ask(&node, reads, "GET", set, ""), 200);
    assert_eq!(ask(&node, writes, "POST", "fleet/sets/shop/prod/rollback", r#"{"to": 0}"#), 200);
    assert_eq!(ask(&node, reads, "POST", "fleet/sets/shop/prod/rollback", r#"{"to": 1}"#), 403);
    let operator = ["Authorization: Bearer open-sesame"];
    let (_, history) = ask_with(&node, "GET", "fleet/sets/shop/prod/history", &operator, "");
    assert_eq!(history["items"][0]["by"], "a token");
}

#[test]
fn a_token_commands_the_application_that_it_is_for() {
    let node = guarded("guest-of-commands");
    let commands = "the-token-that-commands";
    let command = |target: &str| format!(r#"{{"target": "{target}", "name": "refresh"}}"#);
    for others in ["bank", "**", "sho*"] {
        assert_eq!(ask(&node, commands, "POST", "fleet/commands", &command(others)), 403);
    }
    assert_eq!(ask(&node, "the-token-that-reads", "POST", "fleet/commands", &command("shop")), 403);
    assert_eq!(ask(&node, commands, "POST", "fleet/commands", &command("shop")), 202);
    let operator = ["Authorization: Bearer open-sesame"];
    let body = command("bank");
    let (_, other) = ask_with(&node, "POST", "fleet/commands", &operator, &body);
    let id = other["id"].as_str().expect("an id");
    let theirs = format!("fleet/commands/{id}");
    assert_eq!(ask(&node, commands, "GET", &theirs, ""), 403);
    assert_eq!(ask(&node, commands, "DELETE", &theirs, ""), 403);
    let (_, list) = ask_with(&node, "GET", "fleet/commands", &operator, "");
    let mine =
        list["items"].as_array().expect("a list").iter().find(|one| one["id"] != other["id"]);
    let mine = mine.and_then(|mine| mine["id"].as_str()).expect("the one that was accepted");
    assert_eq!(ask(&node, commands, "GET", &format!("fleet/commands/{mine}"), ""), 200);
    assert_eq!(ask(&node, commands, "GET", "fleet/commands", ""), 403, "it names others");
}

#[test]
fn a_token_of_the_fleet_opens_nothing_else() {
    let node = guarded("guest-elsewhere");
    for place in ["status", "pools", "fleet/instances", "fleet/sets", "events", "hubs", "nodes"] {
        assert_eq!(ask(&node, "the-token-that-reads", "GET", place, ""), 401, "{place}");
    }
}
