//! P5: the headline. Three backends are restarted in turn, ten rounds, under 200 chatting clients.

use std::{collections::BTreeMap, path::Path, time::Duration};

use everwire_testkit::{
    checker::{Checker, Tally},
    crowd::{self, Account, Crowd, Manner},
    everwire::{Everwire, Folder},
    foreign::{Backend, Event, Launch},
    need, tools,
};

use crate::stage::{arrived_at, before, in_front_of, replying};

const ROUNDS: usize = 10;
const CLIENTS: usize = 200;

/// How a backend is taken down.
#[derive(Clone, Copy)]
enum Way {
    /// It closes its sockets with 1012 and exits.
    Graceful,
    /// SIGKILL.
    Killed,
}

#[tokio::test]
async fn fault_p5_a_graceful_rolling_restart_is_exact() {
    let node = need!(tools::node());
    let _turn = tools::heavy_turn().await;
    let (mut backends, everwire) = node_stage(&node).await;
    let accounts = roll(&everwire, &mut backends, Way::Graceful).await.part().await;
    up(&backends, &accounts).await.assert_exact("at the backends");
    down_per_leg(&backends, &accounts).assert_exact("at the clients, leg by leg");
}

#[tokio::test]
async fn fault_p5_a_rolling_kill_drops_loses_reorders_and_tears_nothing() {
    let node = need!(tools::node());
    let _turn = tools::heavy_turn().await;
    let (mut backends, everwire) = node_stage(&node).await;
    let accounts = roll(&everwire, &mut backends, Way::Killed).await.part().await;
    up(&backends, &accounts).await.assert_unbroken("at the backends");
    down_per_leg(&backends, &accounts).assert_exact("at the clients, leg by leg");
}

#[tokio::test]
async fn fault_p5_a_rolling_kill_is_exact_both_ways_with_exactly_once() {
    let python = need!(tools::python());
    exactly_once(&python, Way::Killed).await;
}

#[tokio::test]
async fn fault_p5_a_graceful_rolling_restart_is_exact_both_ways_with_exactly_once() {
    let python = need!(tools::python());
    exactly_once(&python, Way::Graceful).await;
}

async fn exactly_once(python: &Path, way: Way) {
    let _turn = tools::heavy_turn().await;
    let folder = Folder::new();
    let store = folder.0.join("store.sqlite");
    let durable = Launch::python(python, "durable.py").with("store", store.display());
    let mut backends = start_three(&durable).await;
    let setup = before(&backends.each_ref()).route("delivery", r#""exactly-once""#);
    let everwire = Everwire::start(&setup).await;
    let crowd = roll(&everwire, &mut backends, way).await;
    crowd.hush_when_answered().await;
    let accounts = crowd.part().await;

    let mut stored = Checker::new();
    crowd::report_said(&accounts, &mut stored);
    for event in durable.flag("list").run().await {
        let Event::Stored(message) = event else { panic!("listed {event:?}") };
        stored.arrived_on(&message.session, Some(&message.mark()));
    }
    stored.tally().assert_exact("in the store");
    answered(&accounts).assert_exact("at the clients");
}

async fn node_stage(node: &Path) -> ([Backend; 3], Everwire) {
    let backends = start_three(&replying(node)).await;
    let everwire = in_front_of(&backends.each_ref()).await;
    (backends, everwire)
}

async fn start_three(launch: &Launch) -> [Backend; 3] {
    [
        Backend::start(launch.clone()).await,
        Backend::start(launch.clone()).await,
        Backend::start(launch.clone()).await,
    ]
}

/// Restarts each backend in turn; the next goes only when every client has been answered again.
/// In the end nothing is unconfirmed and nobody says anything.
async fn roll(everwire: &Everwire, backends: &mut [Backend], way: Way) -> Crowd {
    let every = Duration::from_millis(250);
    let manner = Manner { clients: CLIENTS, every, size: 64, path: "/".to_owned() };
    let crowd = Crowd::gather(everwire.address(), &manner).await;
    crowd.everyone_hears_again().await;
    for turn in 0..ROUNDS * backends.len() {
        let backend = &mut backends[turn % 3];
        match way {
            Way::Graceful => backend.stop_gracefully().await,
            Way::Killed => backend.kill().await,
        }
        backend.revive().await;
        crowd.everyone_hears_again().await;
    }
    crowd.hush().await;
    everwire.settled().await;
    let legs: u64 = everwire.pipes().await.iter().filter_map(|pipe| pipe["legs"].as_u64()).sum();
    println!("{legs} legs for {CLIENTS} clients");
    crowd
}

/// What arrived of what the clients said.
async fn up(backends: &[Backend], accounts: &[Account]) -> Tally {
    let backends: Vec<&Backend> = backends.iter().collect();
    let tally = arrived_at(&backends, |checker| crowd::report_said(accounts, checker)).await;
    println!("up: {tally}");
    tally
}

/// What arrived of what the backends said: every leg numbered its own from 1. A leg that ended with
/// a Close knows how many it sent; of one that was killed there must be no hole before its last.
fn down_per_leg(backends: &[Backend], accounts: &[Account]) -> Tally {
    let mut checker = Checker::new();
    let mut hearers: BTreeMap<&str, &str> = BTreeMap::new();
    for account in accounts {
        for mark in &account.heard {
            checker.arrived(mark.as_ref());
            let Some(mark) = mark else { continue };
            checker.sent(&mark.stream, mark.sequence);
            let hearer = *hearers.entry(&mark.stream).or_insert(&account.name);
            assert_eq!(hearer, account.name, "{} reached two clients", mark.stream);
        }
    }
    for closed in backends.iter().flat_map(Backend::closes) {
        checker.sent(&format!("leg.{}", closed.leg), closed.replies);
    }
    let tally = checker.tally();
    println!("down: {tally}");
    tally
}

/// With exactly-once every message is answered, once, in order, across all legs.
fn answered(accounts: &[Account]) -> Tally {
    let mut checker = Checker::new();
    for account in accounts {
        if let Some(mark) = account.heard.iter().flatten().next() {
            checker.sent(&mark.stream, account.said);
        }
        account.heard.iter().for_each(|mark| checker.arrived(mark.as_ref()));
    }
    let tally = checker.tally();
    assert_eq!(tally.sent, accounts.iter().map(|account| account.said).sum::<u64>());
    println!("answered: {tally}");
    tally
}
