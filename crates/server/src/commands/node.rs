//! `everwire node`: the nodes of the backplane, and emptying one of them.

use std::time::Duration;

use http::Method;

use crate::{
    cli::{NodeArgs, NodeCommand},
    client::Client,
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn run(command: &NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::Ls { node } => list(node).await,
        NodeCommand::Drain { id, detach, node } => {
            drain(id.as_deref().unwrap_or("self"), *detach, node).await
        }
    }
}

async fn list(node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read("/api/v1/nodes").await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table =
        Table::new(&["NODE", "STATE", "ADDRESS", "CLIENTS", "MOVED OUT", "MOVED IN", "FAILED"]);
    for item in answer["items"].as_array().into_iter().flatten() {
        let keys =
            ["id", "state", "address", "connections", "moved_out", "moved_in", "moves_failed"];
        table.row(keys.map(|key| super::status::text(&item[key])));
    }
    terminal::print(&table.render())
}

/// Has a node emptied, and waits until it is.
async fn drain(id: &str, detach: bool, node: &NodeArgs) -> Result<(), Failure> {
    let client = Client::new(node)?;
    let known =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !known(id) {
        return Err(Failure::Usage(format!("{id:?} is not a node's id; see everwire node ls")));
    }
    let path = format!("/api/v1/nodes/{id}/drain");
    let mut described = client.call(Method::POST, &path, None).await?.into_result()?;
    let id = super::status::text(&described["id"]);
    while !detach && described["state"] != "drained" {
        tokio::time::sleep(LOOK_AFTER).await;
        let all = client.read("/api/v1/nodes").await?;
        let found = all["items"].as_array().into_iter().flatten().find(|item| item["id"] == id);
        match found {
            Some(found) if found["state"] != "unreachable" => described = found.clone(),
            Some(_) => {}
            None => return Err(Failure::failed(format!("the node {id} has ended meanwhile"))),
        }
    }
    if node.json {
        return terminal::print_json(&described);
    }
    let number = |key: &str| described[key].as_u64().unwrap_or_default();
    let (moved, left) = (number("moved_out"), number("connections") + number("pipes"));
    let moved = terminal::count(moved, "session");
    terminal::print_line(&match (detach, left) {
        (true, left) => {
            format!("{id} is being drained, {} still there", terminal::count(left, "client"))
        }
        (false, 0) => format!("{id} is drained, {moved} moved"),
        (false, left) => {
            format!(
                "{id} is drained, {moved} moved, {} still there",
                terminal::count(left, "client")
            )
        }
    })
}

/// How often it is asked how far it has come.
const LOOK_AFTER: Duration = Duration::from_millis(200);
