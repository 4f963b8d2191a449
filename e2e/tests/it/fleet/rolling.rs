//! Twenty agent processes are replaced one after the other while commands go out.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use everwire_testkit::{
    everwire::{Everwire, Folder},
    process::Process,
    wait::eventually_within,
};
use serde_json::{Value, json};

use super::{
    programs::Agent,
    stage::{
        COMMANDS, PATIENCE, accepted, alone, finished, instances, name, outcomes, present_become,
    },
};

/// An agent that writes down each command that it carries out.
struct Member {
    index: usize,
    folder: PathBuf,
    process: Process,
}

impl Member {
    fn start(manager: &Everwire, index: usize, folder: &Path, version: u32) -> Self {
        let folder = folder.join(index.to_string());
        fs::create_dir_all(&folder).expect("the test's folder can be written");
        let note = format!("exec:echo \"$N\" >> {}", folder.join("done").display());
        let agent = Agent::of(manager.address(), "shop", index, &folder.join("state"));
        let agent = agent.with("--version", version).with("--on", note);
        Self { index, process: agent.beside(&["sleep", "100000"]), folder }
    }

    /// The commands that it has carried out, as often as it has.
    fn done(&self) -> BTreeMap<String, usize> {
        let lines = fs::read_to_string(self.folder.join("done")).unwrap_or_default();
        let mut done = BTreeMap::new();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            *done.entry(line.to_owned()).or_default() += 1;
        }
        done
    }
}

/// Every third is killed, the others are told to end.
#[tokio::test]
async fn a_rolling_update_during_commands_executes_nothing_twice_and_loses_nothing_acknowledged() {
    let (mut manager, folder) = (Everwire::start(&alone()).await, Folder::new());
    let mut members: Vec<_> =
        (0..COUNT).map(|index| Member::start(&manager, index, &folder.0, 1)).collect();
    present_become_soon(&manager, COUNT, "1").await;
    let mut ids = Vec::new();
    for (index, member) in members.iter_mut().enumerate() {
        ids.push(environment(&manager, ids.len()).await);
        if index % 3 == 0 {
            member.process.kill();
        } else {
            member.process.terminate();
            member.process.ended().await;
        }
        ids.push(environment(&manager, ids.len()).await);
        if index == COUNT / 2 {
            manager.kill_and_restart().await;
        }
        *member = Member::start(&manager, index, &folder.0, 2);
        ids.push(environment(&manager, ids.len()).await);
        updated(&manager, index).await;
    }
    present_become(&manager, COUNT).await;
    for (number, id) in ids.iter().enumerate() {
        let state = finished(&manager, id).await;
        assert_eq!(state["missing"], json!([]), "{state}");
        judge(number, &outcomes(&state), &members);
    }
    for member in &members {
        assert!(member.done().len() >= ids.len() / 2, "{}: {:?}", member.index, member.done());
        assert!(member.done().values().all(|&times| times == 1), "{:?}", member.done());
    }
}

/// What is said to be done was done once, and what was interrupted was not begun again.
fn judge(number: usize, outcomes: &BTreeMap<String, Value>, members: &[Member]) {
    for member in members {
        let times = member.done().get(&number.to_string()).copied().unwrap_or_default();
        let outcome = outcomes.get(&name(member.index));
        match outcome.and_then(|outcome| outcome["outcome"].as_str()) {
            Some("done") => assert_eq!(times, 1, "{number} at {}", member.index),
            Some("interrupted" | "failed") => assert!(times <= 1, "{number} at {}", member.index),
            Some(other) => panic!("{number} at {}: {other}", member.index),
            // It had said goodbye when this was accepted.
            None => assert_eq!(times, 0, "{number} at {}", member.index),
        }
    }
}

async fn environment(manager: &Everwire, number: usize) -> String {
    let command =
        json!({ "target": "shop", "name": "environment", "args": [format!("N={number}")] });
    accepted(&manager.ask("POST", COMMANDS, Some(&command)).await)
}

async fn updated(manager: &Everwire, index: usize) {
    let what = format!("the new {}", name(index));
    eventually_within(PATIENCE, &what, async || {
        let all = instances(manager).await;
        let one = all.iter().find(|one| one["name"] == name(index))?;
        (one["version"] == "2" && one["state"] == "present").then_some(())
    })
    .await;
}

async fn present_become_soon(manager: &Everwire, count: usize, version: &str) {
    eventually_within(PATIENCE, "all agents", async || {
        let all = instances(manager).await;
        let present =
            all.iter().filter(|one| one["state"] == "present" && one["version"] == version);
        (present.count() == count).then_some(())
    })
    .await;
}

const COUNT: usize = 20;
