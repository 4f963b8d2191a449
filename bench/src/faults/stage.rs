//! One fault run: backends, a proxy, clients, and a script of what happens to the backends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Signal;

use super::record::{self, Record};
use super::store;
use crate::clock;
use crate::control::Helper;
use crate::process::{Workplace, free_address, hasten};
use crate::proxy::{Kind, Proxy, Setup};

/// What is played.
#[derive(Debug, Clone)]
pub(crate) struct Play {
    pub(crate) backends: u64,
    pub(crate) clients: u32,
    /// Between two questions of a client.
    pub(crate) interval: Duration,
    /// A backend's work on a question.
    pub(crate) work: Duration,
    /// Backends store what they take, in one store: exactly once.
    pub(crate) durable: bool,
    pub(crate) control: Control,
    /// Clients dial again at once and send again what is unanswered: no proxy does it for them.
    pub(crate) self_help: bool,
    pub(crate) script: Vec<Step>,
}

/// What a control run does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Nothing: this is no control run.
    None,
    /// Both sides tamper with their messages.
    Tamper,
    /// Clients send again what is unanswered, and nobody compares it with what has arrived.
    Resend,
    /// So they do although their backend says what it has stored.
    Ignore,
}

/// One thing that happens; backends are named by their number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Pause(Duration),
    /// SIGKILL.
    Kill(u64),
    /// Start again what was killed.
    Start(u64),
    /// Close all connections with 1012, exit, start again.
    Restart(u64),
    /// SIGSTOP.
    Stop(u64),
    /// SIGCONT.
    Continue(u64),
}

/// What was seen.
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    /// The backends that were killed, and when.
    pub(crate) kills: Vec<(u64, u64)>,
}

/// Plays a script in front of a proxy and collects what all sides wrote down.
pub(crate) fn play(kind: Kind, setup: &Setup, play: &Play) -> Result<Seen> {
    let place = Workplace::create()?;
    let mut backends = Vec::new();
    for number in 0..play.backends {
        backends.push(Backend::start(&place, number, play)?);
    }
    let mut setup = setup.clone();
    setup.backends = backends.iter().map(|backend| backend.address).collect();
    let mut proxy = Proxy::start(kind, &setup)?;
    hasten(&proxy.pids())?;
    let records = place.file("clients.records");
    let mut clients = start_clients(&place, proxy.targets(), &records, play)?;
    hasten(&clients.process().family())?;
    let mut kills = Vec::new();
    for step in &play.script {
        act(*step, &place, play, &mut backends, &mut kills)?;
    }
    clients.ask::<()>("finish")?;
    let mut all = record::read(&records)?;
    for file in backends.iter().flat_map(|backend| &backend.records) {
        all.extend(record::read(file)?);
    }
    if play.durable {
        all.extend(store::read_all(&place.file(STORE))?);
    }
    Ok(Seen { records: all, kills })
}

fn act(
    step: Step,
    place: &Workplace,
    play: &Play,
    backends: &mut [Backend],
    kills: &mut Vec<(u64, u64)>,
) -> Result<()> {
    match step {
        Step::Pause(duration) => sleep(duration),
        Step::Kill(number) => {
            kills.push((number, clock::wall_nanos()));
            named(backends, number)?.running = None;
        }
        Step::Start(number) => named(backends, number)?.start_again(place, play)?,
        Step::Restart(number) => {
            let backend = named(backends, number)?;
            if let Some(running) = &mut backend.running {
                running.ask::<()>("leave")?;
            }
            backend.running = None;
            backend.start_again(place, play)?;
        }
        Step::Stop(number) => named(backends, number)?.signal(Signal::STOP)?,
        Step::Continue(number) => named(backends, number)?.signal(Signal::CONT)?,
    }
    Ok(())
}

fn named(backends: &mut [Backend], number: u64) -> Result<&mut Backend> {
    let found = backends.iter_mut().find(|backend| backend.number == number);
    found.context("a script that names no backend")
}

fn start_clients(
    place: &Workplace,
    targets: &[SocketAddr],
    records: &std::path::Path,
    play: &Play,
) -> Result<Helper> {
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let options = [
        ("--targets", targets.join(",")),
        ("--clients", play.clients.to_string()),
        ("--interval-ms", play.interval.as_millis().to_string()),
        ("--records", records.display().to_string()),
    ];
    let mut args = arguments("fault-clients", &options);
    if play.self_help {
        args.extend(["--resend", "--redial-ms", "0"].map(String::from));
    }
    match play.control {
        Control::None => {}
        Control::Resend => args.push(String::from("--resend")),
        Control::Ignore => args.extend(["--resend", "--account"].map(String::from)),
        Control::Tamper => {
            args.push(String::from("--tamper"));
            args.extend([String::from("--questions-max"), TAMPERED_QUESTIONS.to_string()]);
        }
    }
    Helper::start(place, "clients", &args)
}

/// One backend through all its lives.
struct Backend {
    number: u64,
    address: SocketAddr,
    lives: u64,
    /// Dropping it is the SIGKILL.
    running: Option<Helper>,
    records: Vec<PathBuf>,
}

impl Backend {
    fn start(place: &Workplace, number: u64, play: &Play) -> Result<Self> {
        let address = free_address()?;
        let mut backend = Self { number, address, lives: 0, running: None, records: Vec::new() };
        backend.start_again(place, play)?;
        Ok(backend)
    }

    fn start_again(&mut self, place: &Workplace, play: &Play) -> Result<()> {
        let records = place.file(&format!("backend-{}-{}.records", self.number, self.lives));
        let options = [
            ("--listen", self.address.to_string()),
            ("--number", self.number.to_string()),
            ("--life", self.lives.to_string()),
            ("--records", records.display().to_string()),
            ("--work-ms", play.work.as_millis().to_string()),
        ];
        let mut args = arguments("fault-backend", &options);
        if play.control == Control::Tamper {
            args.push(String::from("--tamper"));
        }
        if play.durable {
            args.extend([String::from("--store"), place.file(STORE).display().to_string()]);
        }
        let mut running = Helper::start(place, &format!("backend-{}", self.number), &args)?;
        hasten(&running.process().family())?;
        self.running = Some(running);
        self.lives += 1;
        self.records.push(records);
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let running = self.running.as_mut().context("the backend is not running")?;
        running.process().signal(signal)
    }
}

fn arguments(command: &str, options: &[(&str, String)]) -> Vec<String> {
    let mut args = vec![String::from(command)];
    args.extend(options.iter().flat_map(|(name, value)| [String::from(*name), value.clone()]));
    args
}

/// The backends' store in the workplace.
const STORE: &str = "store";
/// A tampered run is over for a client before anything that is held could be left behind.
const TAMPERED_QUESTIONS: u64 = 36;
