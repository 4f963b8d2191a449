//! `cargo xtask test`: the one command that proves the repository.
//!
//! Installs what is missing, then lint, every test of the workspace, the documentation's examples,
//! a smoke of each fuzz target, and Autobahn through the gateway and against the hub. A step that
//! fails does not stop the next: the last line totals all of them.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::conformance;
use crate::fuzz;
use crate::install;
use crate::lint;
use crate::process::{self, BUILD_MAX, Stopwatch};
use crate::tally::Tally;

/// How a test that cannot run here begins the line that says so, since cargo knows no such outcome.
const SKIPPED: &str = "SKIPPED: ";

/// Time for each fuzz target in a test run.
const SMOKE: Duration = Duration::from_secs(5);

/// What a test run leaves out on request.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Installs nothing: what is missing is skipped.
    #[arg(long)]
    offline: bool,
}

/// Runs everything.
pub(crate) fn run(options: &Options, tally: &mut Tally) {
    let clock = Stopwatch::start();
    if options.offline {
        tally.skip("installing what the tests need", "--offline was given");
    } else {
        step("install what the tests need", &clock);
        install::all(tally);
    }
    step("lint", &clock);
    lint::run(tally);
    step("build the binaries under test", &clock);
    fallible(tally, "building the binary", |tally| {
        let built = process::run(&mut process::cargo(conformance::BUILD), BUILD_MAX)?;
        tally.check("building the binary", built);
        Ok(())
    });
    step("tests of the workspace and examples in its documentation", &clock);
    fallible(tally, "tests of the workspace", workspace);
    step("fuzz targets as seeded tests", &clock);
    fallible(tally, "seeded fuzz tests", |tally| tests(&mut fuzz::seeded(), "fuzz", tally));
    step("fuzz smoke", &clock);
    fallible(tally, "fuzz smoke", |tally| fuzz::smoke(SMOKE, tally));
    step("Autobahn through the gateway and against the hub", &clock);
    fallible(tally, "Autobahn", conformance::smoke);
    println!("\nthe run took {} s", clock.elapsed().as_secs());
}

fn step(name: &str, clock: &Stopwatch) {
    println!("\n== {name} (after {} s)", clock.elapsed().as_secs());
}

/// A step that could not even run is one failure.
fn fallible(tally: &mut Tally, name: &str, step: impl FnOnce(&mut Tally) -> Result<()>) {
    if let Err(error) = step(tally) {
        tally.fail(format!("{name}: {error:#}"));
    }
}

fn workspace(tally: &mut Tally) -> Result<()> {
    let mut cargo = process::cargo(&["test", "--workspace", "--no-fail-fast"]);
    // A test whose tool is missing says so instead of failing: what was missing is known by now.
    tests(cargo.env("EVERWIRE_ALLOW_SKIP", "1"), "cargo test", tally)
}

/// Runs a command of cargo's test runner and counts what its closing lines say.
fn tests(command: &mut Command, name: &str, tally: &mut Tally) -> Result<()> {
    let mut sum = Counts::default();
    let mut failures = Vec::new();
    let mut skips = Vec::new();
    let passed = process::watch(command, BUILD_MAX, |line| {
        if let Some(counts) = Counts::parse(line) {
            sum.add(&counts);
        } else if let Some(test) = failed_test(line) {
            failures.push(test.to_owned());
        } else if let Some((_, skip)) = line.split_once(SKIPPED) {
            skips.push(skip.to_owned());
        }
    })?;
    tally.pass(sum.passed);
    skips.iter().for_each(|skip| tally.passed_was_skipped(skip));
    tally.skip_many(sum.ignored, name);
    if sum.failed > 0 {
        tally.fail_many(sum.failed, format!("{name}: {}", failures.join(", ")));
    } else if !passed {
        tally.fail(format!("{name}: it did not build, or a test ended the process"));
    }
    Ok(())
}

/// The name in a line like `test frame::splits ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The numbers of one `test result:` line.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    fn parse(line: &str) -> Option<Self> {
        let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match what {
                "passed" => counts.passed = number,
                "failed" => counts.failed = number,
                "ignored" => counts.ignored = number,
                _ => {}
            }
        }
        Some(counts)
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests_of_counting {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered \
                    out; finished in 0.01s";
        let counts = Counts { passed: 12, failed: 3, ignored: 1 };
        assert_eq!(Counts::parse(line), Some(counts));
        assert_eq!(Counts::parse("test a::b ... ok"), None);
        assert_eq!(failed_test("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failed_test("test a::b ... ok"), None);
    }

    fn tally_of(script: &str) -> String {
        let mut tally = Tally::default();
        tests(&mut process::command("sh", &["-c", script]), "x", &mut tally).unwrap();
        tally.total()
    }

    #[test]
    fn a_run_that_ends_without_a_result_fails() {
        assert_eq!(tally_of("exit 101"), "0 passed, 1 failed");
        let one = "echo 'test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured'";
        assert_eq!(tally_of(one), "1 passed, 0 failed, 2 skipped");
        let skipped = format!("echo 'SKIPPED: a::b: no Node' >&2; {one}");
        assert_eq!(tally_of(&skipped), "0 passed, 0 failed, 3 skipped");
    }
}
