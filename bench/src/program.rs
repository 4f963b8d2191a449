//! Programs that are measured: where they are found, and how they are started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::process::{Process, Talk, Workplace};

/// A program and its arguments.
pub(crate) struct Invocation {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
}

impl Invocation {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(&self, place: &Workplace, listen: SocketAddr) -> Result<Process> {
        let mut process =
            Process::start(&self.program, &self.args, place.file("log"), Talk::Logged)?;
        process.wait_listening(listen)?;
        Ok(process)
    }
}

/// The binary of the product: the one named, or the one beside this program.
pub(crate) fn everwire(named: Option<&PathBuf>) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("everwire");
    let everwire = named.cloned().unwrap_or(beside);
    ensure!(
        everwire.is_file(),
        "{} does not exist: cargo build --release, or name another with --everwire-bin",
        everwire.display()
    );
    Ok(everwire)
}

/// Looks a program up where Debian installs it; without it the error names its package.
pub(crate) fn find(name: &str, package: &str) -> Result<PathBuf> {
    for folder in ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"] {
        let path = Path::new(folder).join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("{name} is not installed: apt-get install {package}")
}
