//! Running other programs, each with a limit of time.
//!
//! A program that hangs is ended together with everything it started; a program kept in the
//! background is ended when its [`Peer`] is dropped. Owns this crate's only clock.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::root;

/// Longest time for a benchmark: several rounds over three proxies.
pub(crate) const BENCH_MAX: Duration = Duration::from_secs(90 * 60);

/// Longest time for a build or a whole test run of the workspace on two cores.
pub(crate) const BUILD_MAX: Duration = Duration::from_secs(40 * 60);

/// Longest time for something that should take seconds.
pub(crate) const QUICK_MAX: Duration = Duration::from_secs(120);

/// Time for a server in the background to begin to listen.
const LISTEN_MAX: Duration = Duration::from_secs(15);

/// Pause between two looks at whether a server listens.
const LISTEN_PAUSE: Duration = Duration::from_millis(20);

/// `cargo` with arguments, run in the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command("cargo", arguments)
}

/// A program with arguments, run in the repository's root.
pub(crate) fn command(program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(arguments).current_dir(root::repository());
    command
}

/// Runs to the end with the terminal's own output; `true` if it succeeded.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<bool> {
    let child = spawn(command.stdin(Stdio::null()))?;
    Ok(wait(child, limit, |_| Ok(()))?.success())
}

/// Runs to the end, shows each line of both its outputs and passes it on.
pub(crate) fn watch(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<bool> {
    let (output, writer) = io::pipe()?;
    let child = spawn(command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer))?;
    // The command keeps its ends of the pipe open, and reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = wait(child, limit, |_| {
        for text in BufReader::new(output).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            line(&text);
        }
        Ok(())
    })?;
    Ok(status.success())
}

/// Runs to the end without showing anything; its success and standard output.
pub(crate) fn read(command: &mut Command, limit: Duration) -> Result<(bool, String)> {
    let child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let mut text = String::new();
    let status = wait(child, limit, |child| {
        if let Some(output) = &mut child.stdout {
            output.read_to_string(&mut text)?;
        }
        Ok(())
    })?;
    Ok((status.success(), text))
}

/// Runs to the end with both outputs in a file; `true` if it succeeded.
pub(crate) fn run_into(command: &mut Command, log: &Path, limit: Duration) -> Result<bool> {
    let child = spawn(redirected(command, log)?)?;
    Ok(wait(child, limit, |_| Ok(()))?.success())
}

/// The file of a program somewhere on `PATH`, or where Debian keeps servers.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// How long something took.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to count.
    #[expect(clippy::disallowed_methods, reason = "this file owns the crate's clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A server in the background, ended when this is dropped.
pub(crate) struct Peer {
    child: Child,
    log: PathBuf,
}

impl Peer {
    /// Starts a server whose output goes to `log`, and waits until it listens at `address`.
    pub(crate) fn start(command: &mut Command, address: SocketAddr, log: &Path) -> Result<Self> {
        let child = spawn(redirected(command, log)?)?;
        let mut peer = Self { child, log: log.to_owned() };
        peer.wait_until_listening(address)?;
        Ok(peer)
    }

    fn wait_until_listening(&mut self, address: SocketAddr) -> Result<()> {
        let clock = Stopwatch::start();
        while TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || clock.elapsed() > LISTEN_MAX {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("nothing listens at {address}; its log says:\n{said}");
            }
            thread::sleep(LISTEN_PAUSE);
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end_tree(self.child.id());
        // Nothing is left to do about a child that cannot be waited for.
        let _ = self.child.wait();
    }
}

/// Ports that the system does not hand to outgoing connections, which come and go by the thousand
/// while Autobahn runs and could take a port between the choice here and the server's bind.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port that nobody listens on at any of the loopback addresses given.
pub(crate) fn free_port(addresses: &[IpAddr]) -> Result<u16> {
    for _ in 0..100 {
        let random = RandomState::new().build_hasher().finish() % PORTS.len() as u64;
        let port = PORTS.start + u16::try_from(random)?;
        if addresses.iter().all(|address| TcpListener::bind((*address, port)).is_ok()) {
            return Ok(port);
        }
    }
    bail!("no port is free at all of {addresses:?}")
}

fn redirected<'a>(command: &'a mut Command, log: &Path) -> Result<&'a mut Command> {
    let file = fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let twin = file.try_clone()?;
    Ok(command.stdin(Stdio::null()).stdout(file).stderr(twin))
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("starting {}", command.get_program().display()))
}

/// Waits for a child while `attend` reads from it; past the limit the child and all it started end.
fn wait(
    mut child: Child,
    limit: Duration,
    attend: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<ExitStatus> {
    let id = child.id();
    let (done, over) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let late = over.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            end_tree(id);
        }
        late
    });
    let attended = attend(&mut child);
    let status = child.wait()?;
    drop(done);
    if watchdog.join().unwrap_or(false) {
        bail!("took longer than {} s and was ended", limit.as_secs());
    }
    attended?;
    Ok(status)
}

/// Ends a process and all its descendants.
fn end_tree(id: u32) {
    let mut ids = vec![id.to_string()];
    let mut next = 0;
    while let Some(parent) = ids.get(next).cloned() {
        ids.extend(children(&parent));
        next += 1;
    }
    // The shell's own `kill`: the program of that name is missing from small containers.
    let script = format!("kill -KILL {} 2>/dev/null", ids.join(" "));
    let _ = Command::new("sh").args(["-c", &script]).status();
}

fn children(parent: &str) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_past_its_limit_is_ended_with_what_it_started() {
        let clock = Stopwatch::start();
        let mut shell = command("sh", &["-c", "sleep 60 & sleep 60"]);
        let error = run(&mut shell, Duration::from_millis(100)).expect_err("it hangs");
        assert!(error.to_string().contains("was ended"), "{error}");
        assert!(clock.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn watch_passes_on_each_line() {
        let mut lines = Vec::new();
        let mut shell = command("sh", &["-c", "echo a; echo b >&2; exit 3"]);
        let passed = watch(&mut shell, QUICK_MAX, |line| lines.push(line.to_owned())).unwrap();
        assert!(!passed);
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn a_server_that_never_listens_is_reported_with_its_log() {
        let port = free_port(&[[127, 0, 0, 1].into()]).unwrap();
        let log = std::env::temp_dir().join(format!("xtask-peer-{port}.log"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut shell = command("sh", &["-c", "echo no such file; exit 1"]);
        let Err(error) = Peer::start(&mut shell, address, &log) else { panic!("it never listens") };
        assert!(error.to_string().contains("no such file"), "{error}");
        fs::remove_file(log).unwrap();
    }
}
