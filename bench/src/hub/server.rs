//! The servers under comparison: how each is configured, started and talked to.

mod nchan;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::control::Helper;
use crate::load::dialect::Dialect;
use crate::process::{Process, Workplace, free_address};
use crate::program::{Invocation, find};
use crate::rounds::Subject;

/// A subject of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Everwire's hub.
    Everwire,
    /// nginx with Nchan.
    Nchan,
    /// npm `ws` on Node.
    Ws,
    /// The bare broadcaster of this crate.
    Floor,
}

impl Kind {
    /// All, in the order of the tables and of the rounds.
    pub(crate) const ALL: [Self; 4] = [Self::Everwire, Self::Nchan, Self::Ws, Self::Floor];

    /// Those that can be called and answer.
    pub(crate) const CALLED: [Self; 2] = [Self::Everwire, Self::Ws];

    fn dialect(self) -> Dialect {
        match self {
            Self::Everwire => Dialect::Signalr,
            Self::Nchan => Dialect::Posted,
            Self::Ws | Self::Floor => Dialect::Plain,
        }
    }
}

impl Subject for Kind {
    const OWN: Self = Self::Everwire;
    const FLOOR: Self = Self::Floor;
    const NOBODY: Option<Self> = None;

    fn name(self) -> &'static str {
        match self {
            Self::Everwire => "everwire",
            Self::Nchan => "nchan",
            Self::Ws => "ws",
            Self::Floor => "floor",
        }
    }
}

/// A running server; dropping it ends its processes.
pub(crate) struct Server {
    kind: Kind,
    target: SocketAddr,
    runs: Runs,
    _place: Workplace,
}

enum Runs {
    Program(Process),
    Helper(Helper),
}

impl Server {
    /// Starts a server whose clients hear what is published.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        Self::start_with(kind, "all")
    }

    /// Starts a server that answers whoever calls it.
    pub(crate) fn start_called(kind: Kind) -> Result<Self> {
        Self::start_with(kind, "caller")
    }

    fn start_with(kind: Kind, audience: &str) -> Result<Self> {
        let place = Workplace::create()?;
        let target = free_address()?;
        let program = |invocation: &Invocation| -> Result<Runs> {
            Ok(Runs::Program(invocation.start(&place, target)?))
        };
        let runs = match kind {
            Kind::Everwire => helper(&place, "hub-server", target)?,
            Kind::Floor => helper(&place, "hub-floor", target)?,
            Kind::Nchan => program(&nchan::command(&place, target)?)?,
            Kind::Ws => program(&ws(target, audience)?)?,
        };
        Ok(Self { kind, target, runs, _place: place })
    }

    /// Where clients connect to.
    pub(crate) fn target(&self) -> SocketAddr {
        self.target
    }

    /// How it is talked to.
    pub(crate) fn dialect(&self) -> Dialect {
        self.kind.dialect()
    }

    /// All processes of the server, workers included.
    pub(crate) fn pids(&self) -> Vec<u32> {
        match &self.runs {
            Runs::Program(process) => process.family(),
            Runs::Helper(helper) => helper.family(),
        }
    }
}

fn helper(place: &Workplace, name: &str, listen: SocketAddr) -> Result<Runs> {
    let args = [name, "--listen", &listen.to_string(), "--threads", &WORKERS.to_string()];
    Ok(Runs::Helper(Helper::start(place, name, &args.map(String::from))?))
}

/// One Node process: more would need something between them.
fn ws(listen: SocketAddr, audience: &str) -> Result<Invocation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("e2e").join("node");
    let installed = folder.join("node_modules/ws").is_dir();
    ensure!(installed, "ws is not installed: npm ci --prefix e2e/node");
    let script = folder.join("broadcast.mjs");
    let port = listen.port().to_string();
    let args = [script.into(), "--port".into(), port.into(), "--to".into(), audience.into()];
    Ok(Invocation { program: find("node", "nodejs")?, args: args.to_vec() })
}

/// Threads or worker processes of every server that can have several.
const WORKERS: usize = 2;
/// Clients that one worker may be given: all of those that are held, should it come to that.
const CLIENTS_MAX: usize = 16_000;
