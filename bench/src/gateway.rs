//! `everwire-bench gateway`: the figures, measured on all proxies in turn, over several rounds.

mod deaths;
mod figure;
mod pipes;
mod steady;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::proxy::{Kind, Setup};
use crate::rounds;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: rounds::Options,
    #[command(flatten)]
    subjects: Subjects,
}

/// Who is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Subjects {
    /// The proxies, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    pub(crate) proxies: Vec<Kind>,
    /// The `everwire` binary; by default the one beside this program.
    #[arg(long, value_name = "PATH")]
    everwire_bin: Option<PathBuf>,
}

impl Subjects {
    /// A setup with no backends yet.
    pub(crate) fn setup(&self) -> Result<Setup> {
        let beside = std::env::current_exe()?.with_file_name("everwire");
        let everwire = self.everwire_bin.clone().unwrap_or(beside);
        Ok(Setup { everwire, backends: Vec::new(), ping: None, delivery: None })
    }
}

/// What every measurement needs to know.
struct Bench {
    setup: Setup,
    window: Duration,
    warm_up: Duration,
    pipes: u64,
    settle: Duration,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let quick = options.rounds.quick;
    let bench = Bench {
        setup: options.subjects.setup()?,
        window: options.rounds.window(),
        warm_up: Duration::from_millis(if quick { 200 } else { 1000 }),
        pipes: if quick { 500 } else { 8_000 },
        settle: Duration::from_secs(if quick { 1 } else { 3 }),
    };
    options.rounds.run(&bench, figure::ALL, &options.subjects.proxies)
}
