//! Instances of a fleet: each joins by its URL, answers every command at once, and hears every change of
//! the set that it watches.
//!
//! A command that comes twice, or a version that is not the next one, ends the process: then the run
//! is void.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::Connection;
use super::dialect;
use crate::control::{self, Questions};
use crate::{clock, wire};

/// Who joins.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The manager.
    #[arg(long)]
    target: SocketAddr,
    /// How many instances.
    #[arg(long)]
    connections: u64,
    /// The application they are of.
    #[arg(long)]
    app: String,
    /// The set that each watches.
    #[arg(long)]
    set: Option<String>,
}

/// The question.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// How many commands were answered so far?
    Answered,
    /// When had everybody heard of this version?
    Heard(u64),
}

/// The answer.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Commands that were answered, or instances that heard of the version.
    pub(crate) count: u64,
    /// When the last of them did, in nanoseconds of the wall clock.
    pub(crate) last_nanos: u64,
}

/// Runs until the benchmark goes; each question is an [`Order`].
pub(crate) async fn run(options: Options) -> Result<()> {
    let all = options.connections;
    let shared = Arc::new(Shared {
        options,
        dials: Semaphore::new(DIALS_MAX),
        tally: Mutex::new(Counts::default()),
    });
    let mut instances = JoinSet::new();
    for index in 0..all {
        instances.spawn(instance(Arc::clone(&shared), index));
    }
    let joined = until(&shared, |counts| counts.joined == all);
    attentive(&mut instances, joined).await??;
    let mut questions = Questions::listen()?;
    while let Some(question) = attentive(&mut instances, questions.next()).await? {
        let tally = match serde_json::from_str(&question)? {
            Order::Answered => shared.counts().answered,
            Order::Heard(version) => {
                let heard = |counts: &Counts| counts.heard(version).count == all;
                attentive(&mut instances, until(&shared, heard)).await??;
                shared.counts().heard(version)
            }
        };
        control::answer(&tally)?;
    }
    Ok(())
}

struct Shared {
    options: Options,
    dials: Semaphore,
    tally: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Instances that are welcome, and know the set that they watch.
    joined: u64,
    answered: Tally,
    heard: BTreeMap<u64, Tally>,
}

impl Counts {
    fn heard(&self, version: u64) -> Tally {
        self.heard.get(&version).copied().unwrap_or_default()
    }
}

impl Tally {
    fn add(&mut self) {
        self.count += 1;
        self.last_nanos = clock::wall_nanos();
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self, index: u64) -> Result<Connection> {
        let _turn = self.dials.acquire().await?;
        let Options { target, app, set, .. } = &self.options;
        let mut path = format!("/fleet?app={app}&index={index}&id=bench");
        if let Some(set) = set {
            path.push_str(&format!("&set={set}"));
        }
        let head = wire::request_head_of(&target.to_string(), &path, super::hold::HEAD_LEN);
        let mut connection = Connection::open(*target, &head).await?;
        // The answer may come in one frame with what the fleet says first.
        connection.say_next(dialect::HELLO.as_bytes());
        Ok(connection)
    }
}

/// What one instance has been told.
#[derive(Default)]
struct Instance {
    /// The last of its commands.
    command: Option<String>,
    version: Option<u64>,
    is_welcome: bool,
    is_counted: bool,
    /// What it says next.
    answers: Vec<u8>,
}

/// One message of a hub, as far as it matters here; the answer to the greeting has no type.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", default)]
    kind: u8,
    #[serde(rename = "invocationId", borrow, default)]
    invocation: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    target: Option<Cow<'a, str>>,
    #[serde(default)]
    arguments: Option<Vec<Facts>>,
}

/// What the argument of a call says.
#[derive(Deserialize)]
struct Facts {
    id: Option<String>,
    version: Option<u64>,
}

async fn instance(shared: Arc<Shared>, index: u64) -> Result<()> {
    let mut connection = shared.dial(index).await.with_context(|| format!("instance {index}"))?;
    let mut known = Instance::default();
    loop {
        let mut error = None;
        connection
            .listen(|payload| {
                if let Err(what) = known.hear(payload, &shared) {
                    error.get_or_insert(what);
                }
            })
            .await?;
        if let Some(error) = error {
            return Err(error);
        }
        if !known.answers.is_empty() {
            connection.say_next(&known.answers);
            known.answers.clear();
        }
    }
}

impl Instance {
    fn hear(&mut self, payload: &[u8], shared: &Shared) -> Result<()> {
        let records = payload.split(|byte| *byte == END).filter(|record| !record.is_empty());
        for record in records {
            let message: Message<'_> = serde_json::from_slice(record)?;
            match (message.kind, message.target.as_deref()) {
                (PING, _) => self.answers.extend_from_slice(PONG),
                (CLOSE, _) => bail!("sent away: {}", String::from_utf8_lossy(record)),
                (_, Some("Welcome")) => self.is_welcome = true,
                (_, Some("Command")) => self.command(message, shared)?,
                (_, Some("Snapshot")) => self.version = facts(message)?.version,
                (_, Some("ConfigurationChanged")) => self.change(message, shared)?,
                _ => {}
            }
        }
        let is_ready = self.is_welcome && (shared.options.set.is_none() || self.version.is_some());
        if is_ready && !self.is_counted {
            self.is_counted = true;
            shared.counts().joined += 1;
        }
        Ok(())
    }

