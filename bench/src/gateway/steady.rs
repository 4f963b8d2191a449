//! Figures under a steady load: processor time per message, and latency.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use crate::control::Helper;
use crate::load::steady::Counted;
use crate::meter::processor_time;
use crate::process::{Workplace, free_address, seat};
use crate::proxy::{Kind, Proxy};
use crate::rounds::Reading;

/// Processor time of the proxy per message, and beside it who else was busy; `load` as in
/// [`steady_args`].
pub(super) fn processor(bench: &Bench, kind: Kind, load: [usize; 4]) -> Result<Reading> {
    let mut run = Run::start(bench, kind, &steady_args(load))?;
    let spent = run.window(bench)?;
    let mut reading = Vec::new();
    if kind != Kind::Direct {
        reading.push(("cpu_us", spent.per_message(spent.proxy)));
    }
    reading.push(("per_s", spent.counted.messages / spent.seconds));
    reading.push(("generator_us", spent.per_message(spent.generator)));
    reading.push(("echo_us", spent.per_message(spent.echo)));
    Ok(Reading(reading))
}

/// Round-trip times of connections that send a message every so many milliseconds.
///
/// The proxy has one core and the others have the next: left to the scheduler, the median depends
/// more on who happens to share a core, and with which compiler, than on the proxy.
pub(super) fn latency(
    bench: &Bench,
    kind: Kind,
    connections: usize,
    every_ms: usize,
) -> Result<Reading> {
    let mut run = Run::start(bench, kind, &steady_args([connections, 128, 1, every_ms]))?;
    seat(&run.proxy.pids(), 0)?;
    seat(&run.load.process().family(), 1)?;
    seat(&run.echo.process().family(), 1)?;
    let spent = run.window(bench)?;
    Ok(Reading(vec![("p50_us", spent.counted.p50_us), ("p99_us", spent.counted.p99_us)]))
}

/// The generator's arguments: connections, bytes per message, messages in flight on each, and
/// milliseconds from one to the next.
fn steady_args(load: [usize; 4]) -> Vec<String> {
    let names = ["--connections", "--size", "--in-flight", "--every-ms"];
    let numbers = names.into_iter().zip(load.map(|number| number.to_string()));
    let mut args = vec![String::from("steady")];
    args.extend(numbers.flat_map(|(name, value)| [String::from(name), value]));
    args
}

/// An echo server, a proxy and a generator, started in this order and ended in the other.
pub(super) struct Run {
    pub(super) load: Helper,
    pub(super) proxy: Proxy,
    pub(super) echo: Helper,
    _place: Workplace,
}

impl Run {
    /// Starts all three; `shape` is the generator's subcommand without its target.
    pub(super) fn start(bench: &Bench, kind: Kind, shape: &[String]) -> Result<Self> {
        let place = Workplace::create()?;
        let backend = free_address()?;
        let echo = ["echo", "--listen", &backend.to_string()].map(String::from);
        let echo = Helper::start(&place, "echo", &echo)?;
        let mut setup = bench.setup.clone();
        setup.backends = vec![backend];
        let proxy = Proxy::start(kind, &setup)?;
        let load = start_load(&place, &proxy, shape)?;
        Ok(Self { load, proxy, echo, _place: place })
    }

    /// Warms up, then counts messages and processor time over the same window.
    fn window(&mut self, bench: &Bench) -> Result<Spent> {
        sleep(bench.warm_up);
        let _: Counted = self.load.ask("count")?;
        let (start, before) = (crate::clock::now(), self.processor_times()?);
        sleep(bench.window);
        let counted: Counted = self.load.ask("count")?;
        let (seconds, after) = (start.elapsed().as_secs_f64(), self.processor_times()?);
        ensure!(counted.messages > 0.0, "no message came back in the measured window");
        let [proxy, generator, echo] = [0, 1, 2].map(|who| after[who].saturating_sub(before[who]));
        Ok(Spent { counted, seconds, proxy, generator, echo })
    }

    fn processor_times(&mut self) -> Result<[Duration; 3]> {
        Ok([
            processor_time(&self.proxy.pids())?,
            processor_time(&self.load.process().family())?,
            processor_time(&self.echo.process().family())?,
        ])
    }
}

/// Starts a generator against a proxy.
pub(super) fn start_load(place: &Workplace, proxy: &Proxy, shape: &[String]) -> Result<Helper> {
    let mut args = vec![String::from("load")];
    args.extend_from_slice(shape);
    args.extend([String::from("--target"), proxy.target()?.to_string()]);
    Helper::start(place, "load", &args)
}

/// What a window cost.
struct Spent {
    counted: Counted,
    seconds: f64,
    proxy: Duration,
    generator: Duration,
    echo: Duration,
}

impl Spent {
    fn per_message(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.counted.messages
    }
}
