//! Configuration: every change, once, the latest state, one handler at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use everwire_agent::{Change, Debounce};
use everwire_testkit::wait::{eventually, until_equal};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use crate::{agent, joined, manager::Manager, next, watching};

const NOW: Debounce = Debounce { quiet: Duration::ZERO, longest: Duration::ZERO };

fn keys(change: &Change) -> Vec<&str> {
    change.sets.iter().flat_map(|set| set.keys.iter().map(String::as_str)).collect()
}

#[tokio::test]
async fn the_first_state_and_each_change_are_told_with_what_differs() {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1")), ("B", Some("1"))]);
    let (agent, mut told) = watching(&manager.url());
    let agent = agent.start().await.unwrap();
    let first = next("a first state", &mut told).await;
    assert!(first.is_first && !first.is_offline && keys(&first) == ["A", "B"], "{first:?}");
    manager.change("shop/prod", &[("A", None), ("C", Some("1"))]);
    let change = next("a change", &mut told).await;
    assert_eq!((keys(&change), change.sets[0].version), (vec!["A", "C"], 2));
    assert_eq!(json!(*change.values), json!({"B": "1", "C": "1"}));
    assert_eq!(agent.versions()["shop/prod"], 2);
    assert!(agent.is_up_to_date() && agent.missing().is_empty());
}

#[tokio::test]
async fn pred_k12_a_burst_is_told_once_with_the_last_state() {
    let manager = Manager::start().await;
    let (agent, mut told) = watching(&manager.url());
    let _agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    for number in 1..=50 {
        manager.change("shop/prod", &[("N", Some(&number.to_string()))]);
    }
    let change = next("a change", &mut told).await;
    assert_eq!((&*change.values["N"], change.sets[0].version), ("50", 50));
    manager.change("shop/prod", &[("N", Some("51"))]);
    assert_eq!(next("another", &mut told).await.values["N"], "51", "and nothing between");
}

#[tokio::test]
async fn pred_k12_changes_that_come_while_one_is_applied_are_applied_together_after_it() {
    let manager = Manager::start().await;
    let (gate, running) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
    let (tell, mut told) = mpsc::channel(100);
    let opened = gate.clone();
    let on_change = move |change: Change| {
        let (gate, running, tell) = (gate.clone(), running.clone(), tell.clone());
        async move {
            assert_eq!(running.fetch_add(1, SeqCst), 0, "one at a time");
            tell.send(change).await.unwrap();
            gate.acquire().await.unwrap().forget();
            running.fetch_sub(1, SeqCst);
            Ok::<_, String>(())
        }
    };
    let agent = agent(&manager.url()).watch("s").debounce(NOW).on_change(on_change);
    let agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    manager.change("s", &[("A", Some("1"))]);
    assert_eq!(next("a change", &mut told).await.values["A"], "1");
    for number in 2..=20 {
        manager.change("s", &[("A", Some(&number.to_string()))]);
    }
    until_equal("what is known", 20, async || agent.versions()["s"]).await;
    assert!(told.try_recv().is_err());
    opened.add_permits(10);
    assert_eq!(next("the rest", &mut told).await.values["A"], "20");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_called_again_with_the_same_difference() {
    let manager = Manager::start().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = mpsc::channel(100);
    let on_change = move |change: Change| {
        let (call, tell) = (calls.fetch_add(1, SeqCst), tell.clone());
        async move {
            tell.send(change).await.unwrap();
            match call {
                1 => Err("no disk"),
                2 => panic!("no disk at all"),
                _ => Ok(()),
            }
        }
    };
    let agent = agent(&manager.url()).watch("s").on_change(on_change).start().await.unwrap();
    next("a first state", &mut told).await;
    manager.change("s", &[("A", Some("1"))]);
    for _ in 0..3 {
        let change = next("a change", &mut told).await;
        assert_eq!((keys(&change), change.is_first), (vec!["A"], false));
    }
    agent.refresh().await.unwrap();
    assert!(next("what was asked for", &mut told).await.sets.is_empty());
}

#[tokio::test]
async fn what_changed_while_the_manager_was_away_is_caught_up_from_the_cursor() {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    let (agent, mut told) = watching(&manager.url());
    let _agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    let (address, mut known) = manager.stop().await;
    let (version, values) = known.sets.get_mut("shop/prod").unwrap();
    *version = 2;
    values.insert("A".into(), "2".into());
    let manager = Manager::start_at(address, known).await;
    assert_eq!(next("what was missed", &mut told).await.values["A"], "2");
    let watched = manager.known().watched.clone();
    assert_eq!(watched, [("shop/prod".into(), None), ("shop/prod".into(), Some("1-1".into()))]);
}

#[tokio::test]
async fn pred_k8_a_late_change_is_dropped_and_one_that_does_not_fit_is_not_believed() {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("1"))]);
    manager.change("shop/prod", &[("A", Some("2"))]);
    let (agent, mut told) = watching(&manager.url());
    let agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    let changed = |epoch: u64, version: u64, value: &str| {
        let changes = json!([{"key": "A", "value": value}]);
        let changed =
            json!({"set": "shop/prod", "epoch": epoch, "version": version, "changes": changes});
        manager.say("ConfigurationChanged", changed);
    };
    changed(1, 1, "late");
    changed(9, 3, "of another history");
    until_equal("questions", 2, async || manager.known().watched.len()).await;
    assert_eq!(manager.known().watched[1].1, None, "all is asked for");
    manager.say("Gap", json!({"set": "shop/prod"}));
    let all = json!({"set": "shop/prod", "epoch": 9, "version": 1, "values": {"A": "anew"}});
    manager.say("Snapshot", all);
    assert_eq!(next("the other history", &mut told).await.values["A"], "anew");
    assert_eq!(agent.versions()["shop/prod"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_refused_is_named_and_asked_for_again() {
    let manager = Manager::start().await;
    manager.known().refusal = Some("no right to read it".into());
    let (agent, mut told) = watching(&manager.url());
    let agent = agent.start().await.unwrap();
    let missing = async || agent.missing()["shop/prod"].clone();
    let why = eventually("a refusal", missing).await;
    assert!(why.contains("no right to read it"), "{why}");
    manager.known().refusal = None;
    told.recv().await.unwrap();
    assert!(agent.missing().is_empty());
}

#[tokio::test]
async fn an_override_wins_until_it_is_taken_back() {
    let manager = Manager::start().await;
    manager.change("shop/prod", &[("A", Some("set"))]);
    let (agent, mut told) = watching(&manager.url());
    let agent = agent.start().await.unwrap();
    next("a first state", &mut told).await;
    agent.set_override("A", Some("mine"));
    assert_eq!(next("an override", &mut told).await.values["A"], "mine");
    manager.change("shop/prod", &[("A", Some("set again")), ("B", Some("b"))]);
    let change = next("a change", &mut told).await;
    assert_eq!((&*change.values["A"], &*change.values["B"]), ("mine", "b"));
    agent.set_override("A", None);
    assert_eq!(next("none", &mut told).await.values["A"], "set again");
}

#[tokio::test]
async fn without_sets_the_first_state_is_empty_and_at_once() {
    let manager = Manager::start().await;
    let (tell, mut told) = mpsc::channel(1);
    let agent = agent(&manager.url()).on_change(move |change: Change| {
        let tell = tell.clone();
        async move { tell.send(change).await }
    });
    let agent = agent.start().await.unwrap();
    let first = next("a first state", &mut told).await;
    assert!(first.is_first && first.values.is_empty());
    joined(&agent).await;
}