    fn command(&mut self, message: Message<'_>, shared: &Shared) -> Result<()> {
        let invocation = message.invocation.clone().context("a command that wants no answer")?;
        let id = facts(message)?.id.context("a command without an id")?;
        ensure!(self.command.as_ref() != Some(&id), "the command {id} came twice");
        self.command = Some(id);
        let answer = format!(r#"{{"type":3,"invocationId":"{invocation}","result":null}}"#);
        self.answers.extend_from_slice(answer.as_bytes());
        self.answers.push(END);
        shared.counts().answered.add();
        Ok(())
    }

    fn change(&mut self, message: Message<'_>, shared: &Shared) -> Result<()> {
        let version = facts(message)?.version.context("a change without a version")?;
        let next = self.version.context("a change before the snapshot")? + 1;
        ensure!(version == next, "version {version} instead of {next}");
        self.version = Some(version);
        shared.counts().heard.entry(version).or_default().add();
        Ok(())
    }
}

fn facts(message: Message<'_>) -> Result<Facts> {
    message.arguments.into_iter().flatten().next().context("a call without an argument")
}

/// Waits for what the instances have counted, and no longer than patience lasts.
async fn until(shared: &Shared, is_so: impl Fn(&Counts) -> bool) -> Result<()> {
    let start = clock::now();
    while !is_so(&shared.counts()) {
        ensure!(start.elapsed() < PATIENCE, "only {} instances joined", shared.counts().joined);
        sleep(POLL).await;
    }
    Ok(())
}

/// Waits for something, unless an instance ends: none should.
async fn attentive<T>(
    instances: &mut JoinSet<Result<()>>,
    wanted: impl Future<Output = T>,
) -> Result<T> {
    tokio::select! {
        done = wanted => Ok(done),
        Some(ended) = instances.join_next() => bail!("an instance ended: {ended:?}"),
    }
}

/// What ends every SignalR message in JSON.
const END: u8 = 0x1e;
/// Types of messages.
const PING: u8 = 6;
const CLOSE: u8 = 7;
const PONG: &[u8] = b"{\"type\":6}\x1e";
/// Instances that connect at one time.
const DIALS_MAX: usize = 200;
const POLL: Duration = Duration::from_millis(2);
/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        let options = Options {
            target: SocketAddr::from(([127, 0, 0, 1], 1)),
            connections: 1,
            app: String::from("bench"),
            set: Some(String::from("bench/prod")),
        };
        Shared { options, dials: Semaphore::new(1), tally: Mutex::default() }
    }

    fn call(target: &str, argument: &str) -> String {
        let head = r#"{"type":1,"invocationId":"s7","target":""#;
        format!("{head}{target}\",\"arguments\":[{argument}]}}\x1e")
    }

    #[test]
    fn a_command_is_answered_and_counted_and_voids_the_run_if_it_comes_again() {
        let (shared, mut instance) = (shared(), Instance::default());
        let command = call("Command", r#"{"id":"c1","name":"refresh","args":[],"deadline":1}"#);
        instance.hear(command.as_bytes(), &shared).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&instance.answers),
            "{\"type\":3,\"invocationId\":\"s7\",\"result\":null}\x1e"
        );
        assert_eq!(shared.counts().answered.count, 1);
        assert!(instance.hear(command.as_bytes(), &shared).is_err());
    }

    #[test]
    fn a_version_left_out_or_told_twice_voids_the_run() {
        let hear = |versions: &[u64]| {
            let (shared, mut instance) = (shared(), Instance::default());
            instance.hear(call("Snapshot", r#"{"version":4}"#).as_bytes(), &shared).unwrap();
            versions.iter().all(|version| {
                let change = call("ConfigurationChanged", &format!(r#"{{"version":{version}}}"#));
                instance.hear(change.as_bytes(), &shared).is_ok()
            })
        };
        assert!(hear(&[5, 6]));
        assert!(!hear(&[6]));
        assert!(!hear(&[5, 5]));
    }

    #[test]
    fn who_is_welcome_and_knows_its_set_has_joined_once() {
        let (shared, mut instance) = (shared(), Instance::default());
        instance.hear(call("Welcome", "{}").as_bytes(), &shared).unwrap();
        assert_eq!(shared.counts().joined, 0);
        for _ in 0..2 {
            instance.hear(call("Snapshot", r#"{"version":0}"#).as_bytes(), &shared).unwrap();
            assert_eq!(shared.counts().joined, 1);
        }
    }
}
