//! A program as a child process: started, signalled, restarted, ended, never twice at a time.
//!
//! The child stays in this process group, so that it may read the terminal. What it is to do is asked
//! for with a [`Child`]; a [`Supervisor`] does it and passes on what the system tells this process: TERM,
//! INT, QUIT and HUP. On Linux the child is told to end (TERM) when this process dies without a word.

mod machine;
mod signals;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process};
use tokio::{
    process::{Child as Process, Command},
    sync::{mpsc, oneshot},
};

use self::{
    machine::{Machine, Step},
    signals::Signals,
};
use crate::clock;

/// A program, and how it is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// What is run in its place, with its own id and arguments behind: something that calls
    /// [`become_child`]. Empty to run the program itself, which then may survive this process.
    pub through: Vec<OsString>,
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How long it may take to end before it is killed.
    pub grace: Duration,
}

/// Environment of a child, complete.
pub type Environment = BTreeMap<OsString, OsString>;

/// By which a child is asked for. Clones are for the same child.
#[derive(Clone, Debug)]
pub struct Child {
    requests: mpsc::Sender<Request>,
}

/// What does it.
#[derive(Debug)]
pub struct Supervisor {
    program: Program,
    requests: mpsc::Receiver<Request>,
    machine: Machine,
    process: Option<Process>,
    environment: Environment,
    /// Who waits for the child to run.
    starting: Vec<oneshot::Sender<Result<(), String>>>,
    /// Who waits for it to have ended.
    ending: Vec<oneshot::Sender<Result<(), String>>>,
}

#[derive(Debug)]
struct Request {
    what: Wish,
    done: oneshot::Sender<Result<(), String>>,
}

#[derive(Debug)]
enum Wish {
    Start(Environment),
    Restart(Environment),
    Signal(Signal),
    Stop,
}

impl Child {
    /// Starts the program if it does not run, and waits until it does.
    ///
    /// # Errors
    /// In words, if it cannot be started.
    pub async fn start(&self, environment: Environment) -> Result<(), String> {
        self.ask(Wish::Start(environment)).await
    }

    /// Ends the program, by force after its grace, and starts it anew. Who asks while that is under way
    /// waits for the same restart, which takes the latest environment.
    ///
    /// # Errors
    /// In words, if it cannot be started, or is not to run any more.
    pub async fn restart(&self, environment: Environment) -> Result<(), String> {
        self.ask(Wish::Restart(environment)).await
    }

    /// Sends the program a signal.
    ///
    /// # Errors
    /// In words, if it does not run.
    pub async fn signal(&self, signal: Signal) -> Result<(), String> {
        self.ask(Wish::Signal(signal)).await
    }

    /// Ends the program for good, by force after its grace, and waits until it has ended.
    ///
    /// # Errors
    /// In words, if it has ended before.
    pub async fn stop(&self) -> Result<(), String> {
        self.ask(Wish::Stop).await
    }

    async fn ask(&self, what: Wish) -> Result<(), String> {
        let (done, is_done) = oneshot::channel();
        let over = || "the program has ended".to_owned();
        self.requests.send(Request { what, done }).await.map_err(|_| over())?;
        is_done.await.unwrap_or_else(|_| Err(over()))
    }
}

impl Supervisor {
    /// A program that does not run yet.
    pub fn new(program: Program) -> (Self, Child) {
        let (requests, wished) = mpsc::channel(REQUESTS_MAX);
        let machine = Machine::new(program.grace);
        let supervisor = Self {
            program,
            requests: wished,
            machine,
            process: None,
            environment: Environment::new(),
            starting: Vec::new(),
            ending: Vec::new(),
        };
        (supervisor, Child { requests })
    }

    /// Supervises until the program has ended and is not to be started again, and gives its exit
    /// code, or 128 and the number of the signal that ended it.
    ///
    /// To be awaited in the main thread: a child learns of the death of the thread that started it.
    ///
    /// # Errors
    /// If signals cannot be listened to.
    pub async fn run(mut self) -> io::Result<u8> {
        let mut signals = Signals::listen()?;
        loop {
            let step = tokio::select! {
                status = exit_of(&mut self.process) => self.exited(status?),
                signal = signals.next() => self.told(signal),
                Some(request) = self.requests.recv() => self.wished(request),
                () = clock::until(self.machine.deadline()) => self.machine.handle_time(clock::now()),
            };
            if let Some(code) = self.carry_out(step) {
                return Ok(code);
            }
        }
    }

