//! `everwire-bench fleet`: how long a command and a change take to reach every instance of a fleet, and
//! what an instance costs.
//!
//! The manager is the real binary with its journal on a disk: what it has accepted is synced. The load
//! answers every command at once and does nothing else. A run in which any instance misses a command
//! or a change, or has one twice, is void.

mod answers;
mod figure;
mod instances;
mod manager;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::program::everwire;
use crate::rounds;
use manager::Kind;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: rounds::Options,
    /// How many instances.
    #[arg(long, default_value_t = 10_000)]
    instances: u64,
    /// The `everwire` binary; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    everwire_bin: Option<PathBuf>,
    /// On which disk the journal lies; the system's folder for temporary files if it is not given.
    #[arg(long, value_name = "PATH")]
    folder: Option<PathBuf>,
}

/// What every measurement needs to know.
struct Bench {
    everwire: PathBuf,
    folder: PathBuf,
    instances: u64,
    /// Commands or changes of each round, one after the other.
    repeats: usize,
    settle: Duration,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let quick = options.rounds.quick;
    let bench = Bench {
        everwire: everwire(options.everwire_bin.as_ref())?,
        folder: options.folder.clone().unwrap_or_else(std::env::temp_dir),
        instances: if quick { options.instances.min(500) } else { options.instances },
        repeats: if quick { 2 } else { 5 },
        settle: Duration::from_secs(if quick { 1 } else { 3 }),
    };
    options.rounds.run(&bench, figure::ALL, &Kind::ALL)
}
