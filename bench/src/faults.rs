//! `everwire-bench faults`: what clients lose when backends end, with each proxy in between.
//!
//! Every message is numbered and hashed both ways. Clients dial again every 50 ms and never resend,
//! so with a proxy that drops sockets the table shows what an application without its own recovery
//! loses. Everwire is played a second time with backends that take part in exactly-once, and then
//! nothing may be doubled either. The control runs prove that the checker sees what it should; if one of them does not
//! fail as it must, the whole table is void.
//!
//! `everwire-bench faults hub` is the same question for hubs on several nodes.

pub(crate) mod backend;
pub(crate) mod clients;
mod durable;
mod hub;
pub(crate) mod judge;
mod message;
pub(crate) mod record;
mod scenario;
pub(crate) mod stage;
mod store;
mod tamper;

use std::io::Write as _;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::gateway::Subjects;
use crate::proxy::{Kind, Setup};
use crate::rounds::Subject as _;
use crate::table;
use judge::{Millis, Verdict, judge};
use scenario::{Promise, Scenario};
use stage::{Control, Play};

/// What to play.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    subject: Option<Subject>,
    /// A smoke run: two rounds of restarts instead of ten.
    #[arg(long)]
    quick: bool,
    /// Only this fault; may be repeated. The control runs are always part of it.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds of the rolling restarts.
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Everwire's delivery mode in front of backends that take no part in exactly-once; its
    /// default where none is given.
    #[arg(long, value_name = "MODE", value_parser = ["at-least-once", "at-most-once"])]
    delivery: Option<String>,
    #[command(flatten)]
    subjects: Subjects,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Whose faults, if not the gateway's backends'.
#[derive(Debug, clap::Subcommand)]
enum Subject {
    /// What a hub's clients lose when Redis, nodes or networks fail.
    Hub(hub::Options),
}

/// One row of the table.
#[derive(Debug, Serialize)]
struct Row {
    fault: &'static str,
    proxy: &'static str,
    #[serde(flatten)]
    verdict: Verdict,
    /// What was promised and not kept, or not found by a control run.
    broken: Vec<String>,
}

/// Everything a run of the command has to say.
#[derive(Debug, Serialize)]
struct Outcome {
    controls: Vec<Row>,
    rows: Vec<Row>,
    /// A control run did not fail as it must: the rows prove nothing.
    void: bool,
}

/// Plays the controls, then every fault with every proxy in turn, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(Subject::Hub(options)) = &options.subject {
        return hub::run(options);
    }
    let mut setup = options.subjects.setup()?;
    setup.delivery.clone_from(&options.delivery);
    let controls = play_controls(&setup)?;
    let rounds = if options.quick { 2 } else { options.rounds };
    let mut rows = Vec::new();
    for scenario in scenario::chosen(&options.only, rounds)? {
        for kind in options.subjects.proxies.iter().filter(|kind| Kind::PRODUCTS.contains(kind)) {
            rows.push(play_one(*kind, &setup, &scenario)?);
            if *kind == Kind::Everwire {
                rows.push(play_one(*kind, &setup, &scenario.exactly_once())?);
            }
        }
    }
    let void = controls.iter().any(|control| !control.broken.is_empty());
    let broken = rows.iter().any(|row| !row.broken.is_empty());
    let outcome = Outcome { controls, rows, void };
    let text = if options.json { serde_json::to_string_pretty(&outcome)? } else { show(&outcome) };
    writeln!(std::io::stdout(), "{text}")?;
    if void {
        bail!("the run is void: a control run did not fail as it must");
    }
    if broken {
        bail!("Everwire broke a promise");
    }
    Ok(())
}

