//! Row C1: the manager is killed between accepting a command and handing it over, and between handing it
//! over and hearing what became of it.

use std::collections::{BTreeMap, BTreeSet};

use everwire_testkit::{everwire::Everwire, instance::Instance, wait::eventually};
use serde_json::Value;

use super::stage::{alone, crew, done_by, finished, name, outcomes, query, send, state};

#[tokio::test]
async fn fault_c1_a_command_that_fleet_send_has_returned_for_survives_sigkill_and_is_done_once() {
    let mut manager = Everwire::start(&alone()).await;
    let crew = crew(&manager, 5).await;
    let mut sent = Vec::new();
    for round in 0..6 {
        let key = format!("k{round}");
        let words = ["fleet", "send", "shop", "refresh", "--detach", "--json", "--key", &key];
        let output = manager.command(&words).await;
        manager.kill_and_restart().await;
        assert!(output.status.success(), "{output:?}");
        let accepted: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let id = accepted["id"].as_str().expect("a command has an id").to_owned();
        // Sent again with its key, it is the same command.
        let again = manager.command(&words).await;
        let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
        assert_eq!(again["id"], id.as_str());
        done_by(&manager, &id, crew.len()).await;
        sent.push(id);
    }
    for one in &crew {
        assert_eq!(one.record().executed, sent, "all, once, in the order of acceptance");
    }
}

/// Half of the instances say at once what became of their commands, half when the manager is back.
#[tokio::test]
async fn fault_c1_a_manager_killed_among_thousands_of_outcomes_loses_none_that_it_has_shown() {
    let mut manager = Everwire::start(&alone()).await;
    let quick = crew(&manager, HALF).await;
    let slow: Vec<_> =
        (HALF..2 * HALF).map(|index| Instance::silent(manager.address(), &query(index))).collect();
    for one in &slow {
        one.welcome(1).await;
    }
    let mut ids = Vec::new();
    for number in 0..COMMANDS {
        ids.push(send(&manager, "shop", &format!("step-{number}")).await);
    }
    let shown = eventually("a third of the outcomes", async || {
        let mut shown = BTreeMap::new();
        for id in &ids {
            let known = outcomes(&state(&manager, id).await).into_iter();
            shown.extend(known.map(|(instance, outcome)| ((id.clone(), instance), outcome)));
        }
        (shown.len() >= HALF * COMMANDS * 2 / 3).then_some(shown)
    })
    .await;
    manager.kill_and_restart().await;
    slow.iter().for_each(Instance::speak);
    for id in &ids {
        let state = done_by(&manager, id, 2 * HALF).await;
        let now = outcomes(&state);
        for ((_, instance), outcome) in shown.iter().filter(|((of, _), _)| of == id) {
            assert_eq!(now.get(instance), Some(outcome), "{instance} of {id}");
        }
    }
    for (index, one) in quick.iter().chain(&slow).enumerate() {
        let record = one.record();
        assert_eq!(record.executed, ids, "{}", name(index));
        let mut again = record.handed.iter().collect::<Vec<_>>();
        let known: BTreeSet<_> = again.iter().copied().collect();
        again.retain(|id| shown.contains_key(&((*id).clone(), name(index))));
        let settled = known.iter().filter(|id| shown.contains_key(&((**id).clone(), name(index))));
        assert_eq!(again.len(), settled.count(), "what is known is not asked again: {record:?}");
    }
}

/// Commands that came to their end before are not begun again, however often the manager is killed.
#[tokio::test]
async fn fault_c1_what_is_finished_stays_finished_over_restarts() {
    let mut manager = Everwire::start(&alone()).await;
    let crew = crew(&manager, 3).await;
    let id = send(&manager, "shop", "refresh").await;
    let before = done_by(&manager, &id, 3).await;
    for times in 2..5 {
        manager.kill_and_restart().await;
        for one in &crew {
            one.welcome(times).await;
        }
        assert_eq!(outcomes(&finished(&manager, &id).await), outcomes(&before));
    }
    for one in &crew {
        assert_eq!(one.record().handed, [id.as_str()]);
    }
}

const HALF: usize = 100;
const COMMANDS: usize = 10;
