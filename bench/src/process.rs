//! Child processes that end with their handle, their signals, and the places they use.
//!
//! Every child is started through the hidden command `tether`, which asks the kernel to end it
//! should the benchmark die without cleaning up. Children are only ever signalled by their id.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, set_parent_process_death_signal,
    setpriority_process, setrlimit, setsid,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::clock;

/// A child process; dropping it kills it and the workers it has forked.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`, with its output in `log` and its standard input and output as given.
    pub(crate) fn start(
        program: &Path,
        args: &[OsString],
        log: PathBuf,
        talk: Talk,
    ) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("tether").arg(program).args(args).stderr(output.try_clone()?);
        match talk {
            Talk::Piped => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            Talk::Logged => command.stdin(Stdio::null()).stdout(output),
        };
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, log })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipes of a child started with [`Talk::Piped`].
    pub(crate) fn pipes(
        &mut self,
    ) -> Option<(std::process::ChildStdin, std::process::ChildStdout)> {
        self.child.stdin.take().zip(self.child.stdout.take())
    }

    /// The process and the children it has forked.
    pub(crate) fn family(&self) -> Vec<u32> {
        let id = self.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let forked = children.split_whitespace().filter_map(|child| child.parse().ok());
        std::iter::once(id).chain(forked).collect()
    }

    /// Sends a signal to the process itself.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        send(self.id(), signal)
    }

    /// Waits until something listens at `address`.
    pub(crate) fn wait_listening(&mut self, address: SocketAddr) -> Result<()> {
        let deadline = clock::now() + START_MAX;
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || clock::now() >= deadline {
                bail!("nothing listens at {address} ({ended:?}): {}", self.last_words());
            }
            sleep(POLL);
        }
        Ok(())
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it has ended by itself, and no longer than `patience`.
    pub(crate) fn wait_ended(&mut self, patience: Duration) -> Result<()> {
        let deadline = clock::now() + patience;
        while self.is_running()? {
            ensure!(clock::now() < deadline, "it does not end: {}", self.last_words());
            sleep(POLL);
        }
        Ok(())
    }

    /// The end of the process's log, for error messages.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(LAST_WORDS_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // The parent goes first: a master that lives would fork its killed workers again.
        let family = self.family();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for worker in &family[1..] {
            let _ = send(*worker, Signal::KILL);
        }
    }
}

/// How a child's standard input and output are connected.
#[derive(Clone, Copy)]
pub(crate) enum Talk {
    /// Pipes to the benchmark.
    Piped,
    /// No input, output to the log.
    Logged,
}

/// Becomes `program`, to be ended by the kernel when the parent goes.
pub(crate) fn tether(program: &Path, args: &[OsString]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // A session of its own is a scheduling group of its own where the kernel groups by session:
    // the processes then share the machine with each other as they would on an idle one.
    setsid()?;
    let error = Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("executing {}", program.display()))
}

/// Gives the processes a core of their own, as far as the machine has it and lets us: every thread
/// runs there, and as [`hasten`] says.
pub(crate) fn seat(pids: &[u32], core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core % std::thread::available_parallelism()?.get());
    for pid in pids {
        for task in tasks(*pid)? {
            sched_setaffinity(task, &cores)?;
        }
    }
    hasten(pids)
}

/// Lets the processes run ahead of what other users of the machine compute.
pub(crate) fn hasten(pids: &[u32]) -> Result<()> {
    for pid in pids {
        for task in tasks(*pid)? {
            // Only root may; without it the figures are noisier and no less fair.
            let _ = setpriority_process(task, NICE);
        }
        let _ = fs::write(format!("/proc/{pid}/autogroup"), NICE.to_string());
    }
    Ok(())
}

/// Every thread of a process.
fn tasks(pid: u32) -> Result<Vec<Option<Pid>>> {
    let mut tasks = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        tasks.push(Pid::from_raw(task?.file_name().to_string_lossy().parse()?));
    }
    Ok(tasks)
}

/// A folder for configurations and logs, removed when dropped.
pub(crate) struct Workplace(PathBuf);

impl Workplace {
    /// Creates a folder of its own below the system's temporary folder.
    pub(crate) fn create() -> Result<Self> {
        let name = format!("everwire-bench-{}-{}", std::process::id(), clock::wall_nanos());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A free loopback address below the ephemeral range, so that no outgoing socket of the load can
/// sit on it while its owner is being restarted.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % u32::from(PORTS))?;
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORT_FIRST + offset.wrapping_add(step) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port from {PORT_FIRST} to {}", PORT_FIRST + PORTS)
}

/// Raises the limit of open files as far as allowed and checks that `needed` fit.
pub(crate) fn ensure_open_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    ensure!(allowed >= needed, "{needed} open files are needed, the limit is {allowed}");
    Ok(())
}

fn send(id: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(id)?).context("process id 0")?;
    Ok(kill_process(pid, signal)?)
}

/// The scheduling priority of processes whose latency is measured.
const NICE: i32 = -15;
const POLL: Duration = Duration::from_millis(5);
/// A proxy that does not listen after this long has failed to start.
const START_MAX: Duration = Duration::from_secs(10);
const LAST_WORDS_LINES: usize = 12;
const PORT_FIRST: u16 = 18_000;
const PORTS: u16 = 12_000;
