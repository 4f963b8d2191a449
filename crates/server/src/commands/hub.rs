//! `everwire hub`: the hubs of a running node, and sending to their clients.

use http::Method;
use serde_json::json;

use crate::{
    cli::{HubCommand, HubSendArgs, NodeArgs},
    client::{Client, segment},
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn run(command: &HubCommand) -> Result<(), Failure> {
    match command {
        HubCommand::Ls { hub: None, node } => list(node).await,
        HubCommand::Ls { hub: Some(hub), node } => list_connections(hub, node).await,
        HubCommand::Send(args) => send(args).await,
        HubCommand::Close { hub, id, node } => close(hub, id, node).await,
    }
}

async fn list(node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read("/api/v1/hubs").await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&[
        "HUB",
        "PATH",
        "CLIENTS",
        "ALL NODES",
        "IN",
        "OUT",
        "QUEUED",
        "DROPPED",
        "SLOW",
        "REFUSED",
    ]);
    for item in answer["items"].as_array().into_iter().flatten() {
        let keys = [
            "name",
            "path",
            "connections",
            "connections_everywhere",
            "messages_in",
            "messages_out",
            "messages_queued",
            "messages_dropped",
            "slow_consumers",
            "refused",
        ];
        table.row(keys.map(|key| super::status::text(&item[key])));
    }
    terminal::print(&table.render())
}

async fn list_connections(hub: &str, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/hubs/{}/connections", name(hub)?);
    let answer = Client::new(node)?.read(&path).await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&["ID", "USER", "TRANSPORT", "GROUPS"]);
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    for item in items {
        let groups = item["groups"].as_array().into_iter().flatten();
        let groups: Vec<_> = groups.map(super::status::text).collect();
        let [id, user, transport] =
            ["id", "user", "transport"].map(|key| super::status::text(&item[key]));
        table.row([id, user, transport, groups.join(" ")]);
    }
    terminal::print(&table.render())?;
    let unreached = answer["unreached"].as_u64().unwrap_or_default();
    if unreached > 0 {
        let nodes = terminal::count(unreached, "node");
        terminal::print_line(&format!("{nodes} did not answer: what is there is not listed"))?;
    }
    terminal::print_line(&terminal::count(items.len() as u64, "client"))
}

async fn send(args: &HubSendArgs) -> Result<(), Failure> {
    let HubSendArgs { hub, target, arguments, group, user, connection, node } = args;
    let to = match (group, user, connection) {
        (Some(group), _, _) => format!("/groups/{}", segment(group)),
        (_, Some(user), _) => format!("/users/{}", segment(user)),
        (_, _, Some(id)) => format!("/connections/{}", segment(id)),
        _ => String::new(),
    };
    let arguments: Vec<_> = arguments.iter().map(|text| super::argument(text)).collect();
    let body = json!({ "target": target, "arguments": arguments });
    let path = format!("/api/hubs/{}{to}/:send", name(hub)?);
    let answer = Client::new(node)?.call(Method::POST, &path, Some(&body)).await?;
    super::pool::report(node, answer, &format!("sent {target}"))
}

async fn close(hub: &str, id: &str, node: &NodeArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/hubs/{}/connections/{}", name(hub)?, segment(id));
    let answer = Client::new(node)?.call(Method::DELETE, &path, None).await?;
    super::pool::report(node, answer, &format!("closed {id}"))
}

fn name(hub: &str) -> Result<&str, Failure> {
    if crate::config::is_name(hub) {
        return Ok(hub);
    }
    Err(Failure::Usage(format!("{hub:?} is not a hub's name; see everwire hub ls")))
}
