//! `everwire fleet ls`.

use serde_json::{Value, json};

use super::ago;
use crate::{
    cli::FleetLsArgs,
    client::{Client, segment},
    commands::status::text,
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn list(args: &FleetLsArgs) -> Result<(), Failure> {
    let client = Client::new(&args.node)?;
    let mut query = format!("limit={PAGE}");
    if let Some(target) = &args.target {
        query.push_str(&format!("&target={}", segment(target)));
    }
    for (name, value) in &args.label {
        query.push_str(&format!("&label.{}={}", segment(name), segment(value)));
    }
    let items = pages(&client, "/api/v1/fleet/instances", &query).await?;
    if args.node.json {
        return terminal::print_json(&json!({ "total": items.len(), "items": items }));
    }
    let mut table = Table::new(&["INSTANCE", "STATE", "VERSION", "LABELS", "NODE", "SINCE"]);
    for item in &items {
        let [name, state, version, node] =
            ["name", "state", "version", "node"].map(|key| text(&item[key]));
        let labels = item["labels"].as_object().into_iter().flatten();
        let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={}", text(value))).collect();
        let node = node.chars().take(NODE_SHOWN).collect();
        table.row([name, state, version, labels.join(" "), node, ago(&item["since"])]);
    }
    terminal::print(&table.render())?;
    terminal::print_line(&terminal::count(items.len() as u64, "instance"))
}

/// Everything at an address that gives one page after the other.
pub(super) async fn pages(client: &Client, path: &str, query: &str) -> Result<Vec<Value>, Failure> {
    let mut items = Vec::new();
    let mut after = String::new();
    loop {
        let mut page = client.read(&format!("{path}?{query}{after}")).await?;
        items.extend(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", segment(next)),
            None => return Ok(items),
        }
    }
}

/// Instances that are asked for at once.
const PAGE: usize = 1000;

/// Characters of a node's id that tell it from others.
const NODE_SHOWN: usize = 8;
