//! `everwire-bench hub`: what delivering to many costs, on Everwire's hub, Nchan and npm `ws`.
//!
//! The load does nothing but publish and hear, and counts: a run in which any client misses any
//! message, or hears one twice or out of order, is void.

mod broadcast;
mod connections;
mod figure;
pub(crate) mod floor;
pub(crate) mod own;
mod server;

use std::time::Duration;

use anyhow::Result;

use crate::rounds;
use server::Kind;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: rounds::Options,
    /// The servers, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    servers: Vec<Kind>,
    /// Deliveries a second of the broadcasts. The default is a small part of what any of the
    /// servers can do on two cores.
    #[arg(long, value_name = "DELIVERIES", default_value_t = 20_000)]
    pace: u64,
}

/// What every measurement needs to know.
struct Bench {
    window: Duration,
    warm_up: Duration,
    /// Deliveries a second.
    pace: u64,
    /// Clients that are held for the memory of each.
    idle: u64,
    settle: Duration,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let quick = options.rounds.quick;
    let bench = Bench {
        window: options.rounds.window(),
        warm_up: Duration::from_millis(if quick { 200 } else { 1000 }),
        pace: options.pace.max(1),
        idle: if quick { 500 } else { 15_000 },
        settle: Duration::from_secs(if quick { 1 } else { 3 }),
    };
    options.rounds.run(&bench, figure::ALL, &options.servers)
}

/// Anonymous memory per idle client of Everwire's bare hub: beside it stands what an instance takes.
pub(crate) fn memory(idle: u64, settle: Duration) -> Result<rounds::Reading> {
    let bench = Bench { window: settle, warm_up: settle, pace: 1, idle, settle };
    connections::memory(&bench, Kind::Everwire)
}
