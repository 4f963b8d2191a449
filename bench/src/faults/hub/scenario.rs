//! The rows, as data.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cable::{Condition, Way};
use super::crowd::{Cast, Ears};
use super::node::Settings;

/// One row of the matrix, struck in one way.
#[derive(Clone)]
pub(super) struct Scenario {
    /// Its row in the matrix of faults.
    pub(super) row: &'static str,
    pub(super) name: &'static str,
    pub(super) play: Play,
}

/// What is played.
#[derive(Debug, Clone)]
pub(super) struct Play {
    /// Redis confirms only what is on its disk.
    pub(super) is_durable: bool,
    pub(super) settings: Settings,
    pub(super) cast: Cast,
    /// Bare publish and subscribe meet the same fault.
    pub(super) anchor: bool,
    /// Why what is lost silently here is not promised otherwise.
    pub(super) not_promised: Option<&'static str>,
    /// A node is away for longer than its lease, and the others rightly give it up.
    pub(super) may_expire: bool,
    pub(super) script: Vec<Step>,
}

/// One thing that happens. Nodes are named by their number, and so are their cables.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Pause(Duration),
    /// Recovery is counted from here.
    Fault,
    /// SIGKILL.
    KillRedis,
    StartRedis,
    /// SIGSTOP.
    StopRedis,
    /// SIGCONT.
    ContinueRedis,
    /// `CLIENT PAUSE` for so many seconds.
    PauseClients(u64),
    /// `CLIENT KILL` of everybody who is connected.
    KillClients,
    /// What one answer of Redis may have waiting, in bytes, before its client is cut off.
    LimitOutput(u64),
    /// Something happens between a node and Redis.
    Cable(usize, Condition),
    /// Something happens between all receivers and their nodes.
    Fronts(Condition),
    /// SIGKILL.
    KillNode(usize),
    /// SIGTERM, and started again when it has ended.
    RestartNode(usize),
    /// The node has to say that the backplane is away, and the others that it is not.
    IsAway(usize),
    /// The node must have lost a connection to Redis by now, or there was no fault.
    WasCut(usize),
    /// Entries that are none.
    Poison,
    /// What a newer node writes.
    Newer,
    /// The memory of each node is looked at, and that something was refused.
    Memory,
    /// Another phase begins, whose latencies are compared.
    Phase,
    /// A receiver comes that reads nothing for so many seconds, and has been closed then.
    Slow(u64),
}

/// The rows asked for, all if none is; with the long ones or without.
pub(super) fn chosen(only: &[String], is_full: bool) -> Result<Vec<Scenario>> {
    let mut all = rows(is_full);
    for name in only {
        let known: Vec<&str> = all.iter().map(|scenario| scenario.row).collect();
        ensure!(known.contains(&name.as_str()), "no row {name}; there are {}", known.join(", "));
    }
    all.retain(|scenario| only.is_empty() || only.iter().any(|name| name == scenario.row));
    Ok(all)
}

fn rows(is_full: bool) -> Vec<Scenario> {
    let mut rows = redis(is_full);
    rows.extend(networks(is_full));
    rows.extend(nodes());
    rows.extend(clients(is_full));
    rows.extend(strangers());
    rows.sort_by_key(|scenario| scenario.row[1..].parse::<u64>().unwrap_or(0));
    rows
}

/// The Redis itself is struck.
fn redis(is_full: bool) -> Vec<Scenario> {
    let mut rows = vec![
        redis_killed(0, false).named("B1", "redis killed, back at once"),
        redis_killed(2, false).named("B1", "redis killed, back after 2 s"),
        redis_killed(0, true).named("B1", "durable redis killed, back at once"),
        redis_killed(2, true).named("B1", "durable redis killed, back after 2 s"),
        struck(&[Step::StopRedis, Step::Pause(secs(5)), Step::ContinueRedis], 3)
            .named("B2", "redis stopped for 5 s"),
        struck(&[Step::PauseClients(5), Step::Pause(secs(5))], 3)
            .named("B2", "CLIENT PAUSE for 5 s"),
        struck(
            &[
                Step::KillClients,
                Step::Pause(secs(1)),
                Step::KillClients,
                Step::Pause(secs(1)),
                Step::KillClients,
            ],
            3,
        )
        .named("B4", "CLIENT KILL, three times"),
        Play { anchor: false, ..output_limit() }.named("B4", "cut off for 96 KiB of output"),
    ];
    if is_full {
        rows.push(redis_killed(30, false).named("B1", "redis killed, back after 30 s"));
        rows.push(redis_killed(30, true).named("B1", "durable redis killed, back after 30 s"));
    }
    rows
}