fn play_controls(setup: &Setup) -> Result<Vec<Row>> {
    let kill = scenario::kill();
    let mut rows = Vec::new();
    for control in [Control::None, Control::Resend, Control::Ignore, Control::Tamper] {
        let script = match control {
            Control::Tamper => scenario::quiet(),
            Control::None | Control::Resend | Control::Ignore => kill.play.script.clone(),
        };
        let durable = control == Control::Ignore;
        let play = Play { control, script, durable, ..kill.play.clone() };
        let seen = stage::play(Kind::Direct, setup, &play)?;
        let verdict = judge(seen.records.clone());
        let (fault, broken) = match control {
            Control::None => ("no buffering", must_show("drops", verdict.dropped)),
            Control::Resend => ("no dedup", must_show("doubles", verdict.doubled)),
            Control::Ignore => ("account ignored", must_show("doubles", verdict.doubled)),
            Control::Tamper => ("tampering", tamper::missed(&seen.records, &verdict)),
        };
        progress(fault, Kind::Direct.name(), &verdict)?;
        rows.push(Row { fault, proxy: Kind::Direct.name(), verdict, broken });
    }
    Ok(rows)
}

fn must_show(what: &str, count: u64) -> Vec<String> {
    if count == 0 { vec![format!("no {what}")] } else { Vec::new() }
}

fn play_one(kind: Kind, setup: &Setup, scenario: &Scenario) -> Result<Row> {
    let mut setup = setup.clone();
    setup.ping = scenario.ping;
    let mut proxy = kind.name();
    if scenario.play.durable {
        setup.delivery = Some(String::from("exactly-once"));
        proxy = EXACTLY_ONCE;
    }
    let verdict = judge(stage::play(kind, &setup, &scenario.play)?.records);
    progress(scenario.name, proxy, &verdict)?;
    let broken = match kind {
        Kind::Everwire => broken(&verdict, scenario.promise),
        _ => Vec::new(),
    };
    Ok(Row { fault: scenario.name, proxy, verdict, broken })
}

fn broken(verdict: &Verdict, promise: Promise) -> Vec<String> {
    let doubled = match promise {
        Promise::NothingDoubled => verdict.doubled,
        Promise::AtLeastOnce => 0,
    };
    let counts = [
        ("dropped", verdict.dropped),
        ("lost", verdict.lost()),
        ("reordered", verdict.reordered),
        ("torn", verdict.torn),
        ("doubled", doubled),
    ];
    let broken = counts.into_iter().filter(|(_, count)| *count > 0);
    broken.map(|(what, count)| format!("{count} {what}")).collect()
}

fn progress(fault: &str, proxy: &str, verdict: &Verdict) -> Result<()> {
    let (dropped, lost, doubled) = (verdict.dropped, verdict.lost(), verdict.doubled);
    let line = format!("{fault}, {proxy}: {dropped} dropped, {lost} lost, {doubled} doubled");
    Ok(writeln!(std::io::stderr(), "{line}")?)
}

fn show(outcome: &Outcome) -> String {
    let heading = [
        "fault",
        "proxy",
        "sent",
        "dropped",
        "lost",
        "doubled",
        "reordered",
        "torn",
        "unanswered",
        "recovery p50/p99/max ms",
        "silence p50/p99/max ms",
        "",
    ];
    let mut cells = vec![heading.map(String::from).to_vec()];
    cells.extend(outcome.controls.iter().map(|row| row_cells(row, "control")));
    cells.extend(outcome.rows.iter().map(|row| row_cells(row, "")));
    let mut text = table::render(&cells);
    if outcome.void {
        text.push_str("VOID: a control run did not fail as it must.\n");
    }
    text
}

fn row_cells(row: &Row, remark: &str) -> Vec<String> {
    let verdict = &row.verdict;
    let counts = [
        verdict.sent,
        verdict.dropped,
        verdict.lost(),
        verdict.doubled,
        verdict.reordered,
        verdict.torn,
        verdict.unanswered,
    ];
    let mut cells = vec![String::from(row.fault), String::from(row.proxy)];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([millis(&verdict.recoveries), millis(&verdict.silences)]);
    cells.push(if row.broken.is_empty() {
        String::from(remark)
    } else {
        format!("BROKEN: {}", row.broken.join(", "))
    });
    cells
}

fn millis(millis: &Millis) -> String {
    let shown = [0.5, 0.99, 1.0].map(|share| millis.at(share).map(|value| format!("{value:.0}")));
    match shown {
        [Some(p50), Some(p99), Some(max)] => format!("{p50} / {p99} / {max}"),
        _ => String::from("-"),
    }
}

/// Everwire in front of backends that store what they take.
const EXACTLY_ONCE: &str = "everwire exactly-once";
