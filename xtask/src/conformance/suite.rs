//! One run of Autobahn: its peers as processes, its report.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::conformance::expected::{self, Results};
use crate::conformance::rolling::Rolling;
use crate::conformance::{Job, Leg, built_fixture};
use crate::install;
use crate::process::{self, Peer};
use crate::root;

/// Where the server behind the proxy listens.
const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

/// Where the proxy listens, at the server's port: see conformance/wstest.py.
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Where the second server listens, when one is drained for the other.
const SPARE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Longest time for one run of a set; core and limits take ten seconds each.
const RUN_MAX: Duration = Duration::from_secs(150);

/// The same for compression, where most cases send a thousand messages.
const DEFLATE_MAX: Duration = Duration::from_secs(15 * 60);

/// The name under which the report lists what was tested.
const AGENT: &str = "everwire";

/// Runs Autobahn as the job says; the outcome of each case.
pub(super) fn run(job: &Job) -> Result<Results> {
    let folder = root::path("target/conformance").join(job.through.name()).join(job.title());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let port = process::free_port(&[SERVER, PROXY, SPARE].map(IpAddr::from))?;
    let run = Run { job, folder, port };
    match job.leg {
        Leg::Client => run.client_leg()?,
        Leg::Backend => run.backend_leg()?,
        Leg::Hub => run.hub()?,
    }
    let index = run.folder.join("reports/index.json");
    let index = fs::read_to_string(&index).with_context(|| index.display().to_string())?;
    expected::read_index(&index)
}

/// A job with its folder and its port, the same at all addresses.
struct Run<'a> {
    job: &'a Job,
    folder: PathBuf,
    port: u16,
}

impl Run<'_> {
    /// Autobahn's fuzzing client → proxy → Autobahn's echo server, the strictest there is: it
    /// judges UTF-8 while a message is still arriving.
    fn client_leg(&self) -> Result<()> {
        let servers = if self.job.rolling { vec![SERVER, SPARE] } else { vec![SERVER] };
        let mut echoes = Vec::new();
        for server in &servers {
            echoes.push(self.echo_server(*server)?);
        }
        let servers: Vec<_> = servers.iter().map(|server| self.at(*server)).collect();
        let proxy = self.job.through.start(&self.folder, self.job, self.at(PROXY), &servers)?;
        let rolling = match &proxy.admin {
            Some(admin) if self.job.rolling => {
                Some(Rolling::start(&self.job.binary, *admin, &servers))
            }
            _ => None,
        };
        self.fuzz(&format!("ws://{}", self.at(proxy.address)))?;
        rolling.map_or(Ok(()), Rolling::stop)
    }

    /// Autobahn's echo client → proxy → Autobahn's fuzzing server.
    fn backend_leg(&self) -> Result<()> {
        let server = self.at(SERVER);
        let spec = self.spec(&json!({ "url": format!("ws://{server}") }))?;
        let mut fuzzer = self.wstest(SERVER, &["-m", "fuzzingserver", "-u", "0", "-s", &spec])?;
        let _fuzzer = Peer::start(&mut fuzzer, server, &self.folder.join("server.log"))?;
        let proxy = self.job.through.start(&self.folder, self.job, self.at(PROXY), &[server])?;
        let url = format!("ws://{}", self.at(proxy.address));
        let mut client = self.wstest(SERVER, &["-m", "testeeclient", "-i", AGENT, "-w", &url])?;
        self.finish(&mut client)
    }

    /// Autobahn's fuzzing client → a hub's raw connections, which echo.
    fn hub(&self) -> Result<()> {
        let server = self.at(SERVER);
        let mut fixture = process::command(built_fixture(), &["--listen", &server.to_string()]);
        let _fixture = Peer::start(&mut fixture, server, &self.folder.join("hub.log"))?;
        self.fuzz(&format!("ws://{server}/echo"))
    }

    /// Runs Autobahn's fuzzing client against a server that echoes.
    fn fuzz(&self, url: &str) -> Result<()> {
        let spec = self.spec(&json!({ "servers": [{ "agent": AGENT, "url": url }] }))?;
        let mut client = self.wstest(SERVER, &["-m", "fuzzingclient", "-s", &spec])?;
        self.finish(&mut client)
    }

    fn echo_server(&self, address: Ipv4Addr) -> Result<Peer> {
        let address = self.at(address);
        let url = format!("ws://{address}");
        let IpAddr::V4(interface) = address.ip() else { anyhow::bail!("not an IPv4 address") };
        let mut command = self.wstest(interface, &["-m", "testeeserver", "-w", &url])?;
        let log = self.folder.join(format!("echo-{interface}.log"));
        Peer::start(&mut command, address, &log)
    }

    /// Runs the side that decides when all cases are through.
    fn finish(&self, client: &mut Command) -> Result<()> {
        let log = self.folder.join("client.log");
        let limit = if self.job.name.starts_with("deflate") { DEFLATE_MAX } else { RUN_MAX };
        let ended = process::run_into(client, &log, limit);
        if !matches!(ended, Ok(true)) {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("nothing");
            anyhow::bail!("wstest did not finish; it said last: {last} (see {})", log.display());
        }
        Ok(())
    }

    fn wstest(&self, interface: Ipv4Addr, arguments: &[&str]) -> Result<Command> {
        let mut command = install::autobahn_interpreter().context("Autobahn is not installed")?;
        command.arg(root::path("conformance/wstest.py")).arg(interface.to_string());
        command.args(arguments).current_dir(&self.folder);
        Ok(command)
    }

    /// Writes wstest's specification: the given part, with the cases and the report's place.
    fn spec(&self, part: &serde_json::Value) -> Result<String> {
        let mut spec = part.clone();
        spec["outdir"] = json!(self.folder.join("reports"));
        spec["cases"] = json!(self.job.patterns);
        spec["exclude-cases"] = json!([]);
        let file: &Path = &self.folder.join("spec.json");
        fs::write(file, spec.to_string())?;
        Ok(file.display().to_string())
    }

    fn at(&self, address: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(address.into(), self.port)
    }
}
