//! The sample backends as child processes: started, killed, rolled.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use crate::demo::process::{self, Process};

/// All sample backends; dropping them kills them.
pub(super) struct Backends {
    store: PathBuf,
    list: Vec<Process>,
}

impl Backends {
    /// Starts `count` backends on free ports.
    pub(super) async fn start(count: usize, store: &Path) -> Result<Self> {
        let mut backends = Self { store: store.to_owned(), list: Vec::new() };
        for _ in 0..count {
            let backend = process::somewhere(async |address| start(address, store).await).await?;
            backends.list.push(backend);
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
        self.list[index].id()
    }

    /// One line per backend for people.
    pub(super) fn describe(&self) -> String {
        let line = |(index, backend): (usize, &Process)| {
            let id = backend.id().unwrap_or_default();
            format!("  backend {} ws://{}  pid {id}\n", index + 1, backend.address)
        };
        self.list.iter().enumerate().map(line).collect()
    }

    /// SIGKILL: the process is gone in the middle of whatever it does.
    pub(super) async fn kill(&mut self, index: usize) -> Result<()> {
        self.list[index].kill().await
    }

    /// SIGKILL to all at once: nobody is left to go to while the next one ends.
    pub(super) async fn kill_all(&mut self) -> Result<()> {
        for backend in &mut self.list {
            backend.begin_kill()?;
        }
        for backend in &mut self.list {
            backend.kill().await?;
        }
        Ok(())
    }

    /// SIGTERM: the process says goodbye to its clients and ends.
    pub(super) async fn terminate(&mut self, index: usize) -> Result<()> {
        self.list[index].terminate().await
    }

    /// A new process on the address of the old one, which has ended.
    pub(super) async fn restart(&mut self, index: usize) -> Result<()> {
        self.list[index] = start(self.list[index].address, &self.store).await?;
        Ok(())
    }

    /// Resolves with the number of a backend that has ended.
    pub(super) async fn one_died(&mut self) -> usize {
        loop {
            if let Some(index) = self.list.iter_mut().position(Process::has_ended) {
                return index;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn start(address: SocketAddr, store: &Path) -> Result<Process> {
    Process::start(process::command("demo-backend", address)?.arg("--store").arg(store)).await
}

const LOOK_EVERY: Duration = Duration::from_millis(200);
