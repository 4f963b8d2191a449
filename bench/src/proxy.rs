//! The proxies under comparison: how each is configured, started and found.

mod everwire;
mod haproxy;
mod nginx;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::control::Helper;
use crate::process::{Process, Workplace, free_address};
use crate::program::Invocation;
use crate::rounds::Subject;

/// A subject of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// `everwire serve`.
    Everwire,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// The bare header-scanning relay of this crate.
    Floor,
    /// No proxy: the load dials the backends.
    Direct,
}

impl Kind {
    /// All, in the order of the tables and of the rounds.
    pub(crate) const ALL: [Self; 5] =
        [Self::Everwire, Self::Haproxy, Self::Nginx, Self::Floor, Self::Direct];

    /// Those that someone would deploy.
    pub(crate) const PRODUCTS: [Self; 3] = [Self::Everwire, Self::Haproxy, Self::Nginx];
}

impl Subject for Kind {
    const OWN: Self = Self::Everwire;
    const FLOOR: Self = Self::Floor;
    const NOBODY: Option<Self> = Some(Self::Direct);

    fn name(self) -> &'static str {
        match self {
            Self::Everwire => "everwire",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Floor => "floor",
            Self::Direct => "direct",
        }
    }
}

/// What a proxy is to stand in front of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The `everwire` binary.
    pub(crate) everwire: PathBuf,
    /// The backends, in order.
    pub(crate) backends: Vec<SocketAddr>,
    /// Everwire's ping interval and timeout, where the fault is a backend that hangs.
    pub(crate) ping: Option<Duration>,
    /// Everwire's delivery mode; its default where none is given.
    pub(crate) delivery: Option<String>,
}

/// A running proxy; dropping it ends its processes.
pub(crate) struct Proxy {
    targets: Vec<SocketAddr>,
    runs: Runs,
    _place: Workplace,
}

enum Runs {
    Nothing,
    Program(Process),
    Helper(Helper),
}

impl Proxy {
    /// Starts a proxy and waits until it listens.
    pub(crate) fn start(kind: Kind, setup: &Setup) -> Result<Self> {
        let place = Workplace::create()?;
        let listen = free_address()?;
        let program = |invocation: &Invocation| -> Result<Runs> {
            Ok(Runs::Program(invocation.start(&place, listen)?))
        };
        let runs = match kind {
            Kind::Everwire => program(&everwire::command(&place, listen, setup)?)?,
            Kind::Haproxy => program(&haproxy::command(&place, listen, setup)?)?,
            Kind::Nginx => program(&nginx::command(&place, listen, setup)?)?,
            Kind::Floor => Runs::Helper(floor(&place, listen, setup)?),
            Kind::Direct => Runs::Nothing,
        };
        let targets = match runs {
            Runs::Nothing => setup.backends.clone(),
            Runs::Program(_) | Runs::Helper(_) => vec![listen],
        };
        Ok(Self { targets, runs, _place: place })
    }

    /// Where the load connects to: the proxy, or with no proxy any of the backends.
    pub(crate) fn targets(&self) -> &[SocketAddr] {
        &self.targets
    }

    /// The first target.
    pub(crate) fn target(&self) -> Result<SocketAddr> {
        self.targets.first().copied().context("a proxy without an address")
    }

    /// All processes of the proxy, workers included.
    pub(crate) fn pids(&mut self) -> Vec<u32> {
        match &mut self.runs {
            Runs::Nothing => Vec::new(),
            Runs::Program(process) => process.family(),
            Runs::Helper(helper) => helper.process().family(),
        }
    }
}

fn floor(place: &Workplace, listen: SocketAddr, setup: &Setup) -> Result<Helper> {
    let backend = setup.backends.first().context("the floor needs a backend")?;
    let args = ["floor", "--listen", &listen.to_string(), "--backend", &backend.to_string()];
    let mut args = args.map(String::from).to_vec();
    args.extend([String::from("--threads"), WORKERS.to_string()]);
    Helper::start(place, "floor", &args)
}

/// Threads or worker processes of every proxy: the number Everwire starts on two cores.
const WORKERS: usize = 2;
/// Open pipes a proxy is configured for: 8,000 are held, and some are closing.
const PIPES_MAX: usize = 9_500;
