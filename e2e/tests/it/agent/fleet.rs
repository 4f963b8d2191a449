//! Commands for programs, and what an agent does without a manager.

use std::net::SocketAddr;

use everwire_testkit::wait::eventually;
use serde_json::{Value, json};

use super::{
    Folder, Manager, complains,
    manager::{Known, Report},
    says, shell, signal,
};

/// Says what it was started with, and goes on until it is told to end.
const TELLS: &str = "echo \"begun ${A-none}\"; exec sleep 1000";

#[tokio::test]
async fn a_fleet_refreshes_sets_values_restarts_and_shuts_down() {
    let manager = Manager::start().await;
    manager.change("s", &[("A", Some("1"))]);
    let mut agent = shell(&manager.url(), &["--set", "s", "--on", "restart"], TELLS);
    says(&agent, "begun 1", 1).await;
    let done = async |id: &str, name: &str, args: Value| {
        let Report { outcome, detail, .. } = manager.outcome(id, name, args).await;
        assert_eq!((&*outcome, detail), ("done", None), "{name}");
    };
    done("1", "refresh", Value::Null).await;
    says(&agent, "begun 1", 2).await;
    done("2", "environment", json!(["A=mine"])).await;
    says(&agent, "begun mine", 1).await;
    done("3", "restart", Value::Null).await;
    says(&agent, "begun mine", 2).await;
    assert_eq!(manager.outcome("4", "environment", json!([5])).await.outcome, "refused");
    let refused = manager.command("5", "launch", Value::Null).await.unwrap();
    assert_eq!(refused["outcome"], "refused");
    done("6", "shutdown", Value::Null).await;
    assert_eq!(agent.ended().await.code(), Some(143));
}

#[tokio::test]
async fn a_command_in_whose_middle_the_agent_is_killed_is_interrupted_and_not_begun_again() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    let state = folder.0.join("state");
    let options = ["--on", "exec:echo acting; sleep 1000", "--state", state.to_str().unwrap()];
    let mut first = shell(&manager.url(), &options, TELLS);
    says(&first, "begun none", 1).await;
    manager.joined(1).await;
    assert_eq!(manager.command("1", "refresh", Value::Null).await, Ok(json!("pending")));
    says(&first, "acting", 1).await;
    first.kill();
    let second = shell(&manager.url(), &options, TELLS);
    says(&second, "begun none", 1).await;
    assert_eq!(manager.report("1").await.outcome, "interrupted");
    let again = manager.command("1", "refresh", Value::Null).await.unwrap();
    assert_eq!(again["outcome"], "interrupted");
    assert_eq!(second.stdout().all(), ["begun none"], "and nothing was done");
}

#[tokio::test]
async fn without_a_manager_a_program_starts_with_what_was_last_known_and_that_is_said() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    manager.change("s", &[("A", Some("1"))]);
    let url = manager.url();
    let state = folder.0.join("state");
    let options = ["--set", "s", "--on", "restart", "--state", state.to_str().unwrap()];
    let mut first = shell(&url, &options, TELLS);
    says(&first, "begun 1", 1).await;
    let (address, mut known) = manager.stop().await;
    first.kill();
    let second = shell(&url, &options, TELLS);
    says(&second, "begun 1", 1).await;
    complains(&second, "no manager: starting with the configuration that was last known").await;
    known.sets.insert("s".into(), (2, [("A".into(), "2".into())].into()));
    let _manager = Manager::start_at(address, known).await;
    says(&second, "begun 2", 1).await;
}

#[tokio::test]
async fn pred_k11_without_a_manager_and_a_state_a_program_waits_and_says_so_unless_it_may_start() {
    let nobody = "http://127.0.0.1:1";
    let mut waiting = shell(nobody, &["--set", "s"], TELLS);
    complains(&waiting, "waiting for the set s: no connection to 127.0.0.1:1").await;
    assert!(waiting.stdout().all().is_empty());
    signal(&waiting, "TERM");
    assert_eq!(waiting.ended().await.code(), Some(143));
    let started = shell(nobody, &["--set", "s", "--offline-ok"], TELLS);
    says(&started, "begun none", 1).await;
}

#[tokio::test]
async fn two_agents_cannot_have_one_state() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    let options = ["--state", folder.0.to_str().unwrap()];
    let first = shell(&manager.url(), &options, TELLS);
    says(&first, "begun none", 1).await;
    let mut second = shell(&manager.url(), &options, TELLS);
    assert_eq!(second.ended().await.code(), Some(1));
    complains(&second, "is in use by another agent").await;
}

#[tokio::test]
async fn a_manager_of_another_fleet_is_refused_and_what_to_remove_is_named() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("cluster"), "one").unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let other = Manager::start_at(any, Known { cluster: "two".into(), ..Known::default() }).await;
    let options = ["--set", "s", "--state", folder.0.to_str().unwrap()];
    let mut agent = shell(&other.url(), &options, TELLS);
    assert_eq!(agent.ended().await.code(), Some(1));
    let file = folder.0.join("cluster").display().to_string();
    complains(&agent, &format!("remove {file}")).await;
}

#[tokio::test]
async fn a_program_ends_when_another_takes_its_name_only_if_that_is_wanted() {
    let manager = Manager::start().await;
    let mut leaving = shell(&manager.url(), &["--end-when-replaced"], TELLS);
    says(&leaving, "begun none", 1).await;
    manager.joined(1).await;
    // The agent may not have heard the welcome yet.
    manager.outcome("1", "restart", Value::Null).await;
    manager.end_all("shop:0:a was taken over by a newer connection");
    assert_eq!(leaving.ended().await.code(), Some(143));
    let mut staying = shell(&manager.url(), &[], TELLS);
    says(&staying, "begun none", 1).await;
    manager.joined(2).await;
    manager.outcome("2", "restart", Value::Null).await;
    manager.end_all("shop:0:a was taken over by a newer connection");
    complains(&staying, "it has taken over; trying again in a minute").await;
    let running = eventually("its program", async || (!staying.has_ended()).then_some(())).await;
    assert_eq!(running, ());
}
