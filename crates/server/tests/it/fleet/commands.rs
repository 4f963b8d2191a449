//! `everwire fleet`: tables for people, JSON for scripts, exit codes for both.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::{Value, json};

use super::{instance::Instance, node};
use crate::process::{Ended, Node, everwire};

/// A command that runs while the test answers it.
fn begin(node: &Node, args: &[&str]) -> std::process::Child {
    let mut command = everwire(args);
    command.env("EVERWIRE_ADMIN", format!("http://{}", node.admin));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::piped());
    command.spawn().expect("the binary runs")
}

async fn end(child: std::process::Child) -> Ended {
    let waited = tokio::task::spawn_blocking(move || child.wait_with_output());
    Ended::of(&waited.await.expect("it is waited for").expect("it ends"))
}

/// Text of which nobody knows how long ago something was.
fn without_times(text: &str) -> String {
    text.lines().filter(|line| !line.contains(" ago")).map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn instances_are_a_table_and_items() {
    let node = node("ls-fleet");
    let _one = Instance::join(&node, "app=shop&index=1&id=a&version=1.2&label.zone=b").await;
    let people = node.command(&["fleet", "ls", "shop"]);
    assert_eq!(people.code, 0, "{}", people.err);
    assert!(people.out.starts_with("INSTANCE  STATE    VERSION  LABELS  NODE"), "{}", people.out);
    assert!(people.out.contains("shop:1:a  present  1.2      zone=b"), "{}", people.out);
    assert!(people.out.ends_with("1 instance\n"), "{}", people.out);
    assert!(node.command(&["fleet", "ls", "--label", "zone=c"]).out.ends_with("0 instances\n"));
    let scripts = node.command(&["fleet", "ls", "--json"]);
    let answer: Value = serde_json::from_str(&scripts.out).unwrap();
    assert_eq!(answer["items"][0]["name"], "shop:1:a");
}

#[tokio::test]
async fn who_has_not_done_a_command_is_told_by_name_and_the_exit_code_is_1() {
    let node = node("send-fleet");
    let mut one = Instance::join(&node, "app=shop&index=1&id=a").await;
    let mut two = Instance::join(&node, "app=shop&index=2&id=b").await;
    let child = begin(&node, &["fleet", "send", "shop", "refresh", "7", "seven", "--at-once", "5"]);
    let (call, command) = one.command().await;
    assert_eq!(command["args"], json!([7, "seven"]));
    one.answer(&call, json!(null)).await;
    let (call, _) = two.command().await;
    two.fail(&call, "disk full").await;
    let ended = end(child).await;
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    assert_eq!(
        ended.out,
        "INSTANCE  OUTCOME  DETAIL\nshop:2:b  failed   disk full\n\
         refresh to 2 instances: 1 done, 1 failed\n"
    );
    assert_eq!(ended.err, "1 instance did not do it\n");
    let listed = node.command(&["fleet", "status"]);
    assert!(listed.out.contains("1 done, 1 failed"), "{}", listed.out);
    let id = listed.out.lines().nth(1).and_then(|line| line.split(' ').next()).expect("an id");
    let shown = node.command(&["fleet", "status", id]);
    assert!(shown.out.contains("shop:2:b  failed   disk full"), "{}", shown.out);
    assert!(shown.out.ends_with("1 done, 1 failed\n"), "{}", without_times(&shown.out));
}

#[tokio::test]
async fn a_command_that_everybody_has_done_is_exit_code_0() {
    let node = node("done-fleet");
    let mut one = Instance::join(&node, "app=shop&id=a").await;
    let child = begin(&node, &["fleet", "send", "shop", "refresh", "--json"]);
    let (call, _) = one.command().await;
    one.answer(&call, json!(null)).await;
    let ended = end(child).await;
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let state: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&state["state"], &state["counts"]["done"]), (&json!("finished"), &json!(1)));
}

#[tokio::test]
async fn who_is_away_is_missing_when_the_deadline_is_over() {
    let node = node("missing-fleet");
    let one = Instance::join(&node, "app=shop&id=a").await;
    drop(one);
    let ended = end(begin(&node, &["fleet", "send", "shop", "refresh", "--deadline", "1s"])).await;
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("shop:0:a  gone"), "{}", ended.out);
}

