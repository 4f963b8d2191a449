//! What an instance costs that only is there.

use std::thread::sleep;

use anyhow::Result;

use super::Bench;
use super::manager::{Kind, Manager};
use crate::meter::{anonymous_bytes, processor_time};
use crate::rounds::Reading;

/// Anonymous memory per idle instance: what the manager holds with all of them less what it held with
/// one, once each has been told that it is welcome and that has had time to settle.
pub(super) fn memory(bench: &Bench, kind: Kind) -> Result<Reading> {
    if kind == Kind::Hub {
        return crate::hub::memory(bench.instances, bench.settle);
    }
    let manager = Manager::start(bench)?;
    let _first = manager.instances("first", 1, None)?;
    sleep(bench.settle);
    let (before, busy) = (anonymous_bytes(&manager.pids())?, processor_time(&manager.pids())?);
    let _all = manager.instances("bench", bench.instances, None)?;
    let joined = processor_time(&manager.pids())?.saturating_sub(busy);
    sleep(bench.settle);
    let after = anonymous_bytes(&manager.pids())?;
    let each = |whole: f64| whole / bench.instances as f64;
    Ok(Reading(vec![
        ("bytes", each(after as f64 - before as f64)),
        ("start_kib", before as f64 / 1024.0),
        ("join_us", each(joined.as_secs_f64() * 1e6)),
    ]))
}
