//! The fleet of the binary, as its instances and operators meet it: a SignalR client written by hand,
//! plain HTTP, and the commands of the binary itself.

mod commands;
mod durable;
mod guests;
mod instance;
mod operator;
mod sets;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Node, file, http, json, status};

/// A configuration of a fleet with a journal of its own that did not exist.
fn with_fleet(name: &str, lines: &str) -> PathBuf {
    let journal = journal(name);
    // What an earlier run of the same test has left is not this run's.
    drop(std::fs::remove_file(&journal));
    file(
        &format!("{name}.toml"),
        &format!(
            "listen = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[stop]\nannounce = \"0s\"\n\
             window = \"0s\"\n[fleet]\njournal = {:?}\n{lines}\n",
            journal.display().to_string()
        ),
    )
}

fn journal(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.journal"))
}

fn node(name: &str) -> Node {
    Node::with_file(&with_fleet(name, ""))
}

/// Asks the admin API; gives the status and the body.
fn ask(node: &Node, method: &str, path: &str, body: &str) -> (u16, Value) {
    ask_with(node, method, path, &[], body)
}

fn ask_with(node: &Node, method: &str, path: &str, more: &[&str], body: &str) -> (u16, Value) {
    let headers = [&["Content-Type: application/json"], more].concat();
    let answer = http(node.admin, &format!("{method} /api/v1/{path}"), &headers, body);
    (status(&answer), json(&answer))
}

/// The value of a series of the metrics.
fn counted(node: &Node, series: &str) -> u64 {
    let page = http(node.admin, "GET /metrics", &[], "");
    let start = format!("everwire_fleet_{series} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&start));
    value.unwrap_or_else(|| panic!("no {start} in {page}")).parse().expect("it is a number")
}
