//! `cargo xtask conformance`: the Autobahn test suite through the gateway, on both legs, and against
//! the hub.
//!
//! *client* leg: Autobahn's fuzzing client → everwire → an echo backend. *backend* leg: an echo
//! client → everwire → Autobahn's fuzzing server. *hub*: Autobahn's fuzzing client → a hub whose raw
//! connections echo. The outcome of each case is compared with the committed one. A blind tunnel (HAProxy, nginx) or nothing at all can stand in everwire's place:
//! that is the control which shows that the harness itself gives the expected outcomes.

mod expected;
mod rolling;
mod suite;
mod through;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::conformance::expected::{Expected, Results};
use crate::conformance::through::Through;
use crate::install;
use crate::process::{self, BUILD_MAX, Stopwatch};
use crate::root;
use crate::tally::Tally;

/// Arguments for cargo that build the binaries under test.
pub(crate) const BUILD: &[&str] =
    &["build", "--package", "everwire-server", "--package", "everwire-conformance"];

/// Runs at the same time: each is two or three programs that mostly wait for each other.
const JOBS_AT_ONCE: usize = 2;

/// What to run, and through what.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Cases to run.
    #[arg(long, value_enum, default_value = "all")]
    set: Set,
    /// Which side of the proxy Autobahn is on, or that it talks to the hub; all if not given.
    #[arg(long, value_enum)]
    leg: Option<Leg>,
    /// What stands between the peers.
    #[arg(long, value_enum, default_value = "everwire")]
    through: Through,
    /// Also runs the core cases while the backend is drained and replaced every second.
    #[arg(long)]
    rolling: bool,
    /// An everwire built elsewhere; otherwise it is built first, for debugging.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Writes the outcomes down as the expected ones instead of comparing.
    #[arg(long)]
    record: bool,
}

/// Which side of the proxy Autobahn is on, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Leg {
    /// Autobahn is the client.
    Client,
    /// Autobahn is the backend.
    Backend,
    /// Autobahn is a client of the hub, without a proxy.
    Hub,
}

impl Leg {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Hub => "hub",
        }
    }

    /// All legs that there are with this between the peers.
    fn all(through: Through) -> Vec<Self> {
        match through {
            Through::Everwire => vec![Self::Client, Self::Backend, Self::Hub],
            _ => vec![Self::Client, Self::Backend],
        }
    }
}

/// Cases by what they look at.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Set {
    /// Framing, control frames, fragments, UTF-8, closing: 247 cases.
    Core,
    /// Large messages and many: 54 cases.
    Limits,
    /// Compression: 216 cases, the longest.
    Deflate,
    /// All 517.
    All,
}

impl Set {
    /// The groups of cases that one run takes together.
    fn groups(self) -> Vec<(String, Vec<String>)> {
        let of =
            |sections: &[&str]| sections.iter().map(|section| format!("{section}.*")).collect();
        match self {
            Self::Core => {
                vec![("core".to_owned(), of(&["1", "2", "3", "4", "5", "6", "7", "10"]))]
            }
            Self::Limits => vec![("limits".to_owned(), of(&["9"]))],
            Self::Deflate => {
                let sections = (1..=5).map(|part| format!("12.{part}"));
                let sections = sections.chain((1..=7).map(|part| format!("13.{part}")));
                sections
                    .map(|section| (format!("deflate-{section}"), of(&[section.as_str()])))
                    .collect()
            }
            Self::All => [Self::Deflate, Self::Limits, Self::Core]
                .iter()
                .flat_map(|set| set.groups())
                .collect(),
        }
    }
}

/// One run of Autobahn: one leg, some cases, one thing between the peers.
struct Job {
    leg: Leg,
    name: String,
    patterns: Vec<String>,
    through: Through,
    rolling: bool,
    /// The everwire under test.
    binary: PathBuf,
}

impl Job {
    fn title(&self) -> String {
        let rolling = if self.rolling { "-rolling" } else { "" };
        format!("{}-{}{rolling}", self.leg.name(), self.name)
    }

    /// Whether a case belongs to this run.
    fn has(&self, case: &str) -> bool {
        self.patterns.iter().any(|pattern| case.starts_with(pattern.trim_end_matches('*')))
    }
}

