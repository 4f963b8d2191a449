//! Each change of a set is told once to each of its watchers, on one, two and three nodes, while nodes
//! and their Redis are killed.

use std::{collections::BTreeMap, time::Duration};

use everwire_testkit::{
    everwire::Everwire,
    http::attempt,
    need,
    redis::{DURABLE, Server},
    tools,
    versions::{Told, Values, Verdict, judge},
    wait::{eventually, eventually_within},
};
use serde_json::{Value, json};

use super::{
    stage::{SETS, alone, sharing},
    watchers::{SET, Watcher},
};

/// Nodes, their watchers, and every version that the set has had.
struct Scene {
    redis: Option<Server>,
    nodes: Vec<Everwire>,
    watchers: Vec<Watcher>,
    history: BTreeMap<u64, Values>,
    number: u64,
}

impl Scene {
    async fn begin(count: usize, redis: Option<Server>) -> Option<Self> {
        let (node, python) = tools::node().and_then(|node| Ok((node, tools::python()?))).ok()?;
        let mut nodes = Vec::new();
        for _ in 0..count {
            let setup = redis.as_ref().map_or_else(alone, |redis| sharing(&redis.url()));
            nodes.push(Everwire::start(&setup).await);
        }
        let (watchers, history) = (Vec::new(), BTreeMap::new());
        let mut scene = Self { redis, nodes, watchers, history, number: 0 };
        scene.change().await;
        for (index, at) in scene.nodes.iter().enumerate() {
            scene.watchers.extend(Watcher::all_makes(at, &node, &python, index).await);
        }
        scene.all_reach_the_last().await;
        Some(scene)
    }

    /// Makes one more version, at whichever node takes it.
    async fn change(&mut self) {
        self.number += 1;
        let number = self.number;
        let mut changes = json!({ "N": number.to_string() });
        let mut values = Values::from([("N".to_owned(), number.to_string())]);
        match number % 10 {
            5 => {
                changes["EXTRA"] = "é\n\"".into();
                values.insert("EXTRA".to_owned(), "é\n\"".to_owned());
            }
            6 => changes["EXTRA"] = Value::Null,
            _ => {}
        }
        let mut turn = number as usize;
        let version = eventually_within(OUTAGE_MAX, "a change that is accepted", async || {
            turn += 1;
            let admin = self.nodes[turn % self.nodes.len()].admin();
            let body = json!({ "changes": changes });
            let answer = attempt(admin, "PATCH", &format!("{SETS}/{SET}"), &body).await?;
            // Told again, it changes nothing, and is the same version.
            if answer.status == 200 { answer.json()["version"].as_u64() } else { None }
        })
        .await;
        self.history.insert(version, values);
    }

    async fn changes(&mut self, count: u64) {
        for _ in 0..count {
            self.change().await;
            // Whoever is called again whenever it ends, is called.
            self.watchers.iter_mut().for_each(|one| drop(one.told()));
        }
    }

    async fn all_reach_the_last(&mut self) {
        let last = self.history.keys().next_back().copied();
        for (at, watcher) in self.watchers.iter_mut().enumerate() {
            let what = format!("watcher {at} at version {last:?}");
            let reached = async || (watcher.version() == last).then_some(());
            eventually_within(OUTAGE_MAX, &what, reached).await;
        }
    }

    /// Kills each node in turn while changes go on where there is another, and Redis too.
    async fn kill_everybody(&mut self) {
        self.changes(10).await;
        for at in 0..self.nodes.len() {
            self.nodes[at].process().kill();
            if self.nodes.len() > 1 {
                self.changes(10).await;
            }
            self.nodes[at].restart().await;
            self.changes(10).await;
            if let Some(redis) = &mut self.redis {
                redis.kill_and_restart().await;
            }
            self.changes(10).await;
            self.all_reach_the_last().await;
        }
    }

