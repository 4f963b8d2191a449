//! How long it takes until every instance has answered a command, and has heard of a change.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Bench;
use super::manager::Manager;
use crate::clock;
use crate::control::Helper;
use crate::load::instances::{Order, Tally};
use crate::process::hasten;
use crate::rounds::Reading;
use crate::stats::Spread;

/// From sending a command to the admin API's word that it is finished, with all instances connected.
pub(super) fn command(bench: &Bench) -> Result<Reading> {
    let manager = Manager::start(bench)?;
    let mut load = manager.instances(APP, bench.instances, None)?;
    hasten(&manager.pids())?;
    hasten(&load.family())?;
    // The first is not counted: whatever grows once has grown then.
    answered(bench, &manager, &mut load, 1)?;
    let (mut millis, mut answers) = (Vec::new(), Vec::new());
    let before = manager.processor_time()?;
    for number in 0..bench.repeats {
        let (all, last) = answered(bench, &manager, &mut load, number as u64 + 2)?;
        millis.push(all);
        answers.push(last);
    }
    let spent = manager.processor_time()?.saturating_sub(before).as_secs_f64() * 1e6;
    let outcomes = bench.repeats as f64 * bench.instances as f64;
    let all = Spread::of(millis).context("no command")?;
    let answers = Spread::of(answers).context("no command")?;
    Ok(Reading(vec![
        ("p50_ms", all.median),
        ("max_ms", all.max),
        ("answered_ms", answers.median),
        ("cpu_us", spent / outcomes),
    ]))
}

/// Milliseconds of one command: until it is finished, and until the last instance had answered.
fn answered(
    bench: &Bench,
    manager: &Manager,
    load: &mut Helper,
    number: u64,
) -> Result<(f64, f64)> {
    let (start, wall) = (clock::now(), clock::wall_nanos());
    let command = json!({ "target": APP, "name": "refresh", "args": [number] });
    let accepted = manager.ask("POST", "commands", Some(&command))?;
    let id = accepted["id"].as_str().context("a command without an id")?;
    let path = format!("commands/{id}?outcomes=none");
    let state = loop {
        let state = manager.ask("GET", &path, None)?;
        if state["state"] != "running" {
            break state;
        }
        ensure!(start.elapsed() < PATIENCE, "not finished: {}", state["counts"]);
        sleep(POLL);
    };
    let took = start.elapsed();
    ensure!(state["counts"]["done"] == bench.instances, "not done by all: {}", state["counts"]);
    let tally: Tally = load.ask(&serde_json::to_string(&Order::Answered)?)?;
    let (count, wanted) = (tally.count, number * bench.instances);
    ensure!(count == wanted, "{count} answers instead of {wanted}");
    Ok((took.as_secs_f64() * 1000.0, tally.last_nanos.saturating_sub(wall) as f64 / 1e6))
}

/// From changing a set to the last of its watchers having heard of it.
pub(super) fn change(bench: &Bench) -> Result<Reading> {
    let manager = Manager::start(bench)?;
    changed(&manager, 0)?;
    let mut load = manager.instances(APP, bench.instances, Some(SET))?;
    hasten(&manager.pids())?;
    hasten(&load.family())?;
    heard(bench, &mut load, changed(&manager, 1)?)?;
    let mut millis = Vec::new();
    let before = manager.processor_time()?;
    for number in 0..bench.repeats {
        let wall = clock::wall_nanos();
        let version = changed(&manager, number + 2)?;
        let last = heard(bench, &mut load, version)?.last_nanos;
        millis.push(last.saturating_sub(wall) as f64 / 1e6);
    }
    let spent = manager.processor_time()?.saturating_sub(before).as_secs_f64() * 1e6;
    let told = bench.repeats as f64 * bench.instances as f64;
    let last = Spread::of(millis).context("no change")?;
    Ok(Reading(vec![("p50_ms", last.median), ("max_ms", last.max), ("cpu_us", spent / told)]))
}

fn changed(manager: &Manager, number: usize) -> Result<u64> {
    let changes = json!({ "changes": { "LEVEL": format!("{number:0>64}") } });
    let state: Value = manager.ask("PATCH", &format!("sets/{SET}"), Some(&changes))?;
    state["version"].as_u64().context("a set without a version")
}

fn heard(bench: &Bench, load: &mut Helper, version: u64) -> Result<Tally> {
    let tally: Tally = load.ask(&serde_json::to_string(&Order::Heard(version))?)?;
    let (count, wanted) = (tally.count, bench.instances);
    ensure!(count == wanted, "{count} instances heard of version {version} instead of {wanted}");
    Ok(tally)
}

const APP: &str = "bench";
const SET: &str = "bench/prod";
/// Seldom enough to leave the processor to what is measured.
const POLL: Duration = Duration::from_millis(5);
/// A command that takes longer is not finished.
const PATIENCE: Duration = Duration::from_secs(40);