    fn exited(&mut self, status: ExitStatus) -> Option<Step> {
        self.process = None;
        self.machine.handle_exit(exit_code(status))
    }

    /// The system has told this process something that its child is to know.
    fn told(&mut self, signal: Signal) -> Option<Step> {
        if signals::reaches_child_too(signal) && self.process.is_some() {
            return None;
        }
        match signal {
            Signal::HUP => self.machine.handle_signal(signal),
            _ => self.machine.handle_stop(signal, clock::now()),
        }
    }

    fn wished(&mut self, Request { what, done }: Request) -> Option<Step> {
        match what {
            Wish::Start(environment) => {
                self.environment = environment;
                self.starting.push(done);
                let step = self.machine.handle_start();
                if step.is_none() {
                    self.tell_starting(&Ok(()));
                }
                step
            }
            Wish::Restart(environment) => {
                self.environment = environment;
                self.starting.push(done);
                self.machine.handle_restart(clock::now())
            }
            Wish::Stop => {
                self.ending.push(done);
                self.machine.handle_stop(Signal::TERM, clock::now())
            }
            Wish::Signal(signal) => {
                // Who asks may be gone.
                let _ = done.send(self.signal(signal));
                None
            }
        }
    }

    /// Gives the exit code if it is over.
    fn carry_out(&mut self, mut step: Option<Step>) -> Option<u8> {
        while let Some(current) = step.take() {
            match current {
                Step::Signal(signal) => {
                    if let Err(error) = self.signal(signal) {
                        tracing::debug!(%error, "the program was not told");
                    }
                }
                Step::Spawn => step = self.spawn(),
                Step::End(code) => {
                    self.tell_starting(&Err("the program is to end".to_owned()));
                    for done in self.ending.drain(..) {
                        let _ = done.send(Ok(()));
                    }
                    return Some(code);
                }
            }
        }
        None
    }

    fn spawn(&mut self) -> Option<Step> {
        let mut command = self.program.command();
        command.env_clear().envs(&self.environment).stdin(Stdio::inherit());
        match command.spawn() {
            Ok(process) => {
                self.process = Some(process);
                self.tell_starting(&Ok(()));
                None
            }
            Err(error) => {
                let program = self.program.program.display();
                self.tell_starting(&Err(format!("{program} cannot be started: {error}")));
                self.machine.handle_exit(failure_code(&error))
            }
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let id = self.process.as_ref().and_then(Process::id);
        let id = id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or("the program does not run")?;
        kill_process(id, signal).map_err(|error| error.to_string())
    }

    fn tell_starting(&mut self, how: &Result<(), String>) {
        for done in self.starting.drain(..) {
            let _ = done.send(how.clone());
        }
    }
}

impl Program {
    fn command(&self) -> Command {
        match self.through.split_first() {
            None => {
                let mut command = Command::new(&self.program);
                command.args(&self.arguments);
                command
            }
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(std::process::id().to_string());
                command.arg("--").arg(&self.program).args(&self.arguments);
                command
            }
        }
    }
}

/// Becomes a program that ends when `parent`, the process that started this one, dies.
///
/// A process can ask the system for that only for itself, and forgets it where it does so between fork
/// and exec with anything but unsafe code: hence this step between. Returns only if it fails: the exit
/// code that shells give for such, and why.
pub fn become_child(parent: u32, program: &OsString, arguments: &[OsString]) -> (u8, String) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::debug!(%error, "the program may survive its agent");
    }
    let has_parent = getppid().is_some_and(|id| id.as_raw_nonzero().get() as u32 == parent);
    if !has_parent {
        return (128 + 15, "its agent has died".to_owned());
    }
    let error = std::process::Command::new(program).args(arguments).exec();
    (failure_code(&error), format!("{} cannot be started: {error}", program.display()))
}

async fn exit_of(process: &mut Option<Process>) -> io::Result<ExitStatus> {
    match process {
        Some(process) => process.wait().await,
        None => std::future::pending().await,
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// What shells exit with when there is no such program, or it cannot be run.
fn failure_code(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Requests that nobody has looked at; more have to wait.
const REQUESTS_MAX: usize = 16;
