//! `everwire fleet status` and `cancel`.

use http::Method;
use serde_json::Value;

use super::{ago, report};
use crate::{
    cli::NodeArgs,
    client::{Client, segment},
    commands::status::text,
    failure::Failure,
    terminal::{self, Table},
};

/// The commands, the latest first.
pub(super) async fn list(node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read(PATH).await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&["COMMAND", "NAME", "TARGET", "STATE", "OUTCOMES", "SENT", "BY"]);
    for item in answer["items"].as_array().into_iter().flatten() {
        let [id, name, target, state, by] =
            ["id", "name", "target", "state", "by"].map(|key| text(&item[key]));
        let outcomes = report::Counts::of(item).to_string();
        table.row([id, name, target, state, outcomes, ago(&item["at"]), by]);
    }
    terminal::print(&table.render())
}

/// What became of one; fails if not all is well.
pub(super) async fn show(id: &str, node: &NodeArgs) -> Result<(), Failure> {
    let state = read(&Client::new(node)?, id).await?;
    if node.json {
        return terminal::print_json(&state);
    }
    let [name, target, what] = ["name", "target", "state"].map(|key| text(&state[key]));
    terminal::print_line(&format!("{name} to {target}, {what}, sent {}", ago(&state["at"])))?;
    let mut table = Table::new(&["INSTANCE", "OUTCOME", "DETAIL", "WHEN"]);
    for item in state["outcomes"].as_array().into_iter().flatten() {
        let [instance, outcome, detail] =
            ["instance", "outcome", "detail"].map(|key| text(&item[key]));
        table.row([instance, outcome, detail, ago(&item["at"])]);
    }
    for item in state["missing"].as_array().into_iter().flatten() {
        let place = report::where_missing(item).to_owned();
        table.row([text(&item["instance"]), "missing".to_owned(), place]);
    }
    terminal::print(&table.render())?;
    terminal::print_line(&report::Counts::of(&state).to_string())
}

pub(super) async fn cancel(id: &str, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("{PATH}/{}", segment(id));
    let answer = Client::new(node)?.call(Method::DELETE, &path, None).await?;
    crate::commands::pool::report(node, answer, &format!("cancelled {id}"))
}

/// Everything about one command.
pub(super) async fn read(client: &Client, id: &str) -> Result<Value, Failure> {
    client.read(&format!("{PATH}/{}", segment(id))).await
}

/// Where commands are in the admin API.
pub(super) const PATH: &str = "/api/v1/fleet/commands";
