//! `everwire fleet get`, `history`, `diff` and `rollback`.

use http::Method;
use serde_json::{Value, json};

use super::{ago, set_path};
use crate::{
    cli::NodeArgs,
    client::Client,
    commands::status::text,
    failure::Failure,
    terminal::{self, Table},
};

/// All sets.
pub(super) async fn list(node: &NodeArgs) -> Result<(), Failure> {
    let client = Client::new(node)?;
    let items = super::instances::pages(&client, "/api/v1/fleet/sets", "limit=1000").await?;
    if node.json {
        return terminal::print_json(&json!({ "items": items }));
    }
    let mut table = Table::new(&["SET"]);
    for item in &items {
        table.row([text(&item["name"])]);
    }
    terminal::print(&table.render())
}

/// One set, or one value of it as it is.
pub(super) async fn get(set: &str, key: Option<&str>, node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read(&set_path(set)?).await?;
    let values = || answer["values"].as_array().into_iter().flatten();
    if let Some(key) = key {
        let found = values().find(|value| value["key"] == key);
        let found = found.ok_or_else(|| Failure::failed(format!("{set} has no key {key}")))?;
        return match (node.json, found["secret"].as_bool()) {
            (true, _) => terminal::print_json(found),
            (_, Some(true)) => Err(Failure::failed(format!("{key} is secret, and is not shown"))),
            _ => terminal::print_line(&text(&found["value"])),
        };
    }
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&["KEY", "VALUE", "VERSION"]);
    for value in values() {
        table.row(["key", "value", "version"].map(|key| text(&value[key])));
    }
    terminal::print(&table.render())?;
    terminal::print_line(&format!("{set} is at version {}", text(&answer["version"])))
}

/// The latest versions.
pub(super) async fn history(set: &str, last: u32, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("{}/history?limit={last}", set_path(set)?);
    let answer = Client::new(node)?.read(&path).await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&["VERSION", "WHEN", "BY", "CHANGES", "NOTE"]);
    for item in answer["items"].as_array().into_iter().flatten() {
        let changes = version_changes(item).join(", ");
        let note = match item["rolled_back_to"].as_u64() {
            Some(version) => format!("back to {version}"),
            None => text(&item["note"]),
        };
        let [version, by] = ["version", "by"].map(|key| text(&item[key]));
        table.row([version, ago(&item["at"]), by, changes, note]);
    }
    terminal::print(&table.render())
}

/// What a version changed, in a few words each. A key that was renamed is gone and there, with the same
/// value; the rename says it once.
fn version_changes(item: &Value) -> Vec<String> {
    let renames = || item["renames"].as_array().into_iter().flatten();
    let is_renamed =
        |key: &Value| renames().any(|rename| rename["from"] == *key || rename["to"] == *key);
    let renamed =
        renames().map(|rename| format!("{} is now {}", text(&rename["from"]), text(&rename["to"])));
    let changes = item["changes"].as_array().into_iter().flatten();
    let changes = changes.filter(|change| !is_renamed(&change["key"]));
    renamed.chain(changes.map(|change| self::change(&change["key"], &change["after"]))).collect()
}

/// One change in a few words.
pub(super) fn change(key: &Value, value: &Value) -> String {
    match value {
        Value::Null => format!("-{}", text(key)),
        value => format!("{}={}", text(key), text(value)),
    }
}

/// What changed from one version to another.
pub(super) async fn diff(
    set: &str,
    from: u64,
    to: Option<u64>,
    node: &NodeArgs,
) -> Result<(), Failure> {
    let to = to.map(|to| format!("&to={to}")).unwrap_or_default();
    let path = format!("{}/diff?from={from}{to}", set_path(set)?);
    let answer = Client::new(node)?.read(&path).await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&["KEY", "FROM", "TO"]);
    for item in answer["items"].as_array().into_iter().flatten() {
        table.row(["key", "from", "to"].map(|key| text(&item[key])));
    }
    terminal::print(&table.render())
}

pub(super) async fn rollback(set: &str, to: u64, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("{}/rollback", set_path(set)?);
    let body = json!({ "to": to });
    let answer = Client::new(node)?.call(Method::POST, &path, Some(&body)).await?.into_result()?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let version = text(&answer["version"]);
    terminal::print_line(&format!("{set} is at version {version}, which has what version {to} had"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reads_like_what_was_typed() {
        let item = json!({
            "renames": [{ "from": "A", "to": "B" }],
            "changes": [
                { "key": "A", "before": "1", "after": null },
                { "key": "B", "before": null, "after": "1" },
                { "key": "C", "before": null, "after": "x y" },
                { "key": "D", "before": "4", "after": null },
            ],
        });
        assert_eq!(version_changes(&item), ["A is now B", "C=x y", "-D"]);
    }
}
