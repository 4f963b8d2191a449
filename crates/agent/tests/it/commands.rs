//! Commands: each carried out once, in order, and none to the harm of another.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use everwire_agent::{AgentBuilder, Command, Outcome};
use everwire_testkit::{everwire::Folder, relay::Relay, wait::until_equal};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    agent, joined,
    manager::{Manager, Report},
    next, watching,
};

/// Commands that wait for a permit each, and which of them have begun.
fn gated(agent: AgentBuilder) -> (AgentBuilder, Arc<Semaphore>, mpsc::Receiver<String>) {
    let gate = Arc::new(Semaphore::new(0));
    let (tell, begun) = mpsc::channel(100);
    let opened = gate.clone();
    let agent = agent.on_command("wait", move |command: Command| {
        let (gate, tell) = (gate.clone(), tell.clone());
        async move {
            tell.send(command.id).await.unwrap();
            gate.acquire().await.unwrap().forget();
        }
    });
    (agent, opened, begun)
}

fn report(id: &str, outcome: &str, detail: Option<&str>) -> Report {
    Report { id: id.into(), outcome: outcome.into(), detail: detail.map(Into::into) }
}

#[tokio::test]
async fn a_command_is_carried_out_with_its_arguments_and_reported() {
    let manager = Manager::start().await;
    let echo = |command: Command| async move { Ok::<_, String>(command.args.to_string()) };
    let _agent = agent(&manager.url()).on_command("echo", echo).start().await.unwrap();
    let said = manager.outcome("1", "echo", json!(["a", 2])).await;
    assert_eq!(said, report("1", "done", Some(r#"["a",2]"#)));
    let refused = manager.command("2", "unknown", Value::Null).await.unwrap();
    assert_eq!(refused["outcome"], "refused", "{refused}");
    assert_eq!(manager.known().queries[0].split('&').count(), 4, "app, index, id and the token");
}

#[tokio::test]
async fn pred_m3_a_handler_that_fails_or_panics_harms_nobody() {
    let manager = Manager::start().await;
    let (agent, mut told) = watching(&manager.url());
    let agent = agent
        .on_command("fail", |_| async { Err::<(), _>("no disk") })
        .on_command("panic", |_| async {
            if true {
                panic!("at the disk")
            }
        })
        .on_command("panic-at-once", |command: Command| {
            assert_eq!(command.id, "", "at once");
            async {}
        })
        .on_command("refuse", |_| async { Outcome::refused("not now") })
        .on_command("work", |_| async {})
        .start()
        .await
        .unwrap();
    next("a first state", &mut told).await;
    let outcome = async |id, name| manager.outcome(id, name, Value::Null).await;
    assert_eq!(outcome("1", "fail").await, report("1", "failed", Some("no disk")));
    let panicked = report("2", "failed", Some("the handler panicked: at the disk"));
    assert_eq!(outcome("2", "panic").await, panicked);
    assert_eq!(outcome("3", "panic-at-once").await.outcome, "failed");
    assert_eq!(outcome("4", "refuse").await, report("4", "refused", Some("not now")));
    assert_eq!(outcome("5", "work").await, report("5", "done", None));
    manager.change("shop/prod", &[("A", Some("1"))]);
    assert_eq!(next("a change", &mut told).await.values["A"], "1");
    assert_eq!(manager.known().joined.len(), 1, "the connection was not lost for it");
    agent.stop().await;
}

#[tokio::test]
async fn commands_run_one_at_a_time_in_order_and_changes_beside_them() {
    let manager = Manager::start().await;
    let (agent, mut told) = watching(&manager.url());
    let (agent, gate, mut begun) = gated(agent);
    let _agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    for id in ["1", "2", "3"] {
        assert_eq!(manager.command(id, "wait", Value::Null).await, Ok(json!("pending")));
    }
    assert_eq!(next("a command", &mut begun).await, "1");
    manager.change("shop/prod", &[("A", Some("1"))]);
    assert_eq!(next("a change", &mut told).await.values["A"], "1");
    assert!(begun.try_recv().is_err(), "the second waits for the first");
    for id in ["2", "3"] {
        gate.add_permits(1);
        assert_eq!(next("a command", &mut begun).await, id);
    }
    gate.add_permits(1);
    manager.report("3").await;
    let ids: Vec<_> = manager.known().reports.iter().map(|report| report.id.clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[tokio::test]
async fn one_more_command_than_may_wait_is_refused() {
    let manager = Manager::start().await;
    let (agent, gate, mut begun) = gated(agent(&manager.url()));
    let _agent = agent.start().await.unwrap();
    manager.command("first", "wait", Value::Null).await.unwrap();
    next("a command", &mut begun).await;
    for id in 0..64 {
        let answer = manager.command(&format!("{id}"), "wait", Value::Null).await;
        assert_eq!(answer, Ok(json!("pending")), "{id}");
    }
    let refused = manager.command("more", "wait", Value::Null).await.unwrap();
    assert_eq!(refused, json!({"outcome": "refused", "detail": "too many commands wait already"}));
    gate.add_permits(65);
    manager.report("63").await;
}

#[tokio::test]
async fn pred_k2_a_command_and_a_change_count_once_after_many_reconnects() {
    let manager = Manager::start().await;
    let cable = Relay::start(vec![manager.address()]).await;
    let (agent, mut told) = watching(&format!("http://{}/fleet", cable.address()));
    let (agent, gate, mut begun) = gated(agent);
    let _agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    for connections in 2..=4 {
        cable.cut();
        manager.joined(connections).await;
    }
    manager.change("shop/prod", &[("A", Some("1"))]);
    assert_eq!(next("a change", &mut told).await.sets[0].version, 1);
    manager.command("1", "wait", Value::Null).await.unwrap();
    // The manager has heard nothing of it and gives it again, to the next connection too.
    assert_eq!(manager.command("1", "wait", Value::Null).await, Ok(json!("pending")));
    cable.cut();
    manager.joined(5).await;
    assert_eq!(manager.command("1", "wait", Value::Null).await, Ok(json!("pending")));
    gate.add_permits(10);
    manager.report("1").await;
    let again = manager.command("1", "wait", Value::Null).await.unwrap();
    assert_eq!(again, json!({"outcome": "done"}));
    manager.outcome("2", "wait", Value::Null).await;
    assert_eq!(
        (next("1", &mut begun).await, next("2", &mut begun).await),
        ("1".into(), "2".into())
    );
    assert!(begun.try_recv().is_err() && told.try_recv().is_err(), "nothing came twice");
}

#[tokio::test]
async fn a_command_that_was_carried_out_before_a_restart_is_not_carried_out_again() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    for run in 1..=2 {
        let (agent, gate, mut begun) = gated(agent(&manager.url()).state_dir(&folder.0));
        let agent = agent.start().await.unwrap();
        manager.joined(run).await;
        gate.add_permits(1);
        if run == 1 {
            manager.outcome("1", "wait", Value::Null).await;
            agent.settle(Duration::from_secs(20)).await;
        } else {
            let again = manager.command("1", "wait", Value::Null).await.unwrap();
            assert_eq!(again, json!({"outcome": "done"}));
        }
        assert_eq!(begun.try_recv().is_ok(), run == 1);
        agent.stop().await;
    }
    assert_eq!(manager.known().reports.len(), 1, "what is known is not reported again");
}

#[tokio::test]
async fn a_command_within_which_the_process_ended_is_reported_as_interrupted() {
    let (manager, folder) = (Manager::start().await, Folder::new());
    let (first, _gate, mut begun) = gated(agent(&manager.url()).state_dir(&folder.0));
    let first = first.start().await.unwrap();
    manager.command("1", "wait", Value::Null).await.unwrap();
    next("a command", &mut begun).await;
    first.stop().await;
    drop(first);
    let second = loop {
        // The first lets go of the directory as its last task ends.
        let (second, ..) = gated(agent(&manager.url()).state_dir(&folder.0));
        match second.start().await {
            Ok(agent) => break agent,
            Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    joined(&second).await;
    assert_eq!(manager.report("1").await.outcome, "interrupted");
    let again = manager.command("1", "wait", Value::Null).await.unwrap();
    assert_eq!(again["outcome"], "interrupted");
    assert!(begun.try_recv().is_err());
}

#[tokio::test]
async fn an_outcome_that_the_manager_did_not_hear_is_reported_to_the_next() {
    let manager = Manager::start().await;
    let (agent, gate, mut begun) = gated(agent(&manager.url()));
    let _agent = agent.start().await.unwrap();
    manager.command("1", "wait", Value::Null).await.unwrap();
    next("a command", &mut begun).await;
    let (address, known) = manager.stop().await;
    gate.add_permits(1);
    let manager = Manager::start_at(address, known).await;
    assert_eq!(manager.report("1").await, report("1", "done", None));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlives_the_deadline_is_given_up_and_the_next_has_its_turn() {
    let manager = Manager::start().await;
    let (agent, _gate, mut begun) = gated(agent(&manager.url()).on_command("work", |_| async {}));
    let _agent = agent.start().await.unwrap();
    let deadline = wall_millis() + 30_000;
    manager.order(json!({"id": "1", "name": "wait", "deadline": deadline})).await.unwrap();
    next("a command", &mut begun).await;
    manager.command("2", "work", Value::Null).await.unwrap();
    until_equal("outcomes", 2, async || manager.known().reports.len()).await;
    let outcomes: Vec<_> = manager.known().reports.iter().map(|it| it.outcome.clone()).collect();
    assert_eq!(outcomes, ["failed", "done"]);
}

#[allow(clippy::disallowed_methods, reason = "a deadline is a wall time")]
fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::test]
async fn a_command_of_another_fleet_is_refused() {
    let manager = Manager::start().await;
    let (agent, _gate, mut begun) = gated(agent(&manager.url()));
    let agent = agent.start().await.unwrap();
    joined(&agent).await;
    manager.known().cluster = "another".into();
    let refused = manager.command("1", "wait", Value::Null).await.unwrap();
    assert_eq!(refused["outcome"], "refused");
    assert!(begun.try_recv().is_err());
}
