//! What an operator sees and does: the API, the commands, the metrics.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{client::Client, with_hub};
use crate::process::{Node, file, http, json as body_of, run, status};

const METHODS: &str =
    "[hubs.status.methods]\nJoin = { join = \"{0}\" }\nSay = { send = \"all\" }\n";

const JSON: [&str; 1] = ["Content-Type: application/json"];

async fn client(node: &Node) -> Client {
    Client::connect(node.gateway, "/statusHub").await
}

/// The value of a hub's series.
fn counted(node: &Node, series: &str) -> u64 {
    let page = http(node.admin, "GET /metrics", &[], "");
    let start = format!("everwire_hub_{series}{{hub=\"status\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("no {start} in {page}")).parse().expect("it is a number")
}

/// Asks for a series until it says this.
fn becomes(node: &Node, series: &str, wanted: u64) {
    assert!((0..1000).any(|_| counted(node, series) == wanted), "{series} is never {wanted}");
}

#[tokio::test]
async fn hubs_connections_and_groups_are_listed() {
    let node = Node::with_file(&with_hub("listed-hub.toml", METHODS));
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    for group in ["go", "chess & more"] {
        ann.invoke("Join", json!([group])).await;
    }
    bob.invoke("Join", json!(["go"])).await;
    let read = |path: &str| body_of(&http(node.admin, &format!("GET /api/v1/{path}"), &[], ""));
    let hubs = read("hubs");
    assert_eq!(
        (&hubs["items"][0]["name"], &hubs["items"][0]["path"]),
        (&json!("status"), &json!("/statusHub"))
    );
    assert_eq!(
        (&hubs["items"][0]["connections"], &hubs["items"][0]["messages_in"]),
        (&json!(2), &json!(3))
    );
    let connections = read("hubs/status/connections");
    assert_eq!(connections["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(connections["items"][0]["transport"], "WebSockets");
    let groups =
        json!([{ "name": "chess & more", "connections": 1 }, { "name": "go", "connections": 2 }]);
    assert_eq!(read("hubs/status/groups")["items"], groups);
    assert_eq!(read("status")["hubs"][0]["connections"], 2);
    for (args, told) in [
        (&["hub", "ls"][..], "/statusHub"),
        (&["hub", "ls", "status"], "2 clients"),
        (&["status"], "/statusHub"),
    ] {
        let ended = node.command(args);
        assert!(
            ended.code == 0 && ended.out.contains(told),
            "{args:?}: {} {}",
            ended.out,
            ended.err
        );
    }
    let as_json: Value = serde_json::from_str(&node.command(&["hub", "ls", "--json"]).out).unwrap();
    assert_eq!(as_json["items"][0]["name"], "status");
}

#[tokio::test]
async fn the_operator_sends_to_all_to_a_group_and_to_one() {
    let node = Node::with_file(&with_hub("sending.toml", METHODS));
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    bob.invoke("Join", json!(["a/b ä"])).await;
    let list = node.command(&["hub", "ls", "status", "--json"]).out;
    let list: Value = serde_json::from_str(&list).unwrap();
    let one = list["items"].as_array().unwrap().iter().find(|one| one["groups"] == json!([]));
    let ann_id = one.unwrap()["id"].as_str().unwrap().to_owned();
    for args in [
        &["hub", "send", "status", "Told", "all", "7", "[true]"][..],
        &["hub", "send", "status", "Told", "group", "--group", "a/b ä"],
        &["hub", "send", "status", "Told", "one", "--connection", &ann_id],
        &["hub", "send", "status", "Told", "nobody", "--user", "ann"],
    ] {
        let ended = node.command(args);
        assert_eq!((ended.code, &*ended.out), (0, "sent Told\n"), "{args:?}: {}", ended.err);
    }
    let body = r#"{"target":"Told","arguments":["by HTTP"]}"#;
    assert_eq!(status(&http(node.admin, "POST /api/hubs/status/:send", &JSON, body)), 202);
    ann.is_called("Told", json!(["all", 7, [true]])).await;
    bob.is_called("Told", json!(["all", 7, [true]])).await;
    bob.is_called("Told", json!(["group"])).await;
    ann.is_called("Told", json!(["one"])).await;
    ann.is_called("Told", json!(["by HTTP"])).await;
    bob.is_called("Told", json!(["by HTTP"])).await;
    let closed = node.command(&["hub", "close", "status", &ann_id]);
    assert_eq!(closed.code, 0, "{}", closed.err);
    assert_eq!(ann.next().await, Some(json!({ "type": 7 })));
    assert_eq!(ann.next().await, None);
    drop(ann);
    becomes(&node, "connections", 1);
    assert_eq!(node.command(&["hub", "close", "status", &ann_id]).code, 1);
}

#[test]
fn what_is_said_to_other_nodes_has_series_of_its_own() {
    let node = Node::with_file(&with_hub("node-series.toml", METHODS));
    for series in ["said", "refused", "heard", "unwanted", "unreadable", "gaps"] {
        assert_eq!(counted(&node, &format!("nodes_{series}_total")), 0, "it has no other nodes");
    }
}

#[test]
fn who_names_what_is_not_there_is_told_what_is() {
    let node = Node::with_file(&with_hub("unknown.toml", METHODS));
    for (args, code, told) in [
        (&["hub", "ls", "statsu"][..], 1, "there is no hub \"statsu\"; there is status"),
        (&["pool", "ls", "chat"], 1, "there is no pool \"chat\"; this node has none"),
        (&["hub", "close", "status", "nobody"], 1, "see everwire hub ls status"),
        (&["hub", "send", "status", "Told", "--connection", "-"], 2, "see everwire hub ls status"),
        (&["hub", "send", "status", ""], 2, "name a method of the clients"),
    ] {
        let ended = node.command(args);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(told), "{args:?}: {}", ended.err);
    }
}

/// Every 64th connection's id begins with a hyphen.
#[test]
fn ids_and_numbers_that_begin_with_a_hyphen_are_no_flags() {
    let node = Node::with_file(&with_hub("hyphens.toml", METHODS));
    for id in ["-roWArG2GjvPF4ID61pqiA", "-hoWArG2GjvPF4ID61pqiA", "--help-2GjvPF4ID61pqiA"] {
        let sent = node.command(&["hub", "send", "status", "x", "-5", "--connection", id]);
        assert_eq!((sent.code, &*sent.out), (0, "sent x\n"), "{}", sent.err);
        let closed = node.command(&["hub", "close", "status", id, "--json"]);
        assert!(closed.code == 1 && closed.err.contains(id), "{}", closed.err);
    }
}

#[tokio::test]
async fn errors_are_problems_and_exit_codes() {
    let node = Node::with_file(&with_hub("hub-problems.toml", METHODS));
    let send = "POST /api/hubs/status/:send";
    for (line, body, expected) in [
        ("GET /api/v1/hubs/nope/connections", "", 404),
        ("GET /api/v1/hubs/nope/groups", "", 404),
        ("DELETE /api/v1/hubs/status/connections/nope", "", 404),
        ("POST /api/hubs/nope/:send", r#"{"target":"x"}"#, 404),
        ("POST /api/hubs/status/connections/nope/:send", r#"{"target":"x"}"#, 400),
        ("POST /api/v1/hubs", "", 405),
        (send, r#"{"target":""}"#, 400),
        (send, r#"{"target":"x","argument":[]}"#, 400),
        (send, "{", 400),
        (send, &format!(r#"{{"target":"x","arguments":["{}"]}}"#, "x".repeat(1 << 20)), 413),
    ] {
        let answer = http(node.admin, line, &JSON, body);
        assert_eq!(status(&answer), expected, "{line}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{line}: {answer}");
    }
    for (args, code) in [
        (&["hub", "ls", "nope"][..], 1),
        (&["hub", "ls", "../pools"], 2),
        (&["hub", "send", "status"], 2),
        (&["hub", "send", "status", "x", "--group", "a", "--user", "b"], 2),
    ] {
        assert_eq!(node.command(args).code, code, "{args:?}");
    }
    assert_eq!(run(&["hub", "ls", "--admin", "http://127.0.0.1:1"]).code, 3);
}

#[tokio::test]
async fn each_metric_of_a_hub_moves() {
    let lines = format!("queue_max = \"100KiB\"\nslow_consumer = \"drop-oldest\"\n{METHODS}");
    let node = Node::with_file(&with_hub("hub-metrics.toml", &lines));
    for series in ["connections", "messages_in_total", "messages_out_total", "refused_total"] {
        assert_eq!(counted(&node, series), 0, "{series}");
    }
    assert_eq!(status(&http(node.gateway, "GET /statusHub?id=nobody", &[], "")), 404);
    assert!(Client::try_connect(node.gateway, "/statusHub?id=nobody").await.is_err());
    let mut ann = client(&node).await;
    ann.invoke("Say", json!([1])).await;
    becomes(&node, "connections", 1);
    becomes(&node, "messages_in_total", 1);
    becomes(&node, "messages_out_total", 1);
    becomes(&node, "refused_total", 2);
    // Nobody reads any more: what the sockets do not take waits, and more than may wait is dropped.
    let body = format!(r#"{{"target":"Told","arguments":["{}"]}}"#, "x".repeat(50_000));
    let flooded = (0..1000).any(|_| {
        http(node.admin, "POST /api/hubs/status/:send", &JSON, &body);
        counted(&node, "messages_dropped_total") > 0
    });
    assert!(flooded && counted(&node, "messages_queued_total") > 0);
}

#[tokio::test]
async fn what_goes_to_a_history_and_what_is_read_from_it_is_counted() {
    let lines = format!("{METHODS}[hubs.status.history]\n");
    let node = Node::with_file(&with_hub("hub-history.toml", &lines));
    let mut ann = client(&node).await;
    assert_eq!(ann.call("Recover", json!([null, null])).await, None);
    for number in 0..3 {
        ann.invoke("Say", json!([number])).await;
    }
    becomes(&node, "history_recorded_total", 3);
    assert_eq!(counted(&node, "history_replayed_total"), 0);
    let cursor = loop {
        let (target, arguments) = ann.called().await;
        if target == "Position" {
            break arguments[1].clone();
        }
    };
    let mut bob = client(&node).await;
    let from = json!({ "epoch": cursor["epoch"], "offset": 0 });
    assert_eq!(bob.call("Recover", json!([null, from])).await, None);
    becomes(&node, "history_replayed_total", 3);
    assert_eq!(counted(&node, "history_gaps_total"), 0);
}

#[tokio::test]
async fn who_waits_for_a_drain_is_told_how_far_it_is() {
    let text = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[stop]\n\
        announce = \"2s\"\nwindow = \"0s\"\n[hubs.status]\npath = \"/statusHub\"\n";
    let node = Arc::new(Node::with_file(&file("hub-drain.toml", text)));
    let mut ann = client(&node).await;
    let drain = |args: &'static [&'static str]| {
        let node = Arc::clone(&node);
        spawn_blocking(move || node.command(args))
    };
    // It reads the Close, and goes.
    let client = async move { ann.next().await };
    let (plain, scripted, _) =
        tokio::join!(drain(&["node", "drain"]), drain(&["node", "drain", "--json"]), client);
    let (plain, scripted) = (plain.unwrap(), scripted.unwrap());
    let told = "is being drained: 0 sessions moved, 1 client left";
    assert!(plain.err.contains(told), "{}", plain.err);
    assert_eq!(plain.out.lines().count(), 1, "{}", plain.out);
    assert!(plain.out.contains("is drained, 0 sessions moved"), "{}", plain.out);
    assert_eq!((plain.code, scripted.code, scripted.err.as_str()), (0, 0, ""));
    let described: Value = serde_json::from_str(&scripted.out).expect("it is JSON");
    assert_eq!(described["state"], "drained");
}

#[tokio::test]
async fn a_slow_client_is_ended_and_counted() {
    let lines = format!("queue_max = \"1KiB\"\n{METHODS}");
    let node = Node::with_file(&with_hub("hub-slow.toml", &lines));
    let _slow = client(&node).await;
    let body = format!(r#"{{"target":"Told","arguments":["{}"]}}"#, "x".repeat(50_000));
    let ended = (0..1000).any(|_| {
        http(node.admin, "POST /api/hubs/status/:send", &JSON, &body);
        counted(&node, "slow_consumers_total") == 1
    });
    assert!(ended);
    becomes(&node, "connections", 0);
}
