//! Figures per pipe: what an idle one holds, what a new one costs.

use std::thread::sleep;

use anyhow::{Result, ensure};

use super::Bench;
use super::steady::Run;
use crate::control::Helper;
use crate::load::churn::Counted;
use crate::meter::{anonymous_bytes, processor_time};
use crate::process::{Workplace, free_address};
use crate::proxy::{Kind, Proxy};
use crate::rounds::Reading;

/// Anonymous memory per idle pipe: what the proxy holds with all of them less what it held with
/// one, after everything that follows the last echo has had time to settle.
pub(super) fn memory(bench: &Bench, kind: Kind) -> Result<Reading> {
    let place = Workplace::create()?;
    let backend = free_address()?;
    let echo = ["echo", "--listen", &backend.to_string()].map(String::from);
    let _echo = Helper::start(&place, "echo", &echo)?;
    let mut setup = bench.setup.clone();
    setup.backends = vec![backend];
    let mut proxy = Proxy::start(kind, &setup)?;
    let _first = super::steady::start_load(&place, &proxy, &hold_args(1))?;
    sleep(bench.settle);
    let before = anonymous_bytes(&proxy.pids())?;
    let _all = super::steady::start_load(&place, &proxy, &hold_args(bench.pipes))?;
    sleep(bench.settle);
    let after = anonymous_bytes(&proxy.pids())?;
    let per_pipe = (after as f64 - before as f64) / bench.pipes as f64;
    Ok(Reading(vec![("bytes", per_pipe), ("start_kib", before as f64 / 1024.0)]))
}

/// The generator's arguments for holding idle pipes.
pub(super) fn hold_args(pipes: u64) -> Vec<String> {
    ["hold", "--connections", &pipes.to_string()].map(String::from).to_vec()
}

/// Processor time of the proxy per pipe that is opened, used for one echo and closed.
pub(super) fn opening(bench: &Bench, kind: Kind) -> Result<Reading> {
    let shape = ["churn", "--workers", WORKERS].map(String::from);
    let mut run = Run::start(bench, kind, &shape)?;
    sleep(bench.warm_up);
    let _: Counted = run.load.ask("count")?;
    let (start, before) = (crate::clock::now(), processor_time(&run.proxy.pids())?);
    sleep(bench.window);
    let counted: Counted = run.load.ask("count")?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), processor_time(&run.proxy.pids())?);
    ensure!(counted.pipes > 0, "no pipe was opened in the measured window");
    let pipes = counted.pipes as f64;
    let spent = after.saturating_sub(before).as_secs_f64() * 1e6;
    Ok(Reading(vec![("cpu_us", spent / pipes), ("per_s", pipes / seconds)]))
}

/// Pipes being opened at one time.
const WORKERS: &str = "50";
