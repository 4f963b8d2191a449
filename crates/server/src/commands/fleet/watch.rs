//! `everwire fleet watch`: what happens, as it happens, until Ctrl-C.

use std::time::Duration;

use serde_json::Value;

use super::{set_path, sets};
use crate::{cli::NodeArgs, client::Client, commands::status::text, failure::Failure, terminal};

/// One set: what it has, then each change.
pub(super) async fn set(set: &str, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("{}/events", set_path(set)?);
    follow(&path, node, cursor, of_set).await
}

/// Whatever happens in the fleet.
pub(super) async fn everything(node: &NodeArgs) -> Result<(), Failure> {
    follow("/api/v1/events", node, |_| None, of_fleet).await
}

/// Prints events for ever. A node that goes away is asked again, from where it stopped; only one that
/// was never there is a failure.
async fn follow(
    path: &str,
    node: &NodeArgs,
    id: impl Fn(&Value) -> Option<String>,
    line: impl Fn(&Value) -> String,
) -> Result<(), Failure> {
    let client = Client::new(node)?;
    let mut after: Option<String> = None;
    let mut events = client.follow(path, None).await?;
    loop {
        while let Some(event) = events.next().await? {
            after = id(&event).or(after);
            match node.json {
                true => terminal::print_line(&event.to_string())?,
                false => terminal::print(&line(&event))?,
            }
        }
        terminal::complain("the node is gone; asking again");
        events = loop {
            tokio::time::sleep(ASK_AGAIN).await;
            match client.follow(path, after.as_deref()).await {
                Err(Failure::Unreachable(_)) => {}
                other => break other?,
            }
        };
    }
}

/// Where in a set an event is.
fn cursor(event: &Value) -> Option<String> {
    let version = event["version"].as_u64()?;
    Some(format!("{}-{version}", text(&event["epoch"])))
}

fn of_set(event: &Value) -> String {
    let version = text(&event["version"]);
    if let Some(values) = event["values"].as_object() {
        let lines = values.iter().map(|(key, value)| format!("  {key}={}\n", shown(value)));
        return format!("version {version}\n{}", lines.collect::<String>());
    }
    match event["changes"].as_array() {
        Some(changes) => {
            let lines = changes.iter().map(|change| {
                format!("  {}\n", shown_text(&sets::change(&change["key"], &change["value"])))
            });
            format!("version {version}\n{}", lines.collect::<String>())
        }
        None => "what came in between is not known any more; everything follows\n".to_owned(),
    }
}

fn of_fleet(event: &Value) -> String {
    let mut line = text(&event["type"]);
    let fields = event.as_object().into_iter().flatten();
    for (key, value) in fields.filter(|(key, _)| !["type", "at"].contains(&key.as_str())) {
        line.push_str(&format!(" {key}={}", shown(value)));
    }
    format!("{line}\n")
}

fn shown(value: &Value) -> String {
    shown_text(&text(value))
}

/// Control characters would let whoever chose a value write on the operator's terminal.
fn shown_text(text: &str) -> String {
    terminal::printable(text)
}

/// A node that restarts takes about as long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_a_set_are_lines_that_can_be_read_and_searched() {
        let snapshot = json!({ "set": "s", "version": 7, "epoch": 3, "values": { "A": "1\x1b" } });
        assert_eq!(of_set(&snapshot), "version 7\n  A=1\u{fffd}\n");
        assert_eq!(cursor(&snapshot).as_deref(), Some("3-7"));
        let changes = json!([{ "key": "A", "value": "2" }, { "key": "B", "value": null }]);
        let changed = json!({ "set": "s", "version": 8, "epoch": 3, "changes": changes });
        assert_eq!(of_set(&changed), "version 8\n  A=2\n  -B\n");
        let gap = json!({ "set": "s" });
        assert!(of_set(&gap).contains("not known any more") && cursor(&gap).is_none());
    }

    #[test]
    fn events_of_the_fleet_are_one_line_each() {
        let event = json!({ "type": "joined", "at": 5, "instance": "shop:1:a", "node": "n" });
        assert_eq!(of_fleet(&event), "joined instance=shop:1:a node=n\n");
    }
}
