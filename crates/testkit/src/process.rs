//! A process of a test: started, listened to, signalled by its id, and always ended.

use std::{
    fmt, fs,
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::ioctl_fionbio,
    process::{Pid, Signal, kill_process},
};

use crate::wait::{PATIENCE, eventually, eventually_within};

/// A running child process. Dropping it kills it, stopped or not.
///
/// Threads of its own drain stdout and stderr, so that no child ever waits for its test to read.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

/// The lines that a process has written to one of its outputs.
///
/// Whoever asks reads first what waits in the pipe: what a process wrote before it did something
/// that a test has seen is always there.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Mutex<Written>>);

struct Written {
    pipe: Box<dyn Read + Send>,
    /// The beginning of a line.
    begun: Vec<u8>,
    lines: Vec<String>,
    ended: bool,
}

impl Process {
    /// Starts `command` with all three standard streams held by the test.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, stdin, stdout, stderr }
    }

    /// The process' id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its anonymous memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("a live process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("Linux counts anonymous memory") * 1024
    }

    /// What it has written to stdout.
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// What it has written to stderr.
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Writes one line to its stdin. A process that has ended does not hear it.
    pub fn tell(&mut self, line: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Waits for a line on stdout or stderr from which `find` reads something.
    pub async fn ready<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{}: {what}", self.name);
        eventually_within(PATIENCE, &what, async || {
            let found = self.stdout.find(&find).or_else(|| self.stderr.find(&find));
            if found.is_none() && self.has_ended() {
                panic!("{} ended before it was ready:\n{}", self.name, self.transcript());
            }
            found
        })
        .await
    }

    /// SIGKILL, without waiting for the process to be gone.
    pub fn begin_kill(&mut self) {
        let _ = self.child.kill();
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; the process decides what that means.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: the process does nothing until [`Process::wake`]; its kernel still accepts bytes.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGABRT, as if the process had crashed by itself.
    pub fn crash(&self) {
        self.signal(Signal::ABORT);
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually(&what, async || self.child.try_wait().expect("a child can be waited for")).await
    }

    /// Everything it has written, for the message of a failing test.
    pub fn transcript(&self) -> String {
        let text = |lines: &Lines| lines.all().join("\n");
        format!("{}\n--- stderr\n{}", text(&self.stdout), text(&self.stderr))
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(id, signal)
            .unwrap_or_else(|error| panic!("{signal:?} {}: {error}", self.name));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let lines = self.stderr.all();
            let tail = &lines[lines.len().saturating_sub(TRANSCRIPT_LINES)..];
            eprintln!("--- stderr of {}\n{}", self.name, tail.join("\n"));
        }
    }
}

impl Lines {
    fn of(pipe: impl Read + AsFd + Send + 'static) -> Self {
        ioctl_fionbio(&pipe, true).expect("a pipe can be read without waiting");
        let ready = pipe.as_fd().try_clone_to_owned().expect("a descriptor can be doubled");
        let pipe = Box::new(pipe);
        let written = Written { pipe, begun: Vec::new(), lines: Vec::new(), ended: false };
        let lines = Self(Arc::new(Mutex::new(written)));
        let drained = lines.clone();
        thread::spawn(move || drained.drain_to_the_end(&ready));
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.after(0)
    }

    /// The lines after the first `from`.
    pub fn after(&self, from: usize) -> Vec<String> {
        self.caught_up().lines.get(from..).unwrap_or(&[]).to_vec()
    }

    /// What `find` makes of the first line from which it makes anything.
    pub fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.caught_up().lines.iter().find_map(|line| find(line))
    }

    /// Waits until the process has closed this output: nothing more will be written.
    pub async fn complete(&self) -> Vec<String> {
        eventually("the end of an output", async || self.caught_up().ended.then_some(())).await;
        self.all()
    }

    fn caught_up(&self) -> MutexGuard<'_, Written> {
        let mut written = self.0.lock().unwrap();
        written.catch_up();
        written
    }

    /// Keeps the pipe from filling while nobody asks.
    fn drain_to_the_end(&self, ready: &OwnedFd) {
        while !self.caught_up().ended {
            let _ = poll(&mut [PollFd::new(ready, PollFlags::IN)], None);
        }
    }
}

impl Written {
    fn catch_up(&mut self) {
        let mut chunk = [0; 16 * 1024];
        while !self.ended {
            match self.pipe.read(&mut chunk) {
                Ok(0) => self.ended = true,
                Ok(count) => self.take(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.ended = true,
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.last() == Some(&b'\n') {
                self.begun.pop();
                self.lines.push(String::from_utf8_lossy(&self.begun).into_owned());
                self.begun.clear();
            }
        }
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines", self.lines.len())
    }
}

/// How much of a process' log a failing test shows.
const TRANSCRIPT_LINES: usize = 60;