#[test]
fn a_command_for_nobody_fails_and_one_that_is_not_waited_for_does_not() {
    let node = node("nobody-fleet");
    let ended = node.command(&["fleet", "send", "shop", "refresh"]);
    assert!(ended.code == 1 && ended.err.contains("nobody is shop"), "{}", ended.err);
    let ended = node.command(&["fleet", "send", "shop", "refresh", "--detach"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("everwire fleet status "), "{}", ended.out);
}

#[test]
fn sets_are_changed_shown_compared_and_brought_back() {
    let node = node("typed-set");
    let said = |args: &[&str], out: &str| {
        let ended = node.command(&[&["fleet"], args].concat());
        assert_eq!((ended.code, ended.out.as_str()), (0, out), "{args:?}: {}", ended.err);
    };
    said(&["set", "shop/prod", "A=1", "B=two words"], "shop/prod is at version 1\n");
    said(&["set", "shop/prod", "A=1"], "shop/prod has all that already, in version 1\n");
    said(
        &["set", "shop/prod", "A=2", "--delete", "B", "--note", "tidy up"],
        "shop/prod is at version 2\n",
    );
    let mut child = begin(&node, &["fleet", "set", "shop/prod", "--secret", "KEY=-"]);
    child.stdin.take().expect("it is piped").write_all(b"hunter2\n").expect("it reads");
    let ended = Ended::of(&child.wait_with_output().expect("it ends"));
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "shop/prod is at version 3\n"),
        "{}",
        ended.err
    );
    said(
        &["get", "shop/prod"],
        "KEY  VALUE  VERSION\nA    2      2\nKEY  ***    3\nshop/prod is at version 3\n",
    );
    said(&["get", "shop/prod", "A"], "2\n");
    said(&["get"], "SET\nshop/prod\n");
    said(
        &["diff", "shop/prod", "1", "2"],
        "KEY  FROM       TO\nA    1          2\nB    two words  -\n",
    );
    said(
        &["rollback", "shop/prod", "1"],
        "shop/prod is at version 4, which has what version 1 had\n",
    );
    let history = node.command(&["fleet", "history", "shop/prod"]);
    for part in ["A=2, -B", "tidy up", "back to 1"] {
        assert!(history.out.contains(part), "{part} is missing in {}", history.out);
    }
    let ended = node.command(&["fleet", "get", "shop/prod", "C"]);
    assert!(ended.code == 1 && ended.err.contains("no key C"), "{}", ended.err);
    let ended = node.command(&["fleet", "set", "shop/prod", "A=3", "--at", "1"]);
    assert!(ended.code == 1 && ended.err.contains("version 4"), "{}", ended.err);
}

#[test]
fn a_watch_prints_changes_as_they_come() {
    let node = node("watched-set");
    assert_eq!(node.command(&["fleet", "set", "shop/prod", "A=1"]).code, 0);
    let mut child = begin(&node, &["fleet", "watch", "shop/prod"]);
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!([next(), next()], ["version 1", "  A=1"]);
    assert_eq!(node.command(&["fleet", "set", "shop/prod", "A=2"]).code, 0);
    assert_eq!([next(), next()], ["version 2", "  A=2"]);
    child.kill().expect("it is ours");
    child.wait().expect("it ends");
}

#[test]
fn wrong_usage_is_exit_code_2_and_no_node_is_3() {
    for args in [
        &["fleet", "set", "a b", "A=1"][..],
        &["fleet", "set", "a"],
        &["fleet", "set", "a", "A"],
        &["fleet", "send", "shop"],
        &["fleet", "send", "shop", "x", "--deadline", "soon"],
        &["fleet", "send", "shop", "x", "--at-once", "1", "--per-second", "1"],
        &["fleet", "send", "shop", "x", "--stop-after", "1"],
    ] {
        let ended = crate::process::run(args);
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.err);
    }
    for args in [&["fleet", "ls"][..], &["fleet", "watch"], &["fleet", "get", "a"]] {
        let ended = crate::process::run(&[args, &["--admin", "http://127.0.0.1:1"]].concat());
        assert_eq!(ended.code, 3, "{args:?}: {}", ended.err);
    }
}
