//! Commands that not all do at once.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use everwire_fleet::{
    command::Outcome,
    fleet::{NewCommand, Progress},
    rollout::{Pace, Rollout},
};
use everwire_testkit::wait::{now, until_equal};
use serde_json::{Value, json};

use crate::fixture::{Instance, Site, command, counts, says};

fn paced(pace: Pace, stop_after: Option<u32>) -> NewCommand {
    let stop_after = stop_after.and_then(NonZeroU32::new);
    NewCommand { rollout: Rollout { pace, stop_after }, ..command("shop", "x") }
}

fn at_once(count: u32) -> Pace {
    Pace::AtOnce(NonZeroU32::new(count).unwrap())
}

/// Reports of one instance what became of what it was given last.
async fn report(instance: &Instance, outcome: &str) {
    let id = instance.given.lock().unwrap().last().unwrap().id;
    let report = json!([id.to_string(), outcome, null]);
    instance.connection.invoke::<()>("Report", &report).await.unwrap();
}

#[tokio::test]
async fn so_many_do_it_at_once_and_no_more() {
    let site = Site::of(2).await;
    let (busy, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut waiting = Vec::new();
    for number in 0..9 {
        let (busy, most) = (Arc::clone(&busy), Arc::clone(&most));
        let begun = says(move |_| {
            most.fetch_max(busy.fetch_add(1, SeqCst) + 1, SeqCst);
            Ok("pending".into())
        });
        let node = &site.nodes[number % 2];
        waiting.push(node.join_with(&format!("shop:{number}:a"), begun).await);
    }
    site.until_known(9, 0).await;
    let id = site.nodes[1].fleet.send(paced(at_once(3), None)).await.unwrap().id;
    while !waiting.is_empty() {
        let given = async || waiting.iter().filter(|there| !there.args().is_empty()).count();
        until_equal("those who are to do it", waiting.len().min(3), given).await;
        let at = waiting.iter().position(|there| !there.args().is_empty()).unwrap();
        let instance = waiting.swap_remove(at);
        busy.fetch_sub(1, SeqCst);
        report(&instance, "done").await;
        // It stays connected, so that who is there does not change.
        std::mem::forget(instance);
    }
    assert!(most.load(SeqCst) <= 3, "{most:?} at once");
    assert_eq!(counts(&site.until_finished(id).await), [("done", 9)].into());
}

#[tokio::test]
async fn after_so_many_failures_nobody_else_does_it() {
    let site = Site::of(2).await;
    let mut instances = Vec::new();
    for number in 0..10 {
        let says = says(move |_| if number < 2 { Err("broken".into()) } else { Ok(Value::Null) });
        instances.push(site.nodes[number % 2].join_with(&format!("shop:{number}:a"), says).await);
    }
    site.until_known(10, 0).await;
    let id = site.fleet().send(paced(at_once(1), Some(2))).await.unwrap().id;
    let state = site.until_finished(id).await;
    assert_eq!(counts(&state), [("failed", 2), ("withheld", 8)].into());
    assert_eq!(state.summary.state, Progress::Stopped);
    assert!(state.summary.stopped.unwrap().contains("failed"));
    let given = instances.iter().filter(|there| !there.args().is_empty()).count();
    assert_eq!(given, 2);
}

#[tokio::test]
async fn so_many_do_it_a_second() {
    let site = Site::of(1).await;
    let mut instances = Vec::new();
    for number in 0..6 {
        instances.push(site.nodes[0].join(&format!("shop:{number}:a")).await);
    }
    site.until_known(6, 0).await;
    let begun = now();
    let id = site.fleet().send(paced(Pace::PerSecond(10.0), None)).await.unwrap().id;
    assert_eq!(counts(&site.until_finished(id).await), [("done", 6)].into());
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_rollout_that_is_cancelled_goes_no_further() {
    let site = Site::of(2).await;
    let mut instances = Vec::new();
    for number in 0..4 {
        let silent = says(|_| Ok("pending".into()));
        instances.push(site.nodes[0].join_with(&format!("shop:{number}:a"), silent).await);
    }
    site.until_known(4, 0).await;
    let id = site.fleet().send(paced(at_once(1), None)).await.unwrap().id;
    instances[0].until_args(&["x"]).await;
    site.nodes[1].fleet.cancel(id).await.unwrap();
    let state = site.nodes[0].until(id, |state| state.outcomes.len() == 3).await;
    assert!(state.outcomes.iter().all(|said| said.outcome == Outcome::Withheld));
    report(&instances[0], "done").await;
    assert_eq!(counts(&site.until_finished(id).await), [("done", 1), ("withheld", 3)].into());
}

#[tokio::test]
async fn a_rollout_waits_for_who_is_away_and_goes_on_with_another_leader() {
    let mut site = Site::of(3).await;
    site.nodes.sort_by_key(|node| node.id);
    let one = site.nodes[2].join("shop:0:a").await;
    let away = site.nodes[2].join("shop:1:a").await;
    site.until_known(2, 0).await;
    let find = |ledger: &everwire_fleet::ledger::Ledger| {
        ledger.roster().get(&"shop:1:a".parse().unwrap()).unwrap().session
    };
    let session = site.nodes[2].fleet.read(find);
    site.nodes[2].fleet.hub().abort(session).await;
    site.until_known(1, 1).await;
    drop(away);
    let id = site.nodes[2].fleet.send(paced(at_once(1), None)).await.unwrap().id;
    one.until_args(&["x"]).await;
    let state = site.nodes[1].until(id, |state| state.outcomes.len() == 1).await;
    assert!(!state.missing[0].released, "it is not there");
    // Who leads ends, and another one does.
    let leader = site.nodes.remove(0);
    site.backplane.kill(leader.id);
    let back = site.nodes[1].join("shop:1:a").await;
    back.until_args(&["x"]).await;
    assert_eq!(counts(&site.until_finished(id).await), [("done", 2)].into());
}
