//! The manager under measurement, and the questions that an operator asks it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use crate::clock;
use crate::control::Helper;
use crate::meter::processor_time;
use crate::process::{Process, Workplace, free_address};
use crate::program::Invocation;
use crate::rounds::Subject;

/// A subject of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `everwire serve` with a fleet.
    Fleet,
    /// Everwire's bare hub, which remembers nobody.
    Hub,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Fleet, Self::Hub];
}

impl Subject for Kind {
    const OWN: Self = Self::Fleet;
    const FLOOR: Self = Self::Hub;
    const NOBODY: Option<Self> = None;

    fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Hub => "hub",
        }
    }
}

/// A running manager; dropping it ends its process, and removes its journal.
pub(super) struct Manager {
    process: Process,
    listen: SocketAddr,
    admin: SocketAddr,
    place: Workplace,
    _journal: Journal,
}

/// The journal's folder, removed when dropped.
struct Journal(PathBuf);

impl Manager {
    /// Starts one that has no instances and no sets yet.
    pub(super) fn start(bench: &Bench) -> Result<Self> {
        let place = Workplace::create()?;
        let name = format!("everwire-fleet-{}-{}", std::process::id(), clock::wall_nanos());
        let journal = Journal(bench.folder.join(name));
        fs::create_dir(&journal.0).with_context(|| journal.0.display().to_string())?;
        let (listen, admin) = (free_address()?, free_address()?);
        let file = place.file("everwire.toml");
        let text = format!(
            "listen = \"{listen}\"\n[admin]\nlisten = \"{admin}\"\n[fleet]\njournal = {:?}\n",
            journal.0.join("fleet.journal")
        );
        fs::write(&file, text)?;
        let invocation = Invocation {
            program: bench.everwire.clone(),
            args: vec!["serve".into(), "-c".into(), file.into_os_string()],
        };
        let mut process = invocation.start(&place, listen)?;
        process.wait_listening(admin)?;
        Ok(Self { process, listen, admin, place, _journal: journal })
    }

    /// Starts so many instances of `app`, and waits until all have joined.
    pub(super) fn instances(&self, app: &str, count: u64, set: Option<&str>) -> Result<Helper> {
        let (target, count) = (self.listen.to_string(), count.to_string());
        let mut args =
            vec!["load", "instances", "--target", &target, "--connections", &count, "--app", app];
        if let Some(set) = set {
            args.extend(["--set", set]);
        }
        let args: Vec<String> = args.into_iter().map(String::from).collect();
        Helper::start(&self.place, &format!("load-{app}"), &args)
    }

    /// Processor time it has used so far.
    pub(super) fn processor_time(&self) -> Result<Duration> {
        processor_time(&self.pids())
    }

    /// Its processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.process.family()
    }

    /// Asks the admin API, and wants a JSON answer that is no refusal.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "{method} /api/v1/fleet/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status.starts_with('2'), "{method} {path}: {head}\n{body}");
        serde_json::from_str(body).with_context(|| format!("{method} {path} answered {body}"))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An answer that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);
