//! `cargo xtask lint`: what a change must satisfy before anyone reads it.
//!
//! Each check is one line of the tally. The two checks of our own, [`arrows`] and [`pure`], have
//! tests that show them failing: a checker that cannot fail is a defect.

mod arrows;
mod pure;

use std::process::Command;

use anyhow::Result;

use crate::process::{self, BUILD_MAX, QUICK_MAX};
use crate::root;
use crate::tally::Tally;

/// Runs every check, also after one has failed.
pub(crate) fn run(tally: &mut Tally) {
    let format = ["fmt", "--all", "--check"];
    cargo(tally, "formatting", &format);
    cargo(tally, "formatting of fuzz/", &["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]);
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--keep-going"];
    let strict = ["--", "-D", "warnings"];
    cargo(tally, "clippy", &[&clippy[..], &strict].concat());
    let mut doc = process::cargo(&["doc", "--quiet", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    command(tally, "documentation", &mut doc);
    deny(tally);
    own(tally, "crate arrows", arrows::broken);
    own(tally, "pure files", pure::impurities);
}

fn cargo(tally: &mut Tally, name: &str, arguments: &[&str]) {
    command(tally, name, &mut process::cargo(arguments));
}

fn command(tally: &mut Tally, name: &str, command: &mut Command) {
    println!("lint: {name}");
    match process::run(command, BUILD_MAX) {
        Ok(held) => tally.check(name, held),
        Err(error) => tally.fail(format!("{name}: {error:#}")),
    }
}

/// A check of our own gives one sentence per mistake.
fn own(tally: &mut Tally, name: &str, check: fn() -> Result<Vec<String>>) {
    println!("lint: {name}");
    match check() {
        Ok(mistakes) if mistakes.is_empty() => tally.pass(1),
        Ok(mistakes) => {
            for mistake in &mistakes {
                println!("  {mistake}");
            }
            tally.fail(format!("{name}: {}", mistakes.join("; ")));
        }
        Err(error) => tally.fail(format!("{name}: {error:#}")),
    }
}

/// Licences, bans and sources are judged offline; the advisory database is not asked.
fn deny(tally: &mut Tally) {
    let name = "licences, bans and sources";
    if process::find("cargo-deny").is_none() {
        tally.skip(name, "cargo-deny is missing; `cargo install cargo-deny` takes minutes");
        return;
    }
    let arguments = ["deny", "--offline", "check", "licenses", "bans", "sources"];
    cargo(tally, name, &arguments);
}

/// What cargo knows about the workspace's packages.
fn metadata() -> Result<serde_json::Value> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    let (passed, text) = process::read(&mut process::cargo(&arguments), QUICK_MAX)?;
    anyhow::ensure!(passed, "cargo metadata failed in {}", root::repository().display());
    Ok(serde_json::from_str(&text)?)
}
