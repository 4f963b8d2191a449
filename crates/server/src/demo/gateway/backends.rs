//! The sample backends as child processes: started, killed, rolled, always by the process id that
//! the demo started.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// All sample backends; dropping them kills them.
pub(super) struct Backends {
    store: PathBuf,
    list: Vec<Backend>,
}

struct Backend {
    address: SocketAddr,
    child: Child,
}

impl Backends {
    /// Starts `count` backends on free ports.
    pub(super) async fn start(count: usize, store: &Path) -> Result<Self> {
        let mut backends = Self { store: store.to_owned(), list: Vec::new() };
        for _ in 0..count {
            backends.list.push(Backend::start_anywhere(store).await?);
        }
        Ok(backends)
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.list.iter().map(|backend| backend.address).collect()
    }

    pub(super) fn process_id(&self, index: usize) -> Option<u32> {
        self.list[index].child.id()
    }

    /// One line per backend for people.
    pub(super) fn describe(&self) -> String {
        let line = |(index, backend): (usize, &Backend)| {
            let id = backend.child.id().unwrap_or_default();
            format!("  backend {} ws://{}  pid {id}\n", index + 1, backend.address)
        };
        self.list.iter().enumerate().map(line).collect()
    }

    /// SIGKILL: the process is gone in the middle of whatever it does.
    pub(super) async fn kill(&mut self, index: usize) -> Result<()> {
        self.list[index].child.kill().await.context("cannot kill a backend")
    }

    /// SIGKILL to all at once: nobody is left to go to while the next one ends.
    pub(super) async fn kill_all(&mut self) -> Result<()> {
        for backend in &mut self.list {
            backend.child.start_kill().context("cannot kill a backend")?;
        }
        for backend in &mut self.list {
            backend.child.wait().await.context("cannot wait for a backend")?;
        }
        Ok(())
    }

    /// SIGTERM: the process says goodbye to its clients and ends.
    pub(super) async fn terminate(&mut self, index: usize) -> Result<()> {
        let child = &mut self.list[index].child;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| anyhow!("backend {} has ended by itself", index + 1))?;
        kill_process(id, Signal::TERM).context("cannot stop a backend")?;
        match timeout(END_TIMEOUT, child.wait()).await {
            Ok(ended) => ended.map(drop).context("cannot wait for a backend"),
            Err(_) => self.kill(index).await,
        }
    }

    /// A new process on the address of the old one, which has ended.
    pub(super) async fn restart(&mut self, index: usize) -> Result<()> {
        let address = self.list[index].address;
        self.list[index] = Backend::start(address, &self.store).await?;
        Ok(())
    }

    /// Resolves with the number of a backend that has ended.
    pub(super) async fn one_died(&mut self) -> usize {
        loop {
            let ended = |backend: &mut Backend| !matches!(backend.child.try_wait(), Ok(None));
            if let Some(index) = self.list.iter_mut().position(ended) {
                return index;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Backend {
    /// Starts a backend on a port that stays its own while it is down: one of those that the
    /// kernel does not give to outgoing connections.
    async fn start_anywhere(store: &Path) -> Result<Self> {
        for _ in 0..PORT_TRIES {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
            if let Ok(backend) = Self::start(address, store).await {
                return Ok(backend);
            }
        }
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), store).await
    }

    async fn start(address: SocketAddr, store: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .arg("demo-backend")
            .arg("--listen")
            .arg(address.to_string())
            .arg("--store")
            .arg(store)
            // It ends when this pipe does, so that it cannot outlive the demo.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the demo; a group of its own keeps it from the backend.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a sample backend")?;
        let out = child.stdout.take().context("a sample backend has no output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(out).read_line(&mut line))
            .await
            .context("a sample backend does not start")??;
        let told = line.trim().strip_prefix("listening on ");
        let address = told.and_then(|told| told.parse().ok());
        let address = address.with_context(|| format!("cannot listen on {address:?}: {line:?}"));
        Ok(Self { address: address?, child })
    }
}

/// Below the usual range of outgoing connections, which begins at 32768.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(200);
