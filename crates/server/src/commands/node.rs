//! `everwire node`: the nodes of the backplane, and emptying one of them.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::{
    cli::{NodeArgs, NodeCommand},
    client::Client,
    clock::Moment,
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
    let begun = Moment::now();
    let mut told = None;
    while !detach && described["state"] != "drained" {
        tokio::time::sleep(LOOK_AFTER).await;
        let all = client.read("/api/v1/nodes").await?;
        let found = all["items"].as_array().into_iter().flatten().find(|item| item["id"] == id);
        match found {
            Some(found) if found["state"] != "unreachable" => described = found.clone(),
            Some(_) => {}
            None => return Err(Failure::failed(format!("the node {id} has ended meanwhile"))),
        }
        let progress = Progress::of(&described);
        if begun.elapsed() > QUIET_FOR
            && !node.json
            && described["state"] != "drained"
            && told != Some(progress)
        {
            terminal::complain(&progress.line(&id));
            told = Some(progress);
        }
    }
    if node.json {
        return terminal::print_json(&described);
    }
    let Progress { moved, left } = Progress::of(&described);
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

/// How far a node has come that is being drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Sessions that have moved.
    moved: u64,
    /// Clients that are still there.
    left: u64,
}

impl Progress {
    fn of(described: &Value) -> Self {
        let number = |key: &str| described[key].as_u64().unwrap_or_default();
        Self { moved: number("moved_out"), left: number("connections") + number("pipes") }
    }

    /// A line for who waits.
    fn line(self, id: &str) -> String {
        let (moved, left) =
            (terminal::count(self.moved, "session"), terminal::count(self.left, "client"));
        format!("{id} is being drained: {moved} moved, {left} left")
    }
}

/// How often it is asked how far it has come.
const LOOK_AFTER: Duration = Duration::from_millis(200);

/// What takes no longer needs no line in between.
const QUIET_FOR: Duration = Duration::from_secs(1);
