//! The faults, as data.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::stage::{Control, Play, Step};

/// One fault.
#[derive(Clone)]
pub(super) struct Scenario {
    /// The name for `--only` and the table.
    pub(super) name: &'static str,
    pub(super) promise: Promise,
    /// Everwire's ping interval and timeout, where its default is longer than the fault.
    pub(super) ping: Option<Duration>,
    pub(super) play: Play,
}

/// What Everwire promises beyond no drop, no loss, no reordering and nothing torn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// A crash may double what was taken and not confirmed.
    AtLeastOnce,
    /// A backend that says goodbye gives nothing a reason to be doubled, and one that stores what
    /// it takes knows what it has.
    NothingDoubled,
}

impl Scenario {
    /// The same fault with backends that store what they take: exactly once.
    pub(super) fn exactly_once(&self) -> Self {
        let play = Play { durable: true, ..self.play.clone() };
        Self { promise: Promise::NothingDoubled, play, ..self.clone() }
    }
}

/// The faults asked for, all if none is.
pub(super) fn chosen(only: &[String], rounds: u64) -> Result<Vec<Scenario>> {
    let mut all = vec![
        kill(),
        Scenario { name: "both down 3 s", ..scenario(2, both_down()) },
        Scenario { name: "hang 4 s", ping: Some(seconds(1)), ..scenario(2, hang()) },
        Scenario {
            name: "rolling restart",
            promise: Promise::NothingDoubled,
            ..scenario(3, rolling(rounds, |number| vec![Step::Restart(number)]))
        },
        Scenario { name: "rolling kill", ..scenario(3, rolling(rounds, killed)) },
    ];
    for name in only {
        let known: Vec<&str> = all.iter().map(|scenario| scenario.name).collect();
        ensure!(known.contains(&name.as_str()), "no fault {name}; there are {}", known.join(", "));
    }
    all.retain(|scenario| only.is_empty() || only.iter().any(|name| name == scenario.name));
    Ok(all)
}

/// One of two backends is killed and back after a second.
pub(super) fn kill() -> Scenario {
    let script = vec![
        Step::Pause(BEFORE),
        Step::Kill(0),
        Step::Pause(seconds(1)),
        Step::Start(0),
        Step::Pause(seconds(3)),
    ];
    Scenario { name: "kill", ..scenario(2, script) }
}

/// Nothing happens, for long enough that a tampered run has said everything.
pub(super) fn quiet() -> Vec<Step> {
    vec![Step::Pause(seconds(4))]
}

fn both_down() -> Vec<Step> {
    let mut script = vec![Step::Pause(BEFORE), Step::Kill(0), Step::Kill(1)];
    script.extend([Step::Pause(seconds(3)), Step::Start(0), Step::Start(1)]);
    script.push(Step::Pause(seconds(6)));
    script
}

fn hang() -> Vec<Step> {
    vec![
        Step::Pause(BEFORE),
        Step::Stop(0),
        Step::Pause(seconds(4)),
        Step::Continue(0),
        Step::Pause(seconds(3)),
    ]
}

fn killed(number: u64) -> Vec<Step> {
    vec![Step::Kill(number), Step::Pause(BETWEEN), Step::Start(number)]
}

fn rolling(rounds: u64, restart: impl Fn(u64) -> Vec<Step>) -> Vec<Step> {
    let mut script = vec![Step::Pause(BEFORE)];
    for number in (0..rounds).flat_map(|_| 0..3) {
        script.extend(restart(number));
        script.push(Step::Pause(BETWEEN));
    }
    script.push(Step::Pause(seconds(2)));
    script
}

fn scenario(backends: u64, script: Vec<Step>) -> Scenario {
    let play = Play {
        backends,
        clients: 200,
        interval: Duration::from_millis(50),
        work: Duration::from_millis(6),
        durable: false,
        control: Control::None,
        self_help: false,
        script,
    };
    Scenario { name: "", promise: Promise::AtLeastOnce, ping: None, play }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The conversation before the first fault.
const BEFORE: Duration = Duration::from_secs(2);
/// Between two steps of a rolling restart.
const BETWEEN: Duration = Duration::from_millis(300);
