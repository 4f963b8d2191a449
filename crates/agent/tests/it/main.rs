//! Agents and a manager that speaks as a fleet's does, in one process.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail like tests do")]

mod commands;
mod configuration;
mod link;
mod manager;
mod offline;

use everwire_agent::{Agent, AgentBuilder, Change, Status};
use everwire_testkit::wait::{eventually, soon};
use tokio::sync::mpsc;

/// An agent of `shop:0:a` that watches `shop/prod`, and the changes that it is told.
fn watching(url: &str) -> (AgentBuilder, mpsc::Receiver<Change>) {
    let (tell, told) = mpsc::channel(100);
    let agent = agent(url).watch("shop/prod").on_change(move |change| {
        let tell = tell.clone();
        async move { tell.send(change).await }
    });
    (agent, told)
}

/// An agent of `shop:0:a`.
fn agent(url: &str) -> AgentBuilder {
    Agent::builder(url).app("shop").id("a")
}

/// Waits for an agent to stand as wanted; what `find` makes of that.
async fn status<T>(agent: &Agent, what: &str, find: impl Fn(&Status) -> Option<T>) -> T {
    eventually(what, async || find(&agent.status().borrow())).await
}

async fn joined(agent: &Agent) {
    status(agent, "joined", |it| matches!(it, Status::Joined { .. }).then_some(())).await;
}

async fn next<T>(what: &str, from: &mut mpsc::Receiver<T>) -> T {
    soon(what, from.recv()).await.expect("who tells is there")
}
