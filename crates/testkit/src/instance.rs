//! An instance of a fleet that is no process of its own: it comes back for ever, does each command once,
//! and keeps a record of what it was handed, did and heard.

mod stock;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    client::{Client, Heard, request},
    message::Kind,
    wait::{until_equal, within},
};

pub use self::stock::Stock;

/// A running instance. Dropping it cuts its connection without a word.
#[derive(Debug)]
pub struct Instance {
    known: Arc<Mutex<Record>>,
    wish: Arc<watch::Sender<Wish>>,
    _task: JoinSet<()>,
}

/// What an instance knows of its past. It outlives every connection.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Every command in the order in which it was handed over, as often as it was.
    pub handed: Vec<String>,
    /// Every command that was done, in that order.
    pub executed: Vec<String>,
    /// The names of the commands that were done.
    pub names: Vec<String>,
    /// How it said that each ended.
    pub outcomes: BTreeMap<String, Value>,
    /// What it was called besides, with what.
    pub calls: Vec<(String, Value)>,
    /// How often it was welcome.
    pub welcomes: usize,
    /// Why each of its connections ended.
    pub ends: Vec<String>,
}

/// What a test wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    is_online: bool,
    answers: bool,
}

impl Instance {
    /// Starts one that joins with this query, and comes back whenever it is cut. It keeps away when it
    /// is told to, by its test or by the manager.
    pub fn start(to: SocketAddr, query: &str) -> Self {
        Self::begin(to, query, Wish { is_online: true, answers: true })
    }

    /// Starts one that does commands, and does not say so before [`Instance::speak`].
    pub fn silent(to: SocketAddr, query: &str) -> Self {
        Self::begin(to, query, Wish { is_online: true, answers: false })
    }

    fn begin(to: SocketAddr, query: &str, wish: Wish) -> Self {
        let known = Arc::new(Mutex::new(Record::default()));
        let wish = Arc::new(watch::Sender::new(wish));
        let path = format!("/fleet?{query}");
        let life = Life { to, path, known: Arc::clone(&known), wish: wish.subscribe() };
        let mut task = JoinSet::new();
        task.spawn(life.live());
        Self { known, wish, _task: task }
    }

    /// Cuts its connection without a word, and keeps away.
    pub fn vanish(&self) {
        self.wish.send_modify(|wish| wish.is_online = false);
    }

    /// Comes back.
    pub fn come_back(&self) {
        self.wish.send_modify(|wish| wish.is_online = true);
    }

    /// From here on it says what has become of its commands, of those too that it has been handed.
    pub fn speak(&self) {
        self.wish.send_modify(|wish| wish.answers = true);
    }

    /// What it knows so far.
    pub fn record(&self) -> Record {
        self.lock().clone()
    }

    /// Waits until it has been welcome so often.
    pub async fn welcome(&self, times: usize) {
        let welcomes = async || self.lock().welcomes >= times;
        within(PATIENCE, "a welcome", until_equal("a welcome", true, welcomes)).await;
    }

    /// Waits until it has done so many commands.
    pub async fn executes(&self, count: usize) {
        until_equal("commands done", count, async || self.lock().executed.len()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.known.lock().unwrap()
    }
}

/// The task of an instance.
struct Life {
    to: SocketAddr,
    path: String,
    known: Arc<Mutex<Record>>,
    wish: watch::Receiver<Wish>,
}

impl Life {
    async fn live(mut self) {
        loop {
            if self.wish.wait_for(|wish| wish.is_online).await.is_err() {
                return;
            }
            if let Some(end) = self.connection().await {
                let is_sent_away = end.starts_with('{') && !end.contains("\"allowReconnect\":true");
                self.known.lock().unwrap().ends.push(end);
                if is_sent_away {
                    return;
                }
            }
            tokio::time::sleep(REDIAL).await;
        }
    }

    /// One connection from beginning to end; nothing if there was none.
    async fn connection(&mut self) -> Option<String> {
        let request = request(self.to, &self.path);
        let (mut client, _) = Client::try_open(self.to, request, "an instance").await.ok()?;
        let hello = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
        client.try_send(Kind::Text, hello.into()).await.ok()?;
        let mut unsaid = Vec::new();
        loop {
            let heard = tokio::select! {
                heard = client.listen() => heard,
                changed = self.wish.changed() => {
                    changed.ok()?;
                    if !self.wish.borrow_and_update().is_online {
                        client.reset();
                        return Some("cut by the test".to_owned());
                    }
                    Heard::Message(Kind::Text, Vec::new())
                }
            };
            let Heard::Message(_, bytes) = heard else { return Some(format!("{heard:?}")) };
            for record in String::from_utf8_lossy(&bytes).split_terminator('\u{1e}') {
                let message: Value = serde_json::from_str(record).expect("a record is JSON");
                if message["type"] == 7 {
                    return Some(record.to_owned());
                }
                unsaid.extend(self.hear(&message));
            }
            if self.wish.borrow().answers && !unsaid.is_empty() {
                let answers: String =
                    unsaid.drain(..).map(|answer| format!("{answer}\u{1e}")).collect();
                client.try_send(Kind::Text, answers.into()).await.ok()?;
            }
        }
    }

    /// Notes a message, and gives what it is answered with.
    fn hear(&self, message: &Value) -> Option<Value> {
        let mut known = self.known.lock().unwrap();
        let target = message["target"].as_str();
        match (message["type"].as_u64(), target) {
            (Some(6), _) => return Some(json!({ "type": 6 })),
            (Some(1), Some("Command")) => {
                let outcome = known.execute(&message["arguments"][0]);
                let invocation = &message["invocationId"];
                return Some(json!({ "type": 3, "invocationId": invocation, "result": outcome }));
            }
            (Some(1), Some(target)) => {
                known.welcomes += usize::from(target == "Welcome");
                known.calls.push((target.to_owned(), message["arguments"][0].clone()));
            }
            _ => {}
        }
        None
    }
}

impl Record {
    /// Does a command that it has not done, and says again what became of one that it has.
    fn execute(&mut self, command: &Value) -> Value {
        let id = command["id"].as_str().expect("a command has an id").to_owned();
        self.handed.push(id.clone());
        if let Some(outcome) = self.outcomes.get(&id) {
            return outcome.clone();
        }
        let outcome = json!({ "outcome": "done", "detail": format!("did {id}") });
        self.executed.push(id.clone());
        self.names.push(command["name"].as_str().unwrap_or_default().to_owned());
        self.outcomes.insert(id, outcome.clone());
        outcome
    }

    /// What it was called under this name, with what.
    pub fn called(&self, target: &str) -> Vec<Value> {
        let calls = self.calls.iter().filter(|(name, _)| name == target);
        calls.map(|(_, argument)| argument.clone()).collect()
    }
}

/// Between two attempts to come back.
const REDIAL: Duration = Duration::from_millis(50);

/// How long a welcome may take: hundreds may come at once.
const PATIENCE: Duration = Duration::from_secs(60);
