//! `cargo xtask`: everything a developer or a build machine does with this repository.
//!
//! Owns the command line and hands over to one module per task. Continuous integration calls only
//! these commands, so what passes there passes here. It knows nothing of the product beyond the
//! names of its packages and the command line of its binary.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "talking to the terminal is what this program is for")]

mod conformance;
mod fuzz;
mod install;
mod lint;
mod process;
mod root;
mod shape;
mod tally;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::tally::Tally;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Everwire repository", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need where it is missing, then runs everything.
    Test(test::Options),
    /// Formatting, clippy, licences, documentation, crate arrows, purity.
    Lint,
    /// Function and file sizes per crate: a picture to look at, not a gate.
    Shape(shape::Options),
    /// Runs the benchmarks in release mode, for example `bench gateway` or `bench faults hub`.
    Bench {
        /// Passed on to the benchmark program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Coverage-guided fuzzing of one target, or of all in turn.
    Fuzz(fuzz::Options),
    /// Autobahn through the gateway and against the hub, compared with the committed results.
    Conformance(conformance::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let mut tally = Tally::default();
    match task {
        Task::Test(options) => test::run(&options, &mut tally),
        Task::Lint => lint::run(&mut tally),
        Task::Shape(options) => return shape::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Bench { arguments } => return bench(&arguments),
        Task::Fuzz(options) => fuzz::run(&options, &mut tally)?,
        Task::Conformance(options) => conformance::run(&options, &mut tally)?,
    }
    Ok(tally.close())
}

/// Benchmarks live in a package of their own; what they measure and print is theirs.
fn bench(arguments: &[String]) -> Result<ExitCode> {
    let mut cargo = process::cargo(&["run", "--release", "--package", "everwire-bench", "--"]);
    cargo.args(arguments);
    let passed = process::run(&mut cargo, process::BENCH_MAX)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
