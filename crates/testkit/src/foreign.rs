//! Peers that somebody else wrote, in Node and Python, each a process of its own.
//!
//! What they say of themselves, one JSON object a line, is read into [`Event`]s. A [`Backend`]
//! keeps its address over any number of lives, and what it said in each of them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    checker::Checker,
    loopback::unique_address,
    message::Mark,
    namespace::Namespace,
    process::Process,
    tools::workspace,
    wait::{POLL, eventually, until_equal},
};

/// Which program a peer runs, and how it is to behave.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Launch {
    /// A script of `e2e/node`.
    pub fn node(node: &Path, script: &str) -> Self {
        Self::script(node, &format!("e2e/node/{script}"))
    }

    /// A script of `e2e/python`.
    pub fn python(python: &Path, script: &str) -> Self {
        Self::script(python, &format!("e2e/python/{script}"))
    }

    /// Adds an option: `--name value`.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_string()]);
        self
    }

    /// Adds an option without a value: `--name`.
    pub fn flag(mut self, name: &str) -> Self {
        self.arguments.push(format!("--{name}"));
        self
    }

    /// Runs it inside a network namespace.
    pub fn within(mut self, namespace: &Namespace) -> Self {
        let mut words = namespace.prefix();
        words.push(self.program.to_string_lossy().into_owned());
        self.program = words.remove(0).into();
        self.arguments.splice(0..0, words);
        self
    }

    fn script(program: &Path, script: &str) -> Self {
        let script = workspace().join(script).to_string_lossy().into_owned();
        Self { program: program.to_owned(), arguments: vec![script] }
    }

    pub(crate) fn start(&self, more: &[String]) -> Process {
        let script = self.arguments.iter().find(|word| word.contains("e2e/"));
        let name = script.map_or("a peer", |script| script.rsplit('/').next().unwrap_or(script));
        Process::start(name, Command::new(&self.program).args(&self.arguments).args(more))
    }

    /// Runs the script to its end and gives what it said.
    pub async fn run(&self) -> Vec<Event> {
        let mut process = self.start(&[]);
        let lines = process.stdout().complete().await;
        let status = process.ended().await;
        assert!(status.success(), "{status}:\n{}", process.transcript());
        lines.iter().map(|line| parse(line)).collect()
    }
}

/// Something that a foreign peer said.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A backend listens.
    Ready {
        /// Where.
        port: u16,
    },
    /// A backend's leg, or a client's connection, was opened.
    Open(Opened),
    /// A message arrived.
    Message(Received),
    /// A leg or connection ended.
    Close(Closed),
    /// The durable backend has committed a message.
    Stored(Stored),
    /// The head of a plain request has come.
    Request(Requested),
    /// The client of a plain request went before it had its answer.
    Gone(Requested),
    /// The durable backend did not store for a superseded leg; a client was refused its upgrade.
    Refused(BTreeMap<String, Value>),
}

/// A leg or connection that was opened.
#[derive(Clone, Debug, Deserialize)]
pub struct Opened {
    /// The leg's name; legs of the durable backend are numbered by the gateway.
    #[serde(default)]
    pub leg: Value,
    /// The request's target.
    #[serde(default)]
    pub path: String,
    /// The request's headers, names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, Value>,
    /// The agreed subprotocol.
    #[serde(default)]
    pub protocol: String,
    /// The agreed extensions, by name.
    #[serde(default)]
    pub extensions: String,
    /// What else the peer says, such as the durable backend's account of the session.
    #[serde(flatten)]
    pub account: BTreeMap<String, Value>,
}

impl Opened {
    /// The stream of the numbered messages that a backend sends on this leg.
    pub fn stream(&self) -> String {
        format!("leg.{}", self.leg.as_str().unwrap_or_default())
    }
}

/// A plain request.
#[derive(Clone, Debug, Deserialize)]
pub struct Requested {
    /// Its target.
    pub url: String,
    /// The number of the connection that it came over.
    pub connection: Option<u64>,
    /// How much of the answer had been written, where the page counts that.
    pub bytes: Option<u64>,
}

