//! `everwire status`: a snapshot of a running node.

use serde_json::Value;

use crate::{
    cli::NodeArgs,
    client::Client,
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn run(node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read("/api/v1/status").await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    terminal::print(&head(&answer))?;
    let mut table = Table::new(&["POOL", "BACKENDS", "READY", "SESSIONS"]);
    for pool in answer["pools"].as_array().into_iter().flatten() {
        table.row(["name", "backends", "ready", "sessions"].map(|key| text(&pool[key])));
    }
    terminal::print(&table.render())?;
    if answer["fleet"].is_object() {
        let [path, present, away] =
            ["path", "present", "away"].map(|key| text(&answer["fleet"][key]));
        let line = format!("\nfleet at {path}: {present} instances present, {away} away");
        terminal::print_line(&line)?;
    }
    let hubs = answer["hubs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if hubs.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["HUB", "PATH", "CLIENTS"]);
    for hub in hubs {
        table.row(["name", "path", "connections"].map(|key| text(&hub[key])));
    }
    terminal::print(&format!("\n{}", table.render()))
}

fn head(answer: &Value) -> String {
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let listen: Vec<_> = answer["listen"].as_array().into_iter().flatten().map(text).collect();
    let lines = [
        ("version", text(&answer["version"])),
        ("state", text(&answer["state"])),
        ("up", terminal::seconds(number("uptime_seconds"))),
        ("listening", listen.join(", ")),
        ("clients", format!("{} of {}", number("connections"), number("connections_max"))),
        ("sessions", format!("{}, {} without a backend", number("pipes"), number("pipes_waiting"))),
        (
            "held back",
            format!(
                "{} of {}",
                terminal::bytes(number("buffered_bytes")),
                terminal::bytes(number("buffered_max"))
            ),
        ),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<10} {value}\n");
    let lines = lines.iter().map(line).collect::<String>();
    match &answer["backplane"] {
        Value::Null => lines + "\n",
        there => lines + &line(&("backplane", backplane(there))) + "\n",
    }
}

/// Whether the backplane answers, and for how long that has been so.
fn backplane(there: &Value) -> String {
    let since = terminal::seconds(there["since_seconds"].as_u64().unwrap_or_default());
    match there["reachable"].as_bool() {
        Some(true) => format!("reached for {since}"),
        _ => format!("not reached for {since}: clients of other nodes hear of it later"),
    }
}

/// A cell of a table: nothing rather than `null`.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