/// What lies between nodes and Redis is struck.
fn networks(is_full: bool) -> Vec<Scenario> {
    let lost = |way| partition(Condition::Lost(way), 5, &[]);
    let mut rows = vec![
        partition(Condition::Held, 5, &[]).named("B3", "one node's packets held for 5 s"),
        partition(Condition::Cut, 5, &[Step::IsAway(0)]).named("B3", "one node cut off for 5 s"),
        lost(Way::Back).named("B8", "one node hears nothing for 5 s"),
        lost(Way::There).named("B8", "one node is not heard for 5 s"),
    ];
    if is_full {
        let long = Play { may_expire: true, ..partition(Condition::Cut, 60, &[Step::IsAway(0)]) };
        rows.push(long.named("B3", "one node cut off for 60 s"));
    }
    rows
}

/// Nodes are struck.
fn nodes() -> Vec<Scenario> {
    let killed = struck(&[Step::KillNode(1)], 15);
    let rolled = struck(
        &[
            Step::RestartNode(0),
            Step::Pause(secs(2)),
            Step::RestartNode(1),
            Step::Pause(secs(2)),
            Step::RestartNode(2),
        ],
        3,
    );
    let rolled = Play { anchor: false, ..rolled };
    let skewed = Settings { skew: Some(600), ..Settings::default() };
    let script = [Step::Fronts(Condition::Cut), Step::Pause(secs(1)), Step::Fronts(Condition::Up)];
    let skewed = Play { settings: skewed, ..struck(&script, 11) }.hearing(Ears::Stateful);
    vec![
        Play { anchor: false, ..killed }.named("B6", "one of three nodes killed"),
        rolled.clone().named("B7", "rolling restart"),
        rolled.hearing(Ears::Stateful).named("B7", "rolling restart, stateful clients"),
        Play { anchor: false, ..skewed }.named("B13", "two clocks 10 min ahead and behind"),
    ]
}

/// What lies between clients and nodes is struck.
fn clients(is_full: bool) -> Vec<Scenario> {
    let away = |seconds| {
        let cut = Step::Fronts(Condition::Cut);
        let script = [cut, Step::Pause(secs(seconds)), Step::Fronts(Condition::Up)];
        Play { anchor: false, ..struck(&script, 4) }.hearing(Ears::Stateful)
    };
    let beyond = Settings { hub: "disconnect_timeout = \"3s\"", ..Settings::default() };
    let mut rows = vec![
        away(1).named("B9", "stateful clients away for 1 s"),
        away(10).named("B9", "stateful clients away for 10 s"),
        Play { settings: beyond, ..away(6) }.named("B9", "away for 6 s, kept for 3 s"),
        slow(if is_full { 333 } else { 100 }).named("B11", "a slow client in a large group"),
        storm().named("B12", "storm of 18,000 msg/s, redis paused for 7 s"),
    ];
    rows.extend(polls());
    if is_full {
        rows.push(away(60).named("B9", "stateful clients away for 60 s"));
    }
    rows
}

/// Clients that poll, and answers that get lost behind the hub.
fn polls() -> [Scenario; 3] {
    let pause = |millis| Step::Pause(Duration::from_millis(millis));
    let (vanish, up) = (Step::Fronts(Condition::Lost(Way::Back)), Step::Fronts(Condition::Up));
    let play = |script: &[Step], ears| Play { anchor: false, ..struck(script, 4) }.hearing(ears);
    let cut = [Step::Fronts(Condition::Cut), pause(200), up];
    let reset = [vanish, pause(300), Step::Fronts(Condition::Reset), pause(100), up];
    let not_promised = Some("at most once where a poll's answer vanishes without a reset");
    [
        play(&cut, Ears::Polling).named("B10", "polls cut off"),
        play(&reset, Ears::StubbornPolling).named("B10", "answers swallowed, polls reset"),
        Play { not_promised, ..play(&[vanish, pause(300), up], Ears::Polling) }
            .named("B10", "answers of polls vanish"),
    ]
}

