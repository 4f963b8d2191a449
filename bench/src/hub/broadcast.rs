//! What a broadcast costs the server, and how long it takes to reach everybody.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::server::{Kind, Server};
use crate::control::Helper;
use crate::load::hear::{Heard, Order};
use crate::meter::processor_time;
use crate::process::{Workplace, hasten, seat};
use crate::rounds::Reading;

/// Processor time of the server per delivery: of single messages, and of bursts.
pub(super) fn processor(bench: &Bench, kind: Kind, clients: u64) -> Result<Reading> {
    let mut run = Run::start(bench, kind, clients)?;
    run.publish(1, bench.warm_up)?;
    let single = run.measure(1, bench.window)?;
    let burst = run.measure(BURST, bench.window)?;
    Ok(Reading(vec![
        ("cpu_us", single.server),
        ("burst_us", burst.server),
        ("burst_share", burst.server / single.server),
        ("generator_us", single.generator),
        ("p50_us", single.heard.p50_us),
        ("p99_us", single.heard.p99_us),
    ]))
}

/// How much later the slowest of a hundred deliveries is when one more client does not read.
///
/// The server has one core and the load the next: left to the scheduler, the percentile depends
/// more on who happens to share a core than on the server.
pub(super) fn slow(bench: &Bench, kind: Kind) -> Result<Reading> {
    let mut run = Run::start(bench, kind, SLOW_CLIENTS)?;
    seat(&run.server.pids(), 0)?;
    seat(&run.load.process().family(), 1)?;
    // What the machine does meanwhile changes more than a client that does not read: hence once
    // before and once after.
    let before = run.warm(bench)?;
    let _: Heard = run.load.ask(&serde_json::to_string(&Order::AddSlow)?)?;
    let with = run.warm(bench)?;
    let _: Heard = run.load.ask(&serde_json::to_string(&Order::DropSlow)?)?;
    let after = run.warm(bench)?;
    let without = |value: fn(&Heard) -> f64| f64::midpoint(value(&before), value(&after));
    let (each_us, p99_us) = (without(|heard| heard.each_us), without(|heard| heard.p99_us));
    Ok(Reading(vec![
        ("each_share", with.each_us / each_us),
        ("p99_share", with.p99_us / p99_us),
        ("each_us", each_us),
        ("each_slow_us", with.each_us),
        ("p99_us", p99_us),
        ("p99_slow_us", with.p99_us),
    ]))
}

/// A server and its audience, started in this order and ended in the other.
pub(super) struct Run {
    load: Helper,
    pub(super) server: Server,
    clients: u64,
    pace: u64,
    _place: Workplace,
}

/// What a window cost per delivery, in microseconds.
struct Spent {
    server: f64,
    generator: f64,
    heard: Heard,
}

impl Run {
    pub(super) fn start(bench: &Bench, kind: Kind, clients: u64) -> Result<Self> {
        let server = Server::start(kind)?;
        let place = Workplace::create()?;
        let mut load = audience(&place, &server, clients)?;
        // A compiler that comes between every few writes is paid for with cold caches.
        hasten(&server.pids())?;
        hasten(&load.process().family())?;
        Ok(Self { load, server, clients, pace: bench.pace, _place: place })
    }

    /// Publishes at the benchmark's pace: bursts are as much rarer as they are larger.
    fn publish(&mut self, burst: u64, window: Duration) -> Result<Heard> {
        let every_us = 1_000_000 * burst * self.clients / self.pace;
        let bursts = (window.as_micros() as u64 / every_us).max(1);
        self.load.ask(&serde_json::to_string(&Order::Publish { bursts, burst, every_us })?)
    }

    /// Publishes single messages for the window, after a warm-up.
    fn warm(&mut self, bench: &Bench) -> Result<Heard> {
        self.publish(1, bench.warm_up)?;
        self.publish(1, bench.window)
    }

    fn measure(&mut self, burst: u64, window: Duration) -> Result<Spent> {
        let before = self.processor_times()?;
        let heard = self.publish(burst, window)?;
        let after = self.processor_times()?;
        let spent = |who: usize| {
            after[who].saturating_sub(before[who]).as_secs_f64() * 1e6 / heard.deliveries
        };
        Ok(Spent { server: spent(0), generator: spent(1), heard })
    }

    fn processor_times(&mut self) -> Result<[Duration; 2]> {
        Ok([processor_time(&self.server.pids())?, processor_time(&self.load.process().family())?])
    }
}

/// Starts clients that hear, and their publisher.
pub(super) fn audience(place: &Workplace, server: &Server, clients: u64) -> Result<Helper> {
    let (target, clients, size) =
        (server.target().to_string(), clients.to_string(), SIZE.to_string());
    let args = ["hear", "--target", &target, "--connections", &clients, "--size", &size];
    super::connections::load(place, &args, server)
}

/// Messages published at once in the bursts.
const BURST: u64 = 16;
/// Bytes of each message as the application sees it.
const SIZE: usize = 128;
const SLOW_CLIENTS: u64 = 1_000;
