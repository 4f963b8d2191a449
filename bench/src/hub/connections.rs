//! Figures per client: what an idle one holds, what a new one and a call cost.

use std::thread::sleep;

use anyhow::{Result, ensure};

use super::Bench;
use super::broadcast::audience;
use super::server::{Kind, Server};
use crate::control::Helper;
use crate::load::{churn, steady};
use crate::meter::{anonymous_bytes, processor_time};
use crate::process::Workplace;
use crate::rounds::Reading;

/// Anonymous memory per idle client: what the server holds with all of them less what it held with
/// one, after each has been sent something and that has had time to settle.
pub(super) fn memory(bench: &Bench, kind: Kind) -> Result<Reading> {
    let server = Server::start(kind)?;
    let place = Workplace::create()?;
    let _first = audience(&place, &server, 1)?;
    sleep(bench.settle);
    let before = anonymous_bytes(&server.pids())?;
    let _all = audience(&place, &server, bench.idle)?;
    sleep(bench.settle);
    let after = anonymous_bytes(&server.pids())?;
    let per_client = (after as f64 - before as f64) / bench.idle as f64;
    Ok(Reading(vec![("bytes", per_client), ("start_kib", before as f64 / 1024.0)]))
}

/// Processor time of the server per client that comes and goes.
pub(super) fn opening(bench: &Bench, kind: Kind) -> Result<Reading> {
    let server = Server::start(kind)?;
    let place = Workplace::create()?;
    let target = server.target().to_string();
    let mut load = load(&place, &["churn", "--workers", WORKERS, "--target", &target], &server)?;
    let spent = window(bench, &server, || {
        let counted: churn::Counted = load.ask("count")?;
        Ok(counted.pipes as f64)
    })?;
    Ok(Reading(vec![("cpu_us", spent.micros / spent.count), ("per_s", spent.per_s)]))
}

/// Calls and their answers, also per second of the server's processor time.
pub(super) fn calls(bench: &Bench, kind: Kind) -> Result<Reading> {
    let server = Server::start_called(kind)?;
    let place = Workplace::create()?;
    let target = server.target().to_string();
    let shape = ["steady", "--connections", CALLERS, "--size", CALL, "--target", &target];
    let mut load = load(&place, &shape, &server)?;
    let spent = window(bench, &server, || {
        let counted: steady::Counted = load.ask("count")?;
        Ok(counted.messages)
    })?;
    Ok(Reading(vec![
        ("cpu_us", spent.micros / spent.count),
        ("per_cpu_s", spent.count * 1e6 / spent.micros),
        ("per_s", spent.per_s),
    ]))
}

/// What a window cost.
struct Spent {
    micros: f64,
    count: f64,
    per_s: f64,
}

/// Warms up, then counts and measures over the same window.
fn window(bench: &Bench, server: &Server, mut count: impl FnMut() -> Result<f64>) -> Result<Spent> {
    sleep(bench.warm_up);
    count()?;
    let (start, before) = (crate::clock::now(), processor_time(&server.pids())?);
    sleep(bench.window);
    let count = count()?;
    let (seconds, after) = (start.elapsed().as_secs_f64(), processor_time(&server.pids())?);
    ensure!(count > 0.0, "nothing happened in the measured window");
    let micros = after.saturating_sub(before).as_secs_f64() * 1e6;
    Ok(Spent { micros, count, per_s: count / seconds })
}

/// Starts a load that talks as the server does.
pub(super) fn load(place: &Workplace, shape: &[&str], server: &Server) -> Result<Helper> {
    let mut args = vec![String::from("load")];
    args.extend(shape.iter().copied().map(String::from));
    args.extend(server.dialect().args());
    Helper::start(place, "load", &args)
}

/// Clients that come at one time.
const WORKERS: &str = "50";
const CALLERS: &str = "200";
const CALL: &str = "128";