/// Others write to the backplane.
fn strangers() -> Vec<Scenario> {
    let with = |step| Play { anchor: false, ..struck(&[step], 3) };
    vec![
        with(Step::Newer).named("B14", "newer nodes on the backplane"),
        with(Step::Poison).named("B15", "poisoned messages"),
    ]
}

fn redis_killed(down: u64, is_durable: bool) -> Play {
    let script = [Step::KillRedis, Step::Pause(secs(down)), Step::StartRedis];
    Play { is_durable, ..struck(&script, 3) }
}

/// One node, and the subscriber of the anchor, are apart from Redis.
fn partition(condition: Condition, seconds: u64, meanwhile: &[Step]) -> Play {
    let both = |condition| [Step::Cable(0, condition), Step::Cable(ANCHOR, condition)];
    let mut script = both(condition).to_vec();
    script.push(Step::Pause(secs(seconds)));
    script.extend(meanwhile);
    script.extend(both(Condition::Up));
    struck(&script, 4)
}

/// A node that has fallen behind asks for more than Redis lets wait for it.
fn output_limit() -> Play {
    let script = [
        Step::LimitOutput(96 * 1024),
        Step::Cable(0, Condition::Held),
        Step::Pause(secs(2)),
        Step::Cable(0, Condition::Up),
    ];
    let mut play = struck(&script, 5);
    play.cast.padding = 512;
    play.script.push(Step::WasCut(0));
    play
}

/// More than the backplane takes while Redis is away.
fn storm() -> Play {
    let script = [Step::PauseClients(7), Step::Pause(secs(7)), Step::Memory, Step::Pause(secs(2))];
    let hub = "rate_max = 0\nqueue_max = \"32MiB\"";
    let cast = Cast { ears: Ears::Plain, receivers: 1, rate: 18_000, padding: 0 };
    let settings = Settings { hub, ..Settings::default() };
    Play { anchor: false, settings, cast, ..struck(&script, 3) }
}

/// One client of the group takes nothing, and is closed after five seconds of that.
fn slow(receivers: usize) -> Play {
    let script = [
        Step::Phase,
        Step::Pause(secs(4)),
        Step::Phase,
        Step::Slow(8),
        Step::Pause(secs(8)),
        Step::Phase,
    ];
    let hub = "queue_max = \"16MiB\"\nsend_timeout = \"5s\"";
    let cast = Cast { ears: Ears::Plain, receivers, rate: 30, padding: 1024 };
    let settings = Settings { hub, ..Settings::default() };
    Play { anchor: false, settings, cast, ..struck(&script, 4) }
}

/// Nothing happens, for long enough that a tampered diary has everything in it.
pub(super) fn quiet() -> Play {
    Play { anchor: false, ..struck(&[], 2) }
}

/// Bare publish/subscribe has to lose something here.
pub(super) fn control() -> Play {
    redis_killed(0, false)
}

/// A conversation, what is done to it, and so many seconds of it behind that.
fn struck(done: &[Step], after: u64) -> Play {
    let mut script = vec![Step::Pause(BEFORE), Step::Fault];
    script.extend(done);
    script.push(Step::Pause(secs(after)));
    Play {
        is_durable: false,
        settings: Settings::default(),
        cast: Cast { ears: Ears::Plain, receivers: 3, rate: RATE, padding: 0 },
        anchor: true,
        not_promised: None,
        may_expire: false,
        script,
    }
}

impl Play {
    fn named(self, row: &'static str, name: &'static str) -> Scenario {
        Scenario { row, name, play: self }
    }

    fn hearing(mut self, ears: Ears) -> Self {
        self.cast.ears = ears;
        self
    }
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The conversation before the fault.
const BEFORE: Duration = Duration::from_secs(1);
/// Messages a second.
const RATE: u64 = 1000;
/// The cable of the anchor's subscriber comes behind those of the three nodes.
const ANCHOR: usize = 3;
