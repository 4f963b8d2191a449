//! The admin API of instances and commands.

use serde_json::json;

use super::{ask, ask_with, counted, instance::Instance, node};
use crate::process::Node;

const REFRESH: &str = r#"{"target": "shop", "name": "refresh", "args": [1], "deadline": "30s"}"#;

#[tokio::test]
async fn instances_are_listed_as_they_said_they_are() {
    let node = node("listed-fleet");
    let query = "app=shop&index=1&id=a&version=1.2&label.zone=north";
    let _one = Instance::join(&node, query).await;
    let two = Instance::join(&node, "app=shop&index=2&id=b").await;
    let (status, list) = ask(&node, "GET", "fleet/instances", "");
    assert_eq!((status, &list["total"]), (200, &json!(2)), "{list}");
    let item = &list["items"][0];
    for (key, wanted) in [
        ("name", json!("shop:1:a")),
        ("app", json!("shop")),
        ("index", json!("1")),
        ("id", json!("a")),
        ("version", json!("1.2")),
        ("labels", json!({ "zone": "north" })),
        ("state", json!("present")),
    ] {
        assert_eq!(item[key], wanted, "{key} in {item}");
    }
    let (_, list) = ask(&node, "GET", "fleet/instances?label.zone=north", "");
    assert_eq!((&list["total"], &list["items"][0]["name"]), (&json!(1), &json!("shop:1:a")));
    let (_, page) = ask(&node, "GET", "fleet/instances?limit=1", "");
    let next = page["next"].as_str().expect("there is another page");
    let (_, page) = ask(&node, "GET", &format!("fleet/instances?limit=1&after={next}"), "");
    assert_eq!((&page["items"][0]["name"], &page["next"]), (&json!("shop:2:b"), &json!(null)));
    drop(two);
    let is_away =
        || ask(&node, "GET", "fleet/instances?target=*:2", "").1["items"][0]["state"] == "away";
    assert!((0..1000).any(|_| is_away()), "whoever is gone is seen to be");
    assert_eq!(counted(&node, "instances{state=\"present\"}"), 1);
}

