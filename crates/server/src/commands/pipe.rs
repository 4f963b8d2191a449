//! `everwire pipe`: the live sessions of a running node.

use http::Method;
use serde_json::Value;

use crate::{
    cli::{NodeArgs, PipeCommand},
    client::Client,
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn run(command: &PipeCommand) -> Result<(), Failure> {
    match command {
        PipeCommand::Ls { node } => list(node).await,
        PipeCommand::Close { id, node } => close(id, node).await,
    }
}

async fn list(node: &NodeArgs) -> Result<(), Failure> {
    let answer = Client::new(node)?.read("/api/v1/pipes").await?;
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&[
        "ID",
        "CLIENT",
        "PATH",
        "STATE",
        "BACKEND",
        "LEGS",
        "AGE",
        "UP",
        "DOWN",
        "UNCONFIRMED",
        "HELD",
    ]);
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    for item in items {
        table.row(cells(item));
    }
    terminal::print(&table.render())?;
    terminal::print_line(&terminal::count(items.len() as u64, "session"))
}

fn cells(item: &Value) -> [String; 11] {
    let number = |key: &str| item[key].as_u64().unwrap_or_default();
    let text = |key: &str| super::status::text(&item[key]);
    [
        text("id"),
        text("client"),
        text("path"),
        text("state"),
        text("backend"),
        number("legs").to_string(),
        terminal::seconds(item["age_seconds"].as_f64().unwrap_or_default() as u64),
        number("client_messages").to_string(),
        number("backend_messages").to_string(),
        number("unconfirmed_messages").to_string(),
        terminal::bytes(number("buffered_bytes")),
    ]
}

async fn close(id: &str, node: &NodeArgs) -> Result<(), Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Failure::Usage(format!("{id:?} is not a session's id; see everwire pipe ls")));
    }
    let path = format!("/api/v1/pipes/{id}");
    let answer = Client::new(node)?.call(Method::DELETE, &path, None).await?;
    super::pool::report(node, answer, &format!("closed {id}"))
}