    fn verdicts(&mut self) -> Vec<Verdict> {
        let history = &self.history;
        self.watchers.iter_mut().map(|one| judge(&one.told(), history)).collect()
    }

    /// Every version once to everybody; who says where it was has needed no state anew.
    async fn everybody_was_told_once(&mut self) {
        // What would come twice would come before this.
        self.changes(2).await;
        self.all_reach_the_last().await;
        assert_eq!(self.history.len() as u64, self.number, "a version for each change");
        for (at, verdict) in self.verdicts().into_iter().enumerate() {
            assert!(verdict.is_clean(), "watcher {at}: {verdict:?}");
            if self.watchers[at].goes_on() {
                let (changes, snapshots) = (self.number - 1, 0);
                assert_eq!(verdict, Verdict { changes, snapshots, ..Verdict::default() });
            }
        }
    }
}

#[tokio::test]
async fn each_change_is_told_once_by_a_node_alone_that_is_killed() {
    let _ = (need!(tools::node()), need!(tools::python()));
    let mut scene = Scene::begin(1, None).await.expect("the tools are there");
    scene.kill_everybody().await;
    scene.everybody_was_told_once().await;
}

#[tokio::test]
async fn each_change_is_told_once_by_one_node_on_a_redis_while_both_are_killed() {
    with_redis(1).await;
}

#[tokio::test]
async fn each_change_is_told_once_by_two_nodes_while_they_and_their_redis_are_killed() {
    with_redis(2).await;
}

#[tokio::test]
async fn each_change_is_told_once_by_three_nodes_while_they_and_their_redis_are_killed() {
    with_redis(3).await;
}

async fn with_redis(count: usize) {
    let _ = (need!(tools::node()), need!(tools::python()));
    let redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let mut scene = Scene::begin(count, Some(redis)).await.expect("the tools are there");
    scene.kill_everybody().await;
    scene.everybody_was_told_once().await;
}

/// Redis alone is killed: nobody is dropped, so nobody may need a state anew, whoever it is.
#[tokio::test]
async fn pred_k18_a_redis_that_is_killed_costs_no_watcher_a_change_or_a_connection() {
    let _ = (need!(tools::node()), need!(tools::python()));
    let redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let mut scene = Scene::begin(3, Some(redis)).await.expect("the tools are there");
    for _ in 0..5 {
        scene.changes(5).await;
        scene.redis.as_mut().expect("it is there").kill_and_restart().await;
        scene.changes(5).await;
    }
    scene.everybody_was_told_once().await;
    for verdict in scene.verdicts() {
        assert_eq!(verdict, Verdict { changes: scene.number - 1, ..Verdict::default() });
    }
}

/// What the judge says of what watchers were really told, once that has been tampered with.
#[tokio::test]
async fn control_a_change_that_is_left_out_or_told_twice_is_found() {
    let _ = (need!(tools::node()), need!(tools::python()));
    let mut scene = Scene::begin(1, None).await.expect("the tools are there");
    scene.changes(12).await;
    scene.all_reach_the_last().await;
    for watcher in &mut scene.watchers {
        let whole = eventually("twelve changes", async || {
            Some(watcher.told()).filter(|told| told.len() == 13)
        })
        .await;
        assert!(judge(&whole, &scene.history).is_clean());
        let tampered = |tamper: fn(&mut Vec<Told>)| {
            let mut told = whole.clone();
            tamper(&mut told);
            judge(&told, &scene.history)
        };
        assert_eq!(tampered(|told| drop(told.remove(6))).lost, 1);
        assert_eq!(tampered(|told| told.insert(6, told[6].clone())).doubled, 1);
        assert_ne!(tampered(|told| told.swap(6, 7)).lost, 0);
        assert_eq!(tampered(|told| told.truncate(7)).lost, 6);
    }
}

/// Nodes and Redis come back within this, and everybody who was cut.
const OUTAGE_MAX: Duration = Duration::from_secs(60);