/// Runs what the options say.
pub(crate) fn run(options: &Options, tally: &mut Tally) -> Result<()> {
    install::autobahn().map_err(anyhow::Error::msg).context("Autobahn cannot run here")?;
    if options.through == Through::Everwire && options.binary.is_none() {
        ensure!(process::run(&mut process::cargo(BUILD), BUILD_MAX)?, "everwire did not build");
    }
    let binary = options.binary.clone().unwrap_or_else(built);
    let is_reached = options.leg.is_none_or(|leg| Leg::all(options.through).contains(&leg));
    ensure!(is_reached, "Autobahn talks to the hub without anything between");
    let legs = options.leg.map_or_else(|| Leg::all(options.through), |leg| vec![leg]);
    let mut jobs: Vec<Job> = legs
        .iter()
        .flat_map(|leg| {
            options.set.groups().into_iter().map(|(name, patterns)| Job {
                leg: *leg,
                name,
                patterns,
                through: options.through,
                rolling: false,
                binary: binary.clone(),
            })
        })
        .collect();
    if options.rolling {
        ensure!(options.through == Through::Everwire, "only everwire moves sessions");
        jobs.extend(rolling_job(&binary));
    }
    for (job, results) in run_all(jobs) {
        if options.record {
            Expected::load(job.leg.name())?.record(&results?)?;
        } else {
            judge(&job, results, tally);
        }
    }
    Ok(())
}

/// The sets of every test run: core and limits on all legs, and core under rolling replacement.
pub(crate) fn smoke(tally: &mut Tally) -> Result<()> {
    if install::autobahn_interpreter().is_none() {
        let what = "Autobahn through the gateway and against the hub (1150 cases)";
        tally.skip(what, "Autobahn is not installed");
        return Ok(());
    }
    let mut jobs = Vec::from_iter(rolling_job(&built()));
    for leg in Leg::all(Through::Everwire) {
        for (name, patterns) in [Set::Limits, Set::Core].iter().flat_map(|set| set.groups()) {
            let (through, binary) = (Through::Everwire, built());
            jobs.push(Job { leg, name, patterns, through, rolling: false, binary });
        }
    }
    for (job, results) in run_all(jobs) {
        judge(&job, results, tally);
    }
    Ok(())
}

/// The everwire that [`BUILD`] builds.
fn built() -> PathBuf {
    root::path("target/debug/everwire")
}

/// The server that [`BUILD`] builds whose hubs are tested.
fn built_fixture() -> PathBuf {
    root::path("target/debug/everwire-conformance")
}

fn rolling_job(binary: &Path) -> Option<Job> {
    let (name, patterns) = Set::Core.groups().pop()?;
    let (leg, through, binary) = (Leg::Client, Through::Everwire, binary.to_owned());
    Some(Job { leg, name, patterns, through, rolling: true, binary })
}

/// Runs all jobs, a few at a time.
fn run_all(jobs: Vec<Job>) -> Vec<(Job, Result<Results>)> {
    let waiting = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..JOBS_AT_ONCE {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let clock = Stopwatch::start();
                    let results = suite::run(&job);
                    let cases = results.as_ref().map_or(0, Results::len);
                    let seconds = clock.elapsed().as_secs();
                    println!("autobahn {}: {cases} cases in {seconds} s", job.title());
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((job, results));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Compares one run with what is committed.
fn judge(job: &Job, results: Result<Results>, tally: &mut Tally) {
    let title = match job.leg {
        Leg::Hub => format!("autobahn {}", job.title()),
        _ => format!("autobahn {} through {}", job.title(), job.through.name()),
    };
    let compared = results.and_then(|results| {
        let expected = Expected::load(job.leg.name())?;
        Ok(expected.compare(&results, |case| job.has(case)))
    });
    match compared {
        Ok(compared) => {
            tally.pass(compared.same);
            let differing = compared.differing.len() as u64;
            if differing > 0 {
                tally.fail_many(differing, format!("{title}: {}", compared.differing.join("; ")));
            }
        }
        Err(error) => tally.fail(format!("{title}: {error:#}")),
    }
}