/// A message that arrived at a foreign peer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Received {
    /// When, on the machine's monotonic clock in nanoseconds.
    pub at: u64,
    /// On which leg of a backend.
    pub leg: String,
    /// On which connection of a client.
    pub connection: String,
    /// How long it was.
    pub bytes: u64,
    /// Whose it is, where it is one of ours.
    pub stream: Option<String>,
    /// Its number, where it is one of ours.
    pub sequence: u64,
    /// Whether the peer found hash and opcode right.
    pub whole: bool,
    /// The beginning of any other message.
    pub text: String,
    /// Whether any other message was binary.
    pub binary: bool,
    /// The hash of any other message, in hex.
    pub sha1: String,
}

impl Received {
    /// The mark of one of our messages.
    pub fn mark(&self) -> Option<Mark> {
        let stream = self.stream.clone()?;
        Some(Mark { stream, sequence: self.sequence, whole: self.whole })
    }
}

/// A leg or connection that ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Closed {
    /// Which leg.
    #[serde(default)]
    pub leg: String,
    /// With which code: 1006 stands for no Close at all.
    pub code: Option<u16>,
    /// With which reason.
    pub reason: Option<String>,
    /// How many numbered messages the backend had sent on it.
    #[serde(default)]
    pub replies: u64,
}

/// A message that the durable backend has committed.
#[derive(Clone, Debug, Deserialize)]
pub struct Stored {
    /// The gateway's name for the session.
    pub session: String,
    /// The leg that brought it; 0 in a listing.
    pub leg: u64,
    /// Its number in the session.
    pub number: u64,
    /// Whose it is.
    pub stream: String,
    /// The sender's own number.
    pub sequence: u64,
    /// Whether hash and opcode were right.
    pub whole: bool,
}

impl Stored {
    /// The mark of the message.
    pub fn mark(&self) -> Mark {
        Mark { stream: self.stream.clone(), sequence: self.sequence, whole: self.whole }
    }
}

/// A backend in a foreign language, at one address for all its lives.
#[derive(Debug)]
pub struct Backend {
    launch: Launch,
    address: SocketAddr,
    process: Process,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    events: Vec<Event>,
    /// Lines of the present life that are already among the events.
    lines_read: usize,
}

impl Backend {
    /// Starts it at an address of its own and waits until it listens.
    pub async fn start(launch: Launch) -> Self {
        Self::start_at(launch, SocketAddr::from((unique_address(), 0))).await
    }

