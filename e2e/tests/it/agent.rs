//! `everwire agent` with real programs, and a manager that speaks as a fleet's does.

mod changes;
mod clients;
mod fleet;
#[path = "../../../crates/agent/tests/it/manager.rs"]
#[allow(dead_code, reason = "what the agent's own tests need of it is more")]
mod manager;
mod programs;

use std::process::Command;

use everwire_testkit::{
    everwire::{Folder, everwire_command},
    process::Process,
    wait::eventually,
};

use self::manager::Manager;

/// An agent of `shop:0:a` that runs a script of the shell.
fn shell(manager: &str, options: &[&str], script: &str) -> Process {
    agent(manager, options, &["sh", "-c", script])
}

/// An agent of `shop:0:a` that runs a program.
fn agent(manager: &str, options: &[&str], program: &[&str]) -> Process {
    let mut command = everwire_command();
    command.args(["agent", "--manager", manager, "--app", "shop", "--id", "a"]);
    command.args(options).arg("--").args(program);
    Process::start("everwire agent", &mut command)
}

/// Waits for the program to have said a line so many times.
async fn says(agent: &Process, line: &str, times: usize) {
    eventually(&format!("{times} times {line:?}"), async || {
        let said = agent.stdout().all();
        (said.iter().filter(|said| said.trim() == line).count() >= times).then_some(())
    })
    .await;
}

/// Waits for the agent to have complained of something.
async fn complains(agent: &Process, of: &str) {
    eventually(&format!("a complaint of {of:?}"), async || {
        agent.stderr().find(|line| line.contains(of).then_some(()))
    })
    .await;
}

/// Sends a signal to the agent alone, by its own id.
fn signal(agent: &Process, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &agent.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}
