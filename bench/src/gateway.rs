//! `everwire-bench gateway`: the figures, measured on all proxies in turn, over several rounds.
//!
//! A round measures every figure on every proxy, one after the other, each on freshly started
//! processes. What another user of the machine does in the meantime hits all of them alike, so
//! ratios within a round are what is compared with the targets, and their median is what counts.

mod deaths;
mod figure;
mod pipes;
mod report;
mod steady;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::proxy::{Kind, Setup};
use figure::{Figure, Reading};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A smoke run: one round, short windows, few pipes. Its figures are not comparable.
    #[arg(long)]
    quick: bool,
    /// Only this figure; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often every proxy is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measured window.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    #[command(flatten)]
    subjects: Subjects,
    /// The result as JSON instead of a table.
    #[arg(long)]
    json: bool,
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

/// Everything measured of one figure: per round, per proxy.
struct Measured {
    figure: &'static Figure,
    rounds: Vec<Vec<(Kind, Reading)>>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bench = Bench {
        setup: options.subjects.setup()?,
        window: Duration::from_secs_f64(if options.quick { 1.0 } else { options.seconds }),
        warm_up: Duration::from_millis(if options.quick { 200 } else { 1000 }),
        pipes: if options.quick { 500 } else { 8_000 },
        settle: Duration::from_secs(if options.quick { 1 } else { 3 }),
    };
    let rounds = if options.quick { 1 } else { options.rounds.max(1) };
    let mut measured: Vec<Measured> =
        chosen(&options.only)?.map(|figure| Measured { figure, rounds: Vec::new() }).collect();
    for round in 0..rounds {
        for one in &mut measured {
            if round < one.figure.rounds_max {
                one.rounds.push(measure(&bench, one.figure, &options.subjects.proxies, round)?);
            }
        }
    }
    let text = if options.json { report::json(&measured)? } else { report::table(&measured) };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn chosen(only: &[String]) -> Result<impl Iterator<Item = &'static Figure>> {
    for name in only {
        let known: Vec<&str> = figure::ALL.iter().map(|figure| figure.name).collect();
        ensure!(known.contains(&name.as_str()), "no figure {name}; there are {}", known.join(", "));
    }
    let only = only.to_vec();
    let wanted = move |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    Ok(figure::ALL.iter().filter(move |figure| wanted(figure.name)))
}

fn measure(
    bench: &Bench,
    figure: &Figure,
    proxies: &[Kind],
    round: usize,
) -> Result<Vec<(Kind, Reading)>> {
    let mut readings = Vec::new();
    for kind in proxies.iter().filter(|kind| figure.kinds.contains(kind)) {
        let reading = (figure.measure)(bench, *kind)?;
        let shown: Vec<String> =
            reading.0.iter().map(|(label, value)| format!("{label} {value:.2}")).collect();
        writeln!(
            std::io::stderr(),
            "round {} {} {}: {}",
            round + 1,
            figure.name,
            kind.name(),
            shown.join(", ")
        )?;
        readings.push((*kind, reading));
    }
    Ok(readings)
}
