//! A process of a test: started, listened to, signalled by its id, and always ended.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::eventually;

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

/// The lines that a process has written so far to one of its outputs.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
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
        eventually(&what, async || {
            let found = self.stdout.find(&find).or_else(|| self.stderr.find(&find));
            if found.is_none() && self.has_ended() {
                panic!("{} ended before it was ready:\n{}", self.name, self.transcript());
            }
            found
        })
        .await
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
    fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                sink.0.lock().unwrap().lines.push(line);
            }
            sink.0.lock().unwrap().ended = true;
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().lines.clone()
    }

    /// The lines after the first `from`.
    pub fn after(&self, from: usize) -> Vec<String> {
        self.0.lock().unwrap().lines.get(from..).unwrap_or(&[]).to_vec()
    }

    /// What `find` makes of the first line from which it makes anything.
    pub fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.0.lock().unwrap().lines.iter().find_map(|line| find(line))
    }

    /// Waits until the process has closed this output: nothing more will be written.
    pub async fn complete(&self) -> Vec<String> {
        eventually("the end of an output", async || self.0.lock().unwrap().ended.then_some(()))
            .await;
        self.all()
    }
}

/// How much of a process' log a failing test shows.
const TRANSCRIPT_LINES: usize = 60;
