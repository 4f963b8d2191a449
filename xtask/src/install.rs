//! What the tests need beside cargo, installed where it is missing.
//!
//! Debian's packages come through apt, Node's through npm, Python's through pip; the last two go
//! into ignored folders of this repository. Everything installed is announced first. What cannot
//! be had is named with the reason and, where a person could do it, with the line to run: the tests
//! that need it then say that they were skipped.

mod autobahn;
mod debian;

use std::path::PathBuf;

use crate::process::{self, QUICK_MAX};
use crate::root;
use crate::tally::Tally;

pub(crate) use autobahn::{install as autobahn, interpreter as autobahn_interpreter};

/// Longest time for one package manager's run.
const INSTALL_MAX: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// Programs that the tests start, and the Debian package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx"),
    ("redis-server", "redis-server"),
    ("redis-benchmark", "redis-tools"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("cc", "gcc"),
    ("c++", "g++"),
];

/// The browser, apart from the rest because not every Debian has it by this name.
const BROWSER: &[(&str, &str)] = &[("chromium-headless-shell", "chromium-headless-shell")];

/// Installs everything that is missing; what stays missing becomes a skip.
pub(crate) fn all(tally: &mut Tally) {
    debian::programs(PROGRAMS, tally);
    debian::programs(BROWSER, tally);
    node(tally);
    if let Err(why) = python() {
        tally.skip("Python peers", &why);
    }
    if let Err(why) = autobahn() {
        tally.skip("installing Autobahn", &why);
    }
}

/// Node's packages for the foreign peers, at the versions of the lock file.
fn node(tally: &mut Tally) {
    let folder = root::path("e2e/node");
    let lock = folder.join("package-lock.json");
    if !lock.is_file() {
        return;
    }
    if newer(&folder.join("node_modules/.package-lock.json"), &lock) {
        return;
    }
    println!("installing Node packages into e2e/node/node_modules");
    let mut npm = process::command("npm", &["ci", "--no-audit", "--no-fund", "--silent"]);
    match process::run(npm.current_dir(&folder), INSTALL_MAX) {
        Ok(true) => {}
        Ok(false) => tally.skip("Node peers", "npm could not install e2e/node's packages"),
        Err(error) => tally.skip("Node peers", &format!("{error:#}")),
    }
}

/// The virtual environment for Python peers; its interpreter.
pub(crate) fn python() -> Result<PathBuf, String> {
    let interpreter = root::tools("venv/bin/python");
    let wanted = root::path("e2e/python/requirements.txt");
    let done = root::tools("venv/installed");
    if !interpreter.is_file() {
        println!("installing a Python environment into .tools/venv");
        let folder = root::tools("venv").display().to_string();
        made("python3", &["-m", "venv", &folder])
            .map_err(|why| format!("{why}; `apt-get install python3-venv` may be missing"))?;
    }
    if wanted.is_file() && !newer(&done, &wanted) {
        println!("installing the Python packages of e2e/python/requirements.txt");
        let list = wanted.display().to_string();
        let pip = interpreter.display().to_string();
        made(&pip, &["-m", "pip", "install", "--quiet", "--requirement", &list])?;
        std::fs::write(&done, "").map_err(|error| error.to_string())?;
    }
    Ok(interpreter)
}

/// Runs an installing command; the reason if it did not work.
fn made(program: &str, arguments: &[&str]) -> Result<(), String> {
    let line = || format!("{program} {}", arguments.join(" "));
    let mut command = process::command(program, arguments);
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
    autobahn::with_libraries(&mut command);
    match process::run(&mut command, INSTALL_MAX) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{}` failed", line())),
        Err(error) => Err(format!("`{}`: {error:#}", line())),
    }
}

/// What a program prints, if it runs and succeeds.
fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = process::command(program, arguments);
    autobahn::with_libraries(&mut command);
    match process::read(&mut command, QUICK_MAX) {
        Ok((true, text)) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// Whether a file exists and is not older than the other.
fn newer(file: &std::path::Path, than: &std::path::Path) -> bool {
    let time = |path: &std::path::Path| path.metadata().and_then(|data| data.modified()).ok();
    matches!((time(file), time(than)), (Some(file), Some(than)) if file >= than)
}
