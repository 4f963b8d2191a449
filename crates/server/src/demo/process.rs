//! The demo's own processes and the addresses they have: started, killed, told to end, always by the
//! process id that the demo started.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
use tokio_util::sync::CancellationToken;

/// A process of the demo that listens. Dropping it kills it.
pub(super) struct Process {
    pub(super) address: SocketAddr,
    /// What else it said when it began to listen.
    pub(super) said: String,
    child: Child,
}

impl Process {
    /// Starts this program again with a command of its own, and waits until it listens.
    pub(super) async fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            // It ends when this pipe does, so that it cannot outlive the demo.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the demo; a group of its own keeps it from the process.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a process of the demo")?;
        let out = child.stdout.take().context("a process of the demo has no output")?;
        let mut line = String::new();
        timeout(START_TIMEOUT, BufReader::new(out).read_line(&mut line))
            .await
            .context("a process of the demo does not start")??;
        let told = line.trim().strip_prefix("listening on ").unwrap_or_default();
        let (address, said) = told.split_once(' ').unwrap_or((told, ""));
        let address = address.parse().with_context(|| format!("it does not listen: {line:?}"))?;
        Ok(Self { address, said: said.to_owned(), child })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, without waiting for its end.
    pub(super) fn begin_kill(&mut self) -> Result<()> {
        self.child.start_kill().context("cannot kill a process of the demo")
    }

    /// SIGKILL: it is gone in the middle of whatever it does.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill a process of the demo")
    }

    /// SIGTERM: it says goodbye to its clients and ends.
    pub(super) async fn terminate(&mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| anyhow!("a process of the demo has ended by itself"))?;
        kill_process(id, Signal::TERM).context("cannot stop a process of the demo")?;
        match timeout(END_TIMEOUT, self.child.wait()).await {
            Ok(ended) => ended.map(drop).context("cannot wait for a process of the demo"),
            Err(_) => self.kill().await,
        }
    }
}

/// This program with a command of its own that listens there.
pub(super) fn command(name: &str, listen: SocketAddr) -> Result<Command> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg(name).arg("--listen").arg(listen.to_string());
    Ok(command)
}

/// Starts something on a port that stays its own while it is down: one of those that the kernel does
/// not give to outgoing connections.
pub(super) async fn somewhere<T>(start: impl AsyncFn(SocketAddr) -> Result<T>) -> Result<T> {
    for _ in 0..PORT_TRIES {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::random_range(PORTS)));
        if let Ok(started) = start(address).await {
            return Ok(started);
        }
    }
    start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
}

/// In a process of the demo: the demo holds the other end of standard input; when it is gone, so is
/// the reason to run. A thread of its own waits for that, because reading standard input cannot be
/// cancelled.
pub(super) fn left_alone() -> CancellationToken {
    let alone = CancellationToken::new();
    let told = alone.clone();
    std::thread::spawn(move || {
        let _ = std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut Vec::new());
        told.cancel();
    });
    alone
}

/// Below the usual range of outgoing connections, which begins at 32768.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(5);
