//! `everwire-bench faults hub`: what a hub's clients lose when Redis, nodes or networks fail.
//!
//! Three `everwire serve` over a Redis, publishers at a steady pace, receivers that check every
//! number, and one fault at a time. Bare Redis publish/subscribe stands beside them and meets the same
//! faults. Two controls decide whether the table counts: the checker has to find what a receiver is
//! made to miss, hear twice and hear late, and publish/subscribe has to lose something.

mod anchor;
mod announced;
mod cable;
mod crowd;
mod http;
mod judge;
mod node;
mod pace;
mod poison;
mod polling;
mod publisher;
mod receiver;
mod redis;
mod report;
mod resident;
mod scenario;
mod scene;
mod slow;
mod stage;
mod stateful;
mod talk;
mod tamper;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::program::{everwire, find};
use judge::{Verdict, judge};
use report::{Outcome, Row};
use scenario::{Play, Scenario};

/// What to play.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this row of the matrix, such as B1; may be repeated. The controls are always part of it.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// How often each row is played; the counts are added up, and the longest times stand.
    #[arg(long, default_value_t = 1)]
    rounds: u64,
    /// With the faults that last half a minute and longer, and a thousand clients of one group.
    #[arg(long)]
    full: bool,
    /// The `everwire` binary; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    everwire_bin: Option<PathBuf>,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Plays the controls, then every row, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let everwire = everwire(options.everwire_bin.as_ref())?;
    let mut scenarios = scenario::chosen(&options.only, options.full)?;
    let mut outcome = Outcome::default();
    if find("faketime", "faketime").is_err() {
        scenarios.retain(|scenario| scenario.play.settings.skew.is_none());
        outcome.left_out.push("B13: faketime is not installed");
    }
    for control in [tampered(&everwire)?, bare(&everwire)?] {
        progress(&control)?;
        outcome.controls.push(control);
    }
    for scenario in &scenarios {
        for row in rows(&everwire, scenario, options.rounds)? {
            progress(&row)?;
            outcome.rows.push(row);
        }
    }
    let text = if options.json { serde_json::to_string_pretty(&outcome)? } else { outcome.show() };
    writeln!(std::io::stdout(), "{text}")?;
    if outcome.is_void() {
        bail!("the run is void: a control did not fail as it must");
    }
    if outcome.is_broken() {
        bail!("Everwire broke a promise");
    }
    Ok(())
}

/// A receiver that misses, doubles and swaps: the checker has to find exactly that.
fn tampered(everwire: &Path) -> Result<Row> {
    let mut seen = stage::play(everwire, &scenario::quiet()).context("a control run")?;
    let done = tamper::tamper(&mut seen.evidence);
    let verdict = judge(&seen.evidence);
    let broken = done.missed(&verdict);
    Ok(Row::new("-", "tampered receiver", "control", verdict).with(Vec::new(), broken))
}

/// Publish/subscribe without anything around it loses what is said while nobody listens.
fn bare(everwire: &Path) -> Result<Row> {
    let seen = stage::play(everwire, &scenario::control()).context("a control run")?;
    let anchor = seen.anchor.context("a control without its anchor")?;
    let verdict = judge(&anchor);
    let broken = if verdict.silent == 0 { vec![String::from("nothing lost")] } else { Vec::new() };
    Ok(Row::new("-", "redis killed", "bare pub/sub, control", verdict).with(Vec::new(), broken))
}

fn rows(everwire: &Path, scenario: &Scenario, rounds: u64) -> Result<Vec<Row>> {
    let mut own: Option<Row> = None;
    let mut bare: Option<Row> = None;
    for _ in 0..rounds.max(1) {
        let seen = stage::play(everwire, &scenario.play)
            .with_context(|| format!("{} {}", scenario.row, scenario.name))?;
        let verdict = judge(&seen.evidence);
        let mut broken = broken(&verdict, &scenario.play);
        broken.extend(seen.broken);
        let mut notes = seen.notes;
        notes.extend(scenario.play.not_promised.map(String::from));
        let row = Row::new(scenario.row, scenario.name, "everwire", verdict);
        report::add(&mut own, row.with(notes, broken));
        if let Some(anchor) = seen.anchor {
            let row = Row::new(scenario.row, scenario.name, "bare pub/sub", judge(&anchor));
            report::add(&mut bare, row);
        }
    }
    Ok(own.into_iter().chain(bare).collect())
}

/// What must not have happened in any row.
fn broken(verdict: &Verdict, play: &Play) -> Vec<String> {
    let false_leaves = if play.may_expire { 0 } else { verdict.false_leaves };
    let silent = if play.not_promised.is_some() { 0 } else { verdict.silent };
    let counts = [
        ("lost silently", silent),
        ("doubled", verdict.doubled),
        ("reordered", verdict.reordered),
        ("false leaves", false_leaves),
        ("ghosts", verdict.ghosts),
    ];
    let mut broken: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    if verdict.ghost_ms.is_some_and(|millis| millis > GHOST_MAX_MS) {
        broken.push(String::from("a ghost outlived two leases"));
    }
    broken
}

fn progress(row: &Row) -> Result<()> {
    let Verdict { silent, announced, doubled, reordered, .. } = row.verdict;
    let Row { row: id, fault, who, broken, .. } = row;
    let mut line = format!(
        "{id} {fault}, {who}: {silent} lost silently, {announced} announced, {doubled} doubled, \
         {reordered} reordered"
    );
    if !broken.is_empty() {
        line.push_str(&format!("; BROKEN: {}", broken.join(", ")));
    }
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

/// Two leases of a node.
const GHOST_MAX_MS: f64 = 20_000.0;
