//! What most tests of the fleet set up, and what they ask an operator's side.

use std::{collections::BTreeMap, time::Duration};

use everwire_testkit::{
    everwire::{Everwire, Setup},
    http::Answer,
    instance::Instance,
    loopback::unique_address,
    wait::{eventually_within, until_equal},
};
use serde_json::{Value, json};

/// A node alone, with a journal in its folder, that is found again after a restart.
pub(crate) fn alone() -> Setup {
    Setup::new().hubs("[fleet]\n").listen_at((unique_address(), PORT).into())
}

/// A node that shares this Redis with others.
pub(crate) fn sharing(redis: &str) -> Setup {
    alone().backplane(redis).cluster(crate::cluster::SECRET)
}

/// So many instances of `shop`, once all have joined.
pub(crate) async fn crew(manager: &Everwire, count: usize) -> Vec<Instance> {
    let crew: Vec<_> = (0..count).map(|index| member(manager, index)).collect();
    for one in &crew {
        one.welcome(1).await;
    }
    crew
}

/// One of them.
pub(crate) fn member(manager: &Everwire, index: usize) -> Instance {
    Instance::start(manager.address(), &query(index))
}

/// What it joins with.
pub(crate) fn query(index: usize) -> String {
    format!("app=shop&index={index}&id=i{index}")
}

/// The name of an instance of the crew.
pub(crate) fn name(index: usize) -> String {
    format!("shop:{index}:i{index}")
}

/// Sends a command, and gives its id.
pub(crate) async fn send(manager: &Everwire, target: &str, name: &str) -> String {
    let command = json!({ "target": target, "name": name });
    accepted(&manager.ask("POST", COMMANDS, Some(&command)).await)
}

/// The id of a command that was accepted.
pub(crate) fn accepted(answer: &Answer) -> String {
    assert!(matches!(answer.status, 200 | 202), "{answer:?}");
    answer.json()["id"].as_str().expect("a command has an id").to_owned()
}

/// What is known of a command.
pub(crate) async fn state(manager: &Everwire, id: &str) -> Value {
    let answer = manager.get(&format!("{COMMANDS}/{id}")).await;
    assert_eq!(answer.status, 200, "{id}: {answer:?}");
    answer.json()
}

/// Waits until a command has come to its end, and gives what is known of it.
pub(crate) async fn finished(manager: &Everwire, id: &str) -> Value {
    let end = async || {
        let state = state(manager, id).await;
        (state["state"] != "running").then_some(state)
    };
    eventually_within(PATIENCE, &format!("the end of {id}"), end).await
}

/// Waits until a command is done by so many, and that is all.
pub(crate) async fn done_by(manager: &Everwire, id: &str, count: usize) -> Value {
    let state = finished(manager, id).await;
    assert_eq!(state["counts"]["done"], count, "{state}");
    assert_eq!(state["missing"], json!([]), "{state}");
    outcomes(&state).values().for_each(|outcome| assert_eq!(outcome["outcome"], "done", "{state}"));
    state
}

/// The outcomes of a command so far, by instance.
pub(crate) fn outcomes(state: &Value) -> BTreeMap<String, Value> {
    let list = state["outcomes"].as_array().expect("a command has outcomes").iter();
    let known = list.filter(|one| one["outcome"] != "open" && !one["outcome"].is_null());
    known
        .map(|one| (one["instance"].as_str().unwrap_or_default().to_owned(), one.clone()))
        .collect()
}

/// Every instance that the manager knows.
pub(crate) async fn instances(manager: &Everwire) -> Vec<Value> {
    let answer = manager.get("/api/v1/fleet/instances?limit=1000").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().expect("a list of instances").clone()
}

/// Waits until so many instances are present.
pub(crate) async fn present_become(manager: &Everwire, count: usize) {
    until_equal("present instances", count, async || {
        instances(manager).await.iter().filter(|one| one["state"] == "present").count()
    })
    .await;
}

/// Changes a set, and gives its version then.
pub(crate) async fn change(manager: &Everwire, set: &str, changes: Value) -> u64 {
    let path = format!("{SETS}/{set}");
    let answer = manager.ask("PATCH", &path, Some(&json!({ "changes": changes }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["version"].as_u64().expect("a set has a version")
}

/// A set as an operator sees it.
pub(crate) async fn set(manager: &Everwire, set: &str) -> Value {
    let answer = manager.get(&format!("{SETS}/{set}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

pub(crate) const COMMANDS: &str = "/api/v1/fleet/commands";
pub(crate) const SETS: &str = "/api/v1/fleet/sets";
/// Where nodes that restart listen: their addresses are their own.
pub(crate) const PORT: u16 = 8080;
/// How long hundreds of instances may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
