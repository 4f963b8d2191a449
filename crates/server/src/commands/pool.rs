//! `everwire pool`: the backends of a running node.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    cli::{BackendArgs, NodeArgs, PoolCommand},
    client::{Answer, Client},
    failure::Failure,
    terminal::{self, Table},
};

pub(super) async fn run(command: &PoolCommand) -> Result<(), Failure> {
    match command {
        PoolCommand::Ls { pool, node } => list(pool.as_deref(), node).await,
        PoolCommand::Add { target, weight, sessions_max } => {
            add(target, *weight, *sessions_max).await
        }
        PoolCommand::Rm { target } => change(target, Method::DELETE, "", "removed").await,
        PoolCommand::Drain { target } => change(target, Method::POST, "/drain", "drained").await,
        PoolCommand::Ready { target } => change(target, Method::POST, "/ready", "ready").await,
    }
}

/// Shows the answer as JSON, or one line that says what was done.
pub(super) fn report(node: &NodeArgs, answer: Answer, done: &str) -> Result<(), Failure> {
    if node.json {
        if !answer.body.is_null() {
            terminal::print_json(&answer.body)?;
        }
        return answer.into_result().map(drop);
    }
    let has_sessions = answer.body.get("sessions").is_some();
    let still_moving = answer.status == StatusCode::ACCEPTED && has_sessions;
    let body = answer.into_result()?;
    if still_moving {
        let left = terminal::count(body["sessions"].as_u64().unwrap_or_default(), "session");
        return Err(Failure::failed(format!(
            "{left} still on it; moving goes on: see everwire pool ls"
        )));
    }
    match body.get("moved").and_then(Value::as_u64) {
        Some(moved) => {
            terminal::print_line(&format!("{done}, {} moved", terminal::count(moved, "session")))
        }
        None => terminal::print_line(done),
    }
}

async fn list(pool: Option<&str>, node: &NodeArgs) -> Result<(), Failure> {
    let client = Client::new(node)?;
    let answer = match pool {
        Some(pool) => client.read(&backends_path(pool)?).await?,
        None => client.read("/api/v1/pools").await?,
    };
    if node.json {
        return terminal::print_json(&answer);
    }
    let mut table = Table::new(&[
        "POOL",
        "BACKEND",
        "STATE",
        "HEALTH",
        "SESSIONS",
        "DIALS",
        "FAILURES",
        "LAST ERROR",
    ]);
    for item in answer["items"].as_array().into_iter().flatten() {
        match pool {
            Some(pool) => table.row(cells(pool, item)),
            None => add_pool(&mut table, item),
        }
    }
    terminal::print(&table.render())
}

fn add_pool(table: &mut Table, item: &Value) {
    let name = super::status::text(&item["name"]);
    let backends = item["backends"].as_array().map(Vec::as_slice).unwrap_or_default();
    if backends.is_empty() {
        table.row([name.clone(), "(no backends)".to_owned()]);
    }
    for backend in backends {
        table.row(cells(&name, backend));
    }
}

fn cells(pool: &str, item: &Value) -> [String; 8] {
    let text = |key: &str| super::status::text(&item[key]);
    [
        pool.to_owned(),
        text("url"),
        text("state"),
        text("health"),
        text("sessions"),
        text("dials_in_flight"),
        text("failures"),
        text("last_error"),
    ]
}

async fn add(target: &BackendArgs, weight: u32, most: Option<u32>) -> Result<(), Failure> {
    let mut body = json!({ "url": target.url, "weight": weight });
    if let Some(most) = most {
        body["sessions_max"] = most.into();
    }
    let path = backends_path(&target.pool)?;
    let answer = Client::new(&target.node)?.call(Method::POST, &path, Some(&body)).await?;
    report(&target.node, answer, &format!("added {}", target.url))
}

async fn change(
    target: &BackendArgs,
    method: Method,
    verb: &str,
    done: &str,
) -> Result<(), Failure> {
    let client = Client::new(&target.node)?;
    let path = backends_path(&target.pool)?;
    let backends = client.read(&path).await?;
    let id = find(&backends, target)?;
    let answer = client.call(method, &format!("{path}/{id}{verb}"), None).await?;
    report(&target.node, answer, &format!("{} is {done}", target.url))
}

/// The id of a backend by its URL, a trailing slash or not.
fn find(backends: &Value, target: &BackendArgs) -> Result<String, Failure> {
    let wanted = target.url.trim_end_matches('/');
    let items = backends["items"].as_array().into_iter().flatten();
    let matching =
        |item: &&Value| item["url"].as_str().is_some_and(|url| url.trim_end_matches('/') == wanted);
    let found = items.clone().find(matching);
    found.map(|item| super::status::text(&item["id"])).ok_or_else(|| {
        let urls: Vec<_> = items.filter_map(|item| item["url"].as_str()).collect();
        Failure::failed(format!(
            "the pool {} has no backend {}; it has {}",
            target.pool,
            target.url,
            if urls.is_empty() { "none".to_owned() } else { urls.join(", ") }
        ))
    })
}

fn backends_path(pool: &str) -> Result<String, Failure> {
    if crate::config::is_name(pool) {
        return Ok(format!("/api/v1/pools/{pool}/backends"));
    }
    Err(Failure::Usage(format!("{pool:?} is not a pool's name; see everwire pool ls")))
}