    /// Starts it on 127.0.0.1, for what cares which loopback address it is.
    pub async fn start_on_localhost(launch: Launch) -> Self {
        Self::start_at(launch, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts it at `address`; port 0 lets the kernel choose.
    pub async fn start_at(launch: Launch, mut address: SocketAddr) -> Self {
        let mut process = launch.start(&listen_arguments(address));
        address.set_port(process.ready("listening", ready_port).await);
        Self { launch, address, process, said: Mutex::default() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL without a path.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Its present process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL, and nothing listens at its address any more.
    pub async fn kill(&mut self) {
        self.process.kill();
        self.bury().await;
    }

    /// SIGTERM: closes its sockets with 1012 and ends.
    pub async fn stop_gracefully(&mut self) {
        self.process.terminate();
        self.process.ended().await;
        self.bury().await;
    }

    /// Starts it again at the same address. It must have ended.
    pub async fn revive(&mut self) {
        self.bury().await;
        self.process = self.launch.start(&listen_arguments(self.address));
        self.said.lock().unwrap().lines_read = 0;
        self.process.ready("listening again", ready_port).await;
    }

    /// Revives it whenever it has ended, as a supervisor would, and counts that. It never returns:
    /// race it against what is to happen meanwhile.
    pub async fn keep_alive(&mut self, deaths: &mut u32) -> Infallible {
        loop {
            if self.process.has_ended() {
                *deaths += 1;
                self.revive().await;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Changes how its next life behaves.
    pub fn change(&mut self, launch: Launch) {
        self.launch = launch;
    }

    /// Everything it has said, in all its lives.
    pub fn events(&self) -> Vec<Event> {
        self.catch_up();
        self.said.lock().unwrap().events.clone()
    }

    /// What `pick` makes of each event.
    pub fn pick<T>(&self, pick: impl FnMut(&Event) -> Option<T>) -> Vec<T> {
        self.catch_up();
        self.said.lock().unwrap().events.iter().filter_map(pick).collect()
    }

    /// The legs it was handed.
    pub fn legs(&self) -> Vec<Opened> {
        self.pick(|event| if let Event::Open(opened) = event { Some(opened.clone()) } else { None })
    }

    /// The messages that arrived.
    pub fn messages(&self) -> Vec<Received> {
        self.pick(|event| if let Event::Message(seen) = event { Some(seen.clone()) } else { None })
    }

    /// The plain requests it was sent.
    pub fn requests(&self) -> Vec<Requested> {
        self.pick(|event| if let Event::Request(seen) = event { Some(seen.clone()) } else { None })
    }

    /// Waits until it has been sent `count` plain requests in all its lives.
    pub async fn requests_reach(&self, count: usize) {
        let what = "requests at a backend";
        until_equal(what, count, async || self.requests().len().min(count)).await;
    }

    /// Waits until the client of a request for `url` has gone before it had its answer.
    pub async fn gone(&self, url: &str) -> Requested {
        let gone = |event: &Event| match event {
            Event::Gone(seen) if seen.url == url => Some(seen.clone()),
            _ => None,
        };
        eventually("a client gone", async || self.pick(gone).pop()).await
    }

    /// How its legs ended.
    pub fn closes(&self) -> Vec<Closed> {
        self.pick(
            |event| if let Event::Close(closed) = event { Some(closed.clone()) } else { None },
        )
    }

    /// Waits until it has been handed `count` legs in all its lives.
    pub async fn legs_reach(&self, count: usize) {
        until_equal("legs of a backend", count, async || self.legs().len().min(count)).await;
    }

    /// Waits until `count` messages have arrived in all its lives.
    pub async fn messages_reach(&self, count: usize) {
        let what = "messages at a backend";
        until_equal(what, count, async || self.messages().len().min(count)).await;
    }

    fn catch_up(&self) {
        let mut said = self.said.lock().unwrap();
        let lines = self.process.stdout().after(said.lines_read);
        said.lines_read += lines.len();
        said.events.extend(lines.iter().map(|line| parse(line)));
    }

    /// Reads what a process that has ended still had to say.
    async fn bury(&mut self) {
        let what = "the end of a backend before its next life";
        eventually(what, async || self.process.has_ended().then_some(())).await;
        self.process.stdout().complete().await;
        self.catch_up();
    }
}

/// Tells `checker` what arrived at `backends`, in the order in which it arrived at any of them.
pub fn report_arrivals(backends: &[&Backend], checker: &mut Checker) {
    let mut arrivals: Vec<Received> =
        backends.iter().flat_map(|backend| backend.messages()).collect();
    arrivals.sort_by_key(|seen| seen.at);
    for seen in arrivals {
        checker.arrived_on(&seen.leg, seen.mark().as_ref());
    }
}

/// A client in a foreign language.
#[derive(Debug)]
pub struct Client {
    process: Process,
}

impl Client {
    /// Starts it; it opens its connections by itself.
    pub fn start(launch: &Launch) -> Self {
        Self { process: launch.start(&[]) }
    }

    /// Each connection sends its next `count` numbered messages.
    pub fn say(&mut self, count: u64) {
        self.process.tell(&format!("say {count}"));
    }

    /// Each connection closes.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.process.tell(&format!("close {code} {reason}"));
    }

    /// Everything it has said.
    pub fn events(&self) -> Vec<Event> {
        self.process.stdout().all().iter().map(|line| parse(line)).collect()
    }

    /// The process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until `count` of its events are of the kind that `is` accepts.
    pub async fn hears(&self, what: &str, count: usize, is: impl Fn(&Event) -> bool) {
        let seen = async || self.events().iter().filter(|event| is(event)).count().min(count);
        until_equal(what, count, seen).await;
    }

    /// Tells `checker` which messages arrived here, and which connections ended unasked.
    pub fn report_to(&self, checker: &mut Checker) {
        for event in self.events() {
            match event {
                Event::Message(seen) => checker.arrived(seen.mark().as_ref()),
                Event::Close(Closed { code: Some(1006), .. }) => checker.dropped(),
                _ => {}
            }
        }
    }
}

fn listen_arguments(address: SocketAddr) -> [String; 4] {
    ["--host".into(), address.ip().to_string(), "--port".into(), address.port().to_string()]
}

fn ready_port(line: &str) -> Option<u16> {
    match serde_json::from_str(line) {
        Ok(Event::Ready { port }) => Some(port),
        _ => None,
    }
}

fn parse(line: &str) -> Event {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("a peer said {line:?}: {error}"))
}
