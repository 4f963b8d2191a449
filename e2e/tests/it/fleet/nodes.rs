//! Several manager nodes: one takes over from another, and a fleet is known by its id.

use std::fs;

use everwire_testkit::{
    everwire::{Everwire, Folder},
    instance::Instance,
    need,
    redis::{DURABLE, Server},
    relay::Relay,
    tools,
    wait::eventually,
};
use serde_json::json;

use super::{
    programs::Agent,
    stage::{COMMANDS, accepted, done_by, outcomes, present_become, query, sharing, state},
};

/// Every node that was there when the command was accepted is killed before it is done.
#[tokio::test]
async fn a_new_node_takes_a_rollout_over_and_repeats_nothing() {
    let redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let setup = || sharing(&redis.url());
    let mut nodes = vec![Everwire::start(&setup()).await, Everwire::start(&setup()).await];
    let third = setup();
    let mut last = Everwire::start(&third).await;
    last.process().kill();
    let everywhere = nodes.iter().map(Everwire::address).chain([last.address()]).collect();
    let door = Relay::start(everywhere).await;
    let crew: Vec<_> =
        (0..COUNT).map(|index| Instance::start(door.address(), &query(index))).collect();
    for one in &crew {
        one.welcome(1).await;
    }
    let rollout = json!({ "target": "shop", "name": "refresh", "rollout": { "at_once": 1 } });
    let id = accepted(&nodes[0].ask("POST", COMMANDS, Some(&rollout)).await);
    begun(&nodes[0], &id, 2).await;
    nodes.remove(0).process().kill();
    last.restart().await;
    begun(&last, &id, 4).await;
    nodes.remove(0).process().kill();
    done_by(&last, &id, COUNT).await;
    present_become(&last, COUNT).await;
    for one in &crew {
        assert_eq!(one.record().executed, [id.as_str()]);
    }
}

/// Waits until so many outcomes are known.
async fn begun(node: &Everwire, id: &str, count: usize) {
    eventually("some outcomes", async || {
        (outcomes(&state(node, id).await).len() >= count).then_some(())
    })
    .await;
}

/// Somebody has put another manager where theirs was.
#[tokio::test]
async fn an_agent_refuses_a_manager_of_another_fleet_and_its_program_goes_on() {
    let folder = Folder::new();
    let mut own = Everwire::start(&super::stage::alone()).await;
    let state = folder.0.join("state");
    let mut agent = Agent::of(own.address(), "shop", 1, &state).beside(&["sleep", "1000"]);
    present_become(&own, 1).await;
    own.process().kill();
    let journal = own.folder().join("fleet.journal");
    let aside = own.folder().join("aside.journal");
    fs::rename(&journal, &aside).expect("the journal is there");
    own.restart().await;
    agent.ready("its refusal", |line| line.contains("belongs to the fleet").then_some(())).await;
    present_become(&own, 0).await;
    assert!(!agent.has_ended(), "the program goes on");
}

const COUNT: usize = 12;
