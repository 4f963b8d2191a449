//! Figures around a backend's death: how long a client hears nothing, how 8,000 pipes move.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::pipes::hold_args;
use super::steady::start_load;
use crate::clock;
use crate::control::Helper;
use crate::echo::Seen;
use crate::faults::judge::{Millis, judge, silences_after};
use crate::faults::record::{Record, What};
use crate::faults::stage::{self, Control, Play, Step};
use crate::load::hold::Asked;
use crate::meter::processor_time;
use crate::process::{Workplace, free_address, hasten};
use crate::proxy::{Kind, Proxy};
use crate::rounds::Reading;

/// 200 clients ask a question at every `interval`, of two backends that are killed in turn. The
/// silence of every client that was on the one that died, and what became of its socket and its
/// messages.
///
/// The load is paced: where clients ask again as soon as they are answered, the processors are
/// full whatever the proxy does, and the figure tells how long 200 handshakes queue behind that.
///
/// Without a proxy the clients know both backends, dial the other one at once and send again what
/// is unanswered: what the kill and 200 handshakes cost on this machine, whoever makes them.
pub(super) fn silence(bench: &Bench, kind: Kind, interval: Duration) -> Result<Reading> {
    let pause = Step::Pause(bench.settle.min(Duration::from_secs(2)));
    let mut script = vec![pause];
    for backend in [0, 1, 0] {
        script.extend([Step::Kill(backend), pause, Step::Start(backend), pause]);
    }
    let play = Play {
        backends: 2,
        clients: 200,
        interval,
        work: Duration::ZERO,
        durable: false,
        control: Control::None,
        self_help: kind == Kind::Direct,
        script,
    };
    let mut seen = stage::play(kind, &bench.setup, &play)?;
    let mut silences = Vec::new();
    for (backend, at) in seen.kills {
        silences.extend(silences_after(&mut seen.records, backend, at, BACK_MAX_NANOS));
    }
    let affected = silences.len();
    let silences = Millis::from_nanos(silences);
    let per_second = asked_per_second(&seen.records);
    let verdict = judge(seen.records);
    let at = |share| silences.at(share).unwrap_or(f64::NAN);
    Ok(Reading(vec![
        ("p99_ms", at(0.99)),
        ("p50_ms", at(0.5)),
        ("max_ms", at(1.0)),
        ("affected", affected as f64),
        ("dropped", verdict.dropped as f64),
        ("lost", verdict.lost() as f64),
        ("per_s", per_second),
    ]))
}

/// Questions a second over the whole run: fewer than asked for where a machine is too slow.
fn asked_per_second(records: &[Record]) -> f64 {
    let sent = || records.iter().filter(|record| record.what == What::Sent).map(|sent| sent.at);
    let span = sent().max().unwrap_or(0).saturating_sub(sent().min().unwrap_or(0));
    sent().count() as f64 * 1e9 / span.max(1) as f64
}

/// Opens all pipes while only one backend is up, starts the other, kills the first, and waits for
/// the last handshake on the second, asking every pipe for an echo meanwhile. The processor time
/// is the proxy's per pipe, for its new leg and its echo.
pub(super) fn stampede(bench: &Bench, kind: Kind) -> Result<Reading> {
    let place = Workplace::create()?;
    let (first, second) = (free_address()?, free_address()?);
    let dying = start_echo(&place, "first", first)?;
    let mut setup = bench.setup.clone();
    setup.backends = vec![first, second];
    let mut proxy = Proxy::start(kind, &setup)?;
    let mut load = start_load(&place, &proxy, &hold_args(bench.pipes))?;
    let mut surviving = start_echo(&place, "second", second)?;
    for pids in [proxy.pids(), load.process().family(), surviving.process().family()] {
        hasten(&pids)?;
    }
    sleep(bench.settle);
    let before = processor_time(&proxy.pids())?;
    let killed = clock::wall_nanos();
    drop(dying);
    let asked: Asked = load.ask("echo")?;
    let spent = processor_time(&proxy.pids())?.saturating_sub(before);
    let seen: Seen = surviving.ask("seen")?;
    Ok(Reading(vec![
        ("last_back_ms", seen.last_welcome.saturating_sub(killed) as f64 / 1e6),
        ("last_echo_ms", asked.took_ms),
        ("dials_max", seen.waiting_max as f64),
        ("dropped", asked.dropped as f64),
        ("failed_dials", asked.failed_dials as f64),
        ("answered", asked.answered as f64),
        ("cpu_us", spent.as_secs_f64() * 1e6 / bench.pipes as f64),
    ]))
}

fn start_echo(place: &Workplace, name: &str, listen: std::net::SocketAddr) -> Result<Helper> {
    let args = ["echo", "--listen", &listen.to_string(), "--welcome-ms", WELCOME_MS];
    Helper::start(place, name, &args.map(String::from))
}

/// A client that has no reply from another leg this long after a kill is given up.
const BACK_MAX_NANOS: u64 = 1_000_000_000;
/// What a backend takes to accept a session: long enough that dials under way can be counted.
const WELCOME_MS: &str = "2";