#[tokio::test]
async fn a_command_has_an_outcome_of_everybody_or_their_names() {
    let node = node("commanded-fleet");
    let mut one = Instance::join(&node, "app=shop&index=1&id=a").await;
    let mut two = Instance::join(&node, "app=shop&index=2&id=b").await;
    let mut three = Instance::join(&node, "app=shop&index=3&id=c").await;
    let (status, accepted) = ask(&node, "POST", "fleet/commands", REFRESH);
    assert_eq!(status, 202, "{accepted}");
    assert_eq!(accepted["expected"], json!(["shop:1:a", "shop:2:b", "shop:3:c"]));
    let path = format!("fleet/commands/{}", accepted["id"].as_str().expect("an id"));
    let (call, command) = one.command().await;
    assert_eq!((&command["name"], &command["args"]), (&json!("refresh"), &json!([1])));
    one.answer(&call, json!({ "outcome": "done", "detail": "3 caches" })).await;
    let (call, _) = two.command().await;
    two.fail(&call, "disk full").await;
    let state = until(&node, &path, 1);
    assert_eq!(
        (&state["state"], &state["missing"][0]["instance"]),
        (&json!("running"), &json!("shop:3:c"))
    );
    let (call, _) = three.command().await;
    three.fail(&call, "Client didn't provide a result.").await;
    let state = until(&node, &path, 0);
    assert_eq!(state["state"], "finished", "{state}");
    let counts = &state["counts"];
    assert_eq!(
        (&counts["done"], &counts["failed"], &counts["refused"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let outcomes = state["outcomes"].as_array().expect("a list");
    let told = |at: usize, key: &str| outcomes[at][key].clone();
    assert_eq!((told(0, "outcome"), told(0, "detail")), (json!("done"), json!("3 caches")));
    assert_eq!((told(1, "instance"), told(1, "detail")), (json!("shop:2:b"), json!("disk full")));
    let (_, brief) = ask(&node, "GET", &format!("{path}?outcomes=none"), "");
    assert!(brief["outcomes"].is_null() && brief["counts"]["done"] == 1, "{brief}");
    let (_, list) = ask(&node, "GET", "fleet/commands", "");
    assert_eq!(
        (&list["items"][0]["id"], &list["items"][0]["name"]),
        (&accepted["id"], &json!("refresh"))
    );
    assert_eq!(counted(&node, "outcomes{outcome=\"failed\"}"), 1);
}

/// The command when so many are missing.
fn until(node: &Node, path: &str, missing: usize) -> serde_json::Value {
    for _ in 0..1000 {
        let (status, state) = ask(node, "GET", path, "");
        assert_eq!(status, 200, "{state}");
        if state["missing"].as_array().map(Vec::len) == Some(missing) {
            return state;
        }
    }
    panic!("never {missing} missing");
}

#[tokio::test]
async fn a_key_makes_a_command_that_is_sent_twice_one() {
    let node = node("keyed-fleet");
    let _one = Instance::join(&node, "app=shop&id=a").await;
    let key = ["Idempotency-Key: release-7"];
    let (status, first) = ask_with(&node, "POST", "fleet/commands", &key, REFRESH);
    assert_eq!(status, 202, "{first}");
    let (status, again) = ask_with(&node, "POST", "fleet/commands", &key, REFRESH);
    assert_eq!((status, &again["id"]), (200, &first["id"]));
    let body = REFRESH.replace('}', r#", "key": "release-7"}"#);
    assert_eq!(ask(&node, "POST", "fleet/commands", &body).0, 200, "the body may say it too");
    let other = ["Idempotency-Key: release-8"];
    assert_eq!(ask_with(&node, "POST", "fleet/commands", &other, &body).0, 400, "not two");
}

#[tokio::test]
async fn a_cancelled_rollout_withholds_the_rest() {
    let node = node("cancelled-fleet");
    let mut one = Instance::join(&node, "app=shop&index=1&id=a").await;
    let _two = Instance::join(&node, "app=shop&index=2&id=b").await;
    let body = REFRESH.replace('}', r#", "rollout": {"at_once": 1}}"#);
    let (_, accepted) = ask(&node, "POST", "fleet/commands", &body);
    let path = format!("fleet/commands/{}", accepted["id"].as_str().expect("an id"));
    let (call, _) = one.command().await;
    assert_eq!(ask(&node, "DELETE", &path, "").0, 200);
    one.answer(&call, json!(null)).await;
    let state = until(&node, &path, 0);
    assert_eq!(
        (&state["counts"]["withheld"], &state["counts"]["done"]),
        (&json!(1), &json!(1)),
        "{state}"
    );
}

#[test]
fn what_is_wrong_is_a_problem_that_says_what_to_do() {
    let node = node("wrong-fleet");
    for (method, path, body, status, part) in [
        ("GET", "fleet/instances?target=a%20b", "", 400, "target: "),
        ("GET", "fleet/instances?limit=0", "", 400, "limit: is not from 1 to 1000"),
        ("GET", "fleet/instances?zone=a", "", 400, "zone: this address has no such parameter"),
        ("GET", "fleet/instances?after=x", "", 400, "after: "),
        ("POST", "fleet/commands", "{}", 422, "missing field"),
        ("POST", "fleet/commands", r#"{"target": "", "name": "x"}"#, 400, "target: "),
        ("POST", "fleet/commands", r#"{"target": "a", "name": ""}"#, 400, "name"),
        (
            "POST",
            "fleet/commands",
            r#"{"target": "a", "name": "x", "deadline": "soon"}"#,
            400,
            "deadline: ",
        ),
        (
            "POST",
            "fleet/commands",
            r#"{"target": "a", "name": "x", "deadline": "31d"}"#,
            400,
            "30 days",
        ),
        ("POST", "fleet/commands", r#"{"target": "a", "name": "x", "rollout": {}}"#, 202, ""),
        (
            "POST",
            "fleet/commands",
            r#"{"target": "a", "name": "x", "rollout": {"at_once": 0}}"#,
            422,
            "rollout",
        ),
        ("GET", "fleet/commands/nothing", "", 404, "everwire fleet status"),
        ("DELETE", "fleet/commands/nothing", "", 404, "everwire fleet status"),
        ("GET", "fleet/commands?after=x", "", 400, "after: "),
    ] {
        let (answered, told) = ask(&node, method, path, body);
        assert_eq!(answered, status, "{method} {path} {body}: {told}");
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(part), "{part:?} is missing: {told}");
    }
}

#[test]
fn a_node_without_a_fleet_says_how_to_have_one() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    for path in ["fleet/instances", "fleet/commands", "fleet/sets", "fleet/sets/a", "events"] {
        let (status, told) = ask(&node, "GET", path, "");
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(status == 404 && detail.contains("[fleet]"), "{path}: {told}");
    }
    let ended = node.command(&["fleet", "ls"]);
    assert!(ended.code == 1 && ended.err.contains("--fleet"), "{}", ended.err);
}
