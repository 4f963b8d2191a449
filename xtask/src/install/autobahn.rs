//! The Autobahn test suite, which needs a Python 2.7.
//!
//! The interpreter is one on `PATH` or under pyenv, or is unpacked from the packages of an older
//! Debian beside the project. A virtualenv of that interpreter then holds the suite.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::install::{made, python, says};
use crate::process;
use crate::root;

/// The suite at the version whose results are committed.
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The last virtualenv that makes environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.21.1";

/// The last Debian with Python 2.7.
const OLD_DEBIAN: &str = "bullseye";

/// Its packages: the interpreter, its libraries, and the headers that one dependency compiles with.
const OLD_PACKAGES: &[&str] = &[
    "python2.7-minimal",
    "libpython2.7-minimal",
    "python2.7",
    "libpython2.7-stdlib",
    "libpython2.7",
    "libpython2.7-dev",
    "python2.7-dev",
    "libffi7",
    "libssl1.1",
];

/// The interpreter of the installed suite, ready for arguments, if it is installed.
pub(crate) fn interpreter() -> Option<Command> {
    let installed = root::tools("autobahn/installed").is_file();
    installed.then(|| {
        let mut command = process::command(root::tools("autobahn/bin/python"), &["-W", "ignore"]);
        with_libraries(&mut command);
        command
    })
}

/// Lets an unpacked Python 2.7 find the libraries, and a compiler the headers, unpacked beside it.
pub(super) fn with_libraries(command: &mut Command) {
    let usr = root::tools("python2/usr");
    let folders = fs::read_dir(usr.join("lib")).into_iter().flatten().flatten();
    let is_libraries = |path: &PathBuf| path.to_string_lossy().ends_with("-linux-gnu");
    if let Some(libraries) = folders.map(|entry| entry.path()).find(is_libraries) {
        let headers = usr.join("include");
        let python = headers.join("python2.7");
        command.env("LD_LIBRARY_PATH", libraries);
        command.env("CPATH", format!("{}:{}", python.display(), headers.display()));
    }
}

/// Installs the suite unless it is there; the reason if it cannot be had.
pub(crate) fn install() -> Result<(), String> {
    if interpreter().is_some() {
        return Ok(());
    }
    let old = find_python().map_or_else(unpack_python, Ok)?;
    println!("installing {SUITE} for {old} into .tools/autobahn (about a minute)");
    let new = python()?.display().to_string();
    let folder = root::tools("autobahn").display().to_string();
    made(&new, &["-m", "pip", "install", "--quiet", VIRTUALENV])?;
    made(&new, &["-m", "virtualenv", "--quiet", "--clear", "--python", &old, &folder])?;
    let suite = format!("{folder}/bin/python");
    // pip for Python 2.7 warns about its age on every line; only its errors matter.
    made(&suite, &["-W", "ignore", "-m", "pip", "install", "--quiet", "--quiet", SUITE])?;
    fs::write(root::tools("autobahn/installed"), SUITE).map_err(|error| error.to_string())
}

/// A Python 2.7 that runs: pyenv leaves programs on `PATH` that only say that they do not.
fn find_python() -> Option<String> {
    let mut candidates = vec!["python2.7".to_owned(), unpacked()];
    if let Some(home) = std::env::var_os("HOME") {
        let versions = PathBuf::from(home).join(".pyenv/versions");
        for version in fs::read_dir(versions).into_iter().flatten().flatten() {
            if version.file_name().to_string_lossy().starts_with("2.7") {
                candidates.push(version.path().join("bin/python2.7").display().to_string());
            }
        }
    }
    candidates.into_iter().find(|python| says(python, &["-c", "import ssl, zlib"]).is_some())
}

fn unpacked() -> String {
    root::tools("python2/usr/bin/python2.7").display().to_string()
}

/// Unpacks Python 2.7 beside the project from an older Debian, asked for at the place where this
/// machine gets its own packages. Nothing of it is installed into the system.
fn unpack_python() -> Result<String, String> {
    let missing = "no Python 2.7 on PATH or under pyenv, and none could be unpacked";
    // apt's own settings name the place; its security archive has other packages.
    let place = says("apt-get", &["indextargets", "--format", "$(REPO_URI)"])
        .and_then(|places| {
            let is_main = |place: &&str| place.trim_end_matches('/').ends_with("/debian");
            places.lines().find(is_main).map(str::to_owned)
        })
        .ok_or_else(|| format!("{missing}: apt knows no place with Debian's packages"))?;
    println!("unpacking Python 2.7 of Debian {OLD_DEBIAN} into .tools/python2");
    let script = format!(
        "set -e; mkdir -p state/lists/partial cache/archives/partial root; cd root; \
         echo 'deb {place} {OLD_DEBIAN} main' > ../sources.list; : > ../status; \
         apt() {{ apt-get -q -o Dir::Etc::sourcelist=$PWD/../sources.list \
           -o Dir::Etc::sourceparts=/dev/null -o Dir::State=$PWD/../state \
           -o Dir::State::status=$PWD/../status -o Dir::Cache=$PWD/../cache \
           -o APT::Sandbox::User=root \"$@\"; }}; \
         apt update >/dev/null; apt download {packages} >/dev/null; \
         for package in *.deb; do dpkg-deb -x \"$package\" ..; rm \"$package\"; done",
        packages = OLD_PACKAGES.join(" "),
    );
    let folder = root::tools("python2");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let script = format!("cd '{}'; {script}", folder.display());
    made("sh", &["-c", &script]).map_err(|_| missing.to_owned())?;
    find_python().ok_or_else(|| format!("{missing}: what was unpacked does not run"))
}
