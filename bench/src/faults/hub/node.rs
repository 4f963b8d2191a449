//! One `everwire serve` of a play, through all its lives.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::announced;
use super::judge::Gap;
use super::talk::PATH;
use crate::meter::anonymous_bytes;
use crate::process::{Process, Talk, Workplace, free_address, hasten};

/// A node.
pub(super) struct Node {
    pub(super) clients: SocketAddr,
    admin: SocketAddr,
    pub(super) number: u16,
    program: PathBuf,
    /// What stands before the program, such as another clock.
    wrapper: Vec<OsString>,
    config: PathBuf,
    /// One for each life.
    logs: Vec<PathBuf>,
    running: Option<Process>,
}

/// What nodes are told beside where things are.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// Lines below `[hubs.bench]`.
    pub(super) hub: &'static str,
    /// Seconds by which the clocks of the first two nodes are ahead and behind.
    pub(super) skew: Option<u64>,
}

impl Node {
    /// Writes its configuration and starts it.
    pub(super) fn start(
        place: &Workplace,
        number: u16,
        program: &Path,
        redis: SocketAddr,
        settings: &Settings,
    ) -> Result<Self> {
        let (clients, admin, peers) = (free_address()?, free_address()?, free_address()?);
        let config = place.file(&format!("node-{number}.toml"));
        std::fs::write(&config, configuration(clients, admin, peers, redis, settings)?)?;
        let program = program.to_owned();
        let wrapper = wrapper(number, settings);
        let (logs, running) = (Vec::new(), None);
        let mut node = Self { clients, admin, number, program, wrapper, config, logs, running };
        node.start_again(place)?;
        Ok(node)
    }

    /// Another life with the same configuration.
    pub(super) fn start_again(&mut self, place: &Workplace) -> Result<()> {
        let log = place.file(&format!("node-{}-{}.log", self.number, self.logs.len()));
        self.logs.push(log.clone());
        let mut words = self.wrapper.clone();
        words.push(self.program.clone().into_os_string());
        words.extend(["serve".into(), "-c".into(), self.config.clone().into_os_string()]);
        let mut process = Process::start(Path::new(&words[0]), &words[1..], log, Talk::Logged)?;
        process.wait_listening(self.clients)?;
        hasten(&process.family())?;
        self.running = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// SIGTERM, and waits until it has gone.
    pub(super) fn stop(&mut self) -> Result<()> {
        let mut process = self.running.take().context("the node is not running")?;
        process.signal(Signal::TERM)?;
        process.wait_ended(STOP_MAX)
    }

    /// Whether its process is there.
    pub(super) fn is_alive(&mut self) -> Result<bool> {
        match &mut self.running {
            Some(process) => process.is_running(),
            None => Ok(false),
        }
    }

    /// Bytes of memory of its own.
    pub(super) fn memory(&self) -> Result<u64> {
        let process = self.running.as_ref().context("the node is not running")?;
        anonymous_bytes(&process.family())
    }

    /// The sum of a metric over its labels; 0 where it has none such.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics")?;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.trim().parse::<f64>().ok());
        Ok(values.sum())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let host = self.admin;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The gaps that it has announced, by the time of a play that began then.
    pub(super) fn gaps(&self, began_wall: u64) -> Result<Vec<Gap>> {
        let mut gaps = Vec::new();
        for log in &self.logs {
            let text = std::fs::read_to_string(log)?;
            let lines = text.lines();
            gaps.extend(lines.filter_map(|line| announced::read(line, self.number, began_wall)));
        }
        Ok(gaps)
    }
}

fn configuration(
    clients: SocketAddr,
    admin: SocketAddr,
    peers: SocketAddr,
    redis: SocketAddr,
    settings: &Settings,
) -> Result<String> {
    let mut text = format!(
        "listen = \"{clients}\"\nlog = \"json\"\nshards = 1\n\
         [admin]\nlisten = \"{admin}\"\n\
         [cluster]\nlisten = \"{peers}\"\nsecrets = [\"{SECRET}\"]\n\
         [backplane]\nurl = \"redis://{redis}\"\n\
         [stop]\nannounce = \"0s\"\nwindow = \"1s\"\n"
    );
    write!(
        text,
        "[hubs.bench]\npath = \"{PATH}\"\n{}\n\
         [hubs.bench.presence]\njoined = \"joined\"\nleft = \"left\"\n\
         [hubs.bench.methods]\nJoin = {{ join = \"{{0}}\" }}\nEnter = {{ present = \"{{0}}\" }}\n\
         Say = {{ send = \"group:{{0}}\", target = \"Said\" }}\n",
        settings.hub
    )?;
    Ok(text)
}

/// Starts the first node with a clock that is ahead, the second with one that is behind.
fn wrapper(number: u16, settings: &Settings) -> Vec<OsString> {
    let sign = match number {
        0 => '+',
        1 => '-',
        _ => return Vec::new(),
    };
    let Some(skew) = settings.skew else { return Vec::new() };
    // The monotonic clock is the machine's, as it is where clocks are only set wrong.
    let words = ["/usr/bin/env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f"];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.push(format!("{sign}{skew}s").into());
    words
}

const SECRET: &str = "a secret that the nodes of a play have been told";
/// A node that stops has a second for its clients and five for the backplane.
const STOP_MAX: Duration = Duration::from_secs(20);
const ANSWER_MAX: Duration = Duration::from_secs(5);
