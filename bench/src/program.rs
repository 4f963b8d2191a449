//! Programs that are measured: where they are found, and how they are started.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

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
