//! `cargo xtask fuzz`: coverage-guided fuzzing of everything that reads bytes from outside.
//!
//! The targets' bodies are plain functions in `fuzz/src`, so that they run in two ways: under
//! libFuzzer, which looks for new paths, and as ordinary seeded tests, which need nothing but cargo.
//! The layout is cargo-fuzz's and its command works too, but is not needed: the crates below are
//! free of `unsafe`, so coverage without a sanitizer is enough, and that the stable compiler has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::{self, BUILD_MAX};
use crate::root;
use crate::tally::Tally;

/// What the compiler adds so that libFuzzer sees which paths an input takes.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks";

/// Resident memory past which an input counts as a crash: no input allocates beyond its limit.
const MEMORY_MAX_MIB: u32 = 1024;

/// Seconds past which one input counts as a hang.
const INPUT_SECONDS_MAX: u32 = 10;

/// Time to start, to run the corpus and to end, beside the time asked for.
const MARGIN: Duration = Duration::from_secs(120);

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One of the targets in fuzz/fuzz_targets; all in turn if none is named.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes one target or all.
pub(crate) fn run(options: &Options, tally: &mut Tally) -> Result<()> {
    let known = targets()?;
    let chosen = match &options.target {
        None => known,
        Some(name) => {
            ensure!(known.contains(name), "no target {name}; there are {}", known.join(", "));
            vec![name.clone()]
        }
    };
    fuzz(&chosen, Duration::from_secs(options.seconds), tally)
}

/// A few seconds of each target; skipped where libFuzzer cannot be compiled.
pub(crate) fn smoke(time: Duration, tally: &mut Tally) -> Result<()> {
    if process::find("c++").is_none() {
        let why = "no C++ compiler for libFuzzer; the targets ran as seeded tests only";
        tally.skip("fuzz smoke", why);
        return Ok(());
    }
    fuzz(&targets()?, time, tally)
}

/// The command that runs every target's body as ordinary seeded tests.
pub(crate) fn seeded() -> Command {
    let mut cargo = process::cargo(&["test", "--no-fail-fast"]);
    cargo.current_dir(root::path("fuzz"));
    cargo
}

fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root::path("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn fuzz(targets: &[String], time: Duration, tally: &mut Tally) -> Result<()> {
    let programs = build()?;
    for target in targets {
        println!("fuzz: {target} for {} s", time.as_secs());
        let log = root::path(&format!("fuzz/target/{target}.log"));
        let held = fuzz_one(&programs, target, time, &log)?;
        report(&fs::read_to_string(&log).unwrap_or_default(), held);
        tally.check(&format!("fuzz target {target}: see fuzz/artifacts/{target}"), held);
    }
    Ok(())
}

/// Builds every target; the folder with the programs.
fn build() -> Result<PathBuf> {
    // Naming the host as the target keeps the flags away from build scripts and macros.
    let host = env_host()?;
    let mut cargo = process::cargo(&["build", "--quiet", "--release", "--bins"]);
    cargo.args(["--features", "libfuzzer", "--target", &host]);
    cargo.current_dir(root::path("fuzz")).env("RUSTFLAGS", COVERAGE);
    ensure!(process::run(&mut cargo, BUILD_MAX)?, "the fuzz targets did not build");
    Ok(root::path("fuzz/target").join(host).join("release"))
}

fn env_host() -> Result<String> {
    let mut rustc = process::command("rustc", &["--version", "--verbose"]);
    let (_, text) = process::read(&mut rustc, process::QUICK_MAX)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("rustc does not name its host"))
}

fn fuzz_one(programs: &Path, target: &str, time: Duration, log: &Path) -> Result<bool> {
    let corpus = root::path("fuzz/corpus").join(target);
    let seeds = root::path("fuzz/seeds").join(target);
    let artifacts = root::path("fuzz/artifacts").join(target);
    for folder in [&corpus, &seeds, &artifacts] {
        fs::create_dir_all(folder)?;
    }
    let mut fuzzer = process::command(programs.join(target), &[]);
    fuzzer.args([&corpus, &seeds]).args([
        format!("-max_total_time={}", time.as_secs()),
        format!("-rss_limit_mb={MEMORY_MAX_MIB}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-artifact_prefix={}/", artifacts.display()),
        "-verbosity=0".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    process::run_into(&mut fuzzer, log, time + MARGIN)
}

/// Shows how many inputs were tried or, after a crash, all that libFuzzer said.
fn report(said: &str, held: bool) {
    let figures = said.lines().filter(|line| !held || line.starts_with("stat::number_of"));
    figures.for_each(|line| println!("  {line}"));
}
