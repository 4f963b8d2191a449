//! What a node does when it is told to go, and when it is told to look again.

use std::io::{BufRead, BufReader};

use crate::process::{Node, file, http, status};

const QUICK: &str = "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
    [stop]\nannounce = \"3s\"\nwindow = \"0s\"\n[[routes]]\npool = \"chat\"\n[pools.chat]\n";

fn quick(name: &str, backends: &str) -> std::path::PathBuf {
    file(name, &format!("{QUICK}backends = [{backends}]\n"))
}

#[test]
fn term_says_503_on_readyz_first_and_then_ends_with_0() {
    let node = Node::with_file(&quick("term.toml", "\"ws://127.0.0.1:9\""));
    assert_eq!(status(&http(node.admin, "GET /readyz", &[], "")), 200);
    node.signal("TERM");
    // The probe may be faster than the signal.
    let told = (0..1000).map(|_| status(&http(node.admin, "GET /readyz", &[], "")));
    assert_eq!(told.into_iter().find(|status| *status != 200), Some(503));
    assert_eq!(status(&http(node.admin, "GET /livez", &[], "")), 200);
    let ended = node.ended();
    assert_eq!(ended.code, 0, "{}", ended.err);
}

#[test]
fn int_ends_soon_with_0() {
    let node = Node::with_backends(&["ws://127.0.0.1:9"]);
    node.signal("INT");
    assert_eq!(node.ended().code, 0);
}

#[test]
fn hup_takes_over_the_backends_of_the_file() {
    let path = quick("hup.toml", "\"ws://127.0.0.1:9\", \"ws://127.0.0.1:10\"");
    let mut node = Node::with_file(&path);
    quick("hup.toml", "\"ws://127.0.0.1:10\", \"ws://127.0.0.1:11\"");
    node.signal("HUP");
    wait_for_log(&mut node, "configuration reloaded");
    let list = node.command(&["pool", "ls", "chat", "--json"]).out;
    assert!(!list.contains("127.0.0.1:9\""), "{list}");
    assert!(list.contains("127.0.0.1:10\"") && list.contains("127.0.0.1:11\""), "{list}");
}

#[test]
fn hup_with_a_mistake_changes_nothing_and_says_why() {
    let path = quick("hup-mistake.toml", "\"ws://127.0.0.1:9\"");
    let mut node = Node::with_file(&path);
    quick("hup-mistake.toml", "\"http://127.0.0.1:10\"");
    node.signal("HUP");
    wait_for_log(&mut node, "pools.chat.backends[0]");
    let list = node.command(&["pool", "ls", "chat", "--json"]).out;
    assert!(list.contains("127.0.0.1:9\""), "{list}");
}

#[test]
fn usr2_says_that_an_upgrade_is_not_available_and_goes_on() {
    let mut node = Node::with_backends(&["ws://127.0.0.1:9"]);
    node.signal("USR2");
    wait_for_log(&mut node, "not available yet");
    assert_eq!(status(&http(node.admin, "GET /readyz", &[], "")), 200);
}

/// Reads the log until a line has this text.
fn wait_for_log(node: &mut Node, text: &str) {
    let log = node.child.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(text)), "the log never says {text}");
}
