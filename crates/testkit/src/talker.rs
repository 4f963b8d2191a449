//! A hub's client that is no process of its own: JSON over a WebSocket, as many as a test wants.
//!
//! It hears on by itself, whatever its test does, and keeps all that it is called.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        watch,
    },
    task::JoinSet,
};

use crate::{
    client::{Client, Heard},
    message::Kind,
    wait::within,
};

/// A client that has shaken hands. Dropping it cuts its socket.
#[derive(Debug)]
pub struct Talker {
    said: mpsc::Sender<String>,
    heard: watch::Receiver<Known>,
    calls: u64,
    _task: JoinSet<()>,
}

/// What a client knows.
#[derive(Debug, Default)]
struct Known {
    calls: Vec<Call>,
    /// How its own calls ended.
    ends: BTreeMap<String, Value>,
    /// Why it hears no more.
    end: Option<String>,
}

/// A call of the client by its hub.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub target: String,
    /// What with, a list.
    pub arguments: Value,
}

impl Call {
    /// A call of `target`.
    pub fn of(target: &str, arguments: Value) -> Self {
        Self { target: target.to_owned(), arguments }
    }
}

impl Talker {
    /// Connects to a hub's path, without negotiation, and shakes hands.
    pub async fn open(to: SocketAddr, path: &str) -> Self {
        let mut client = Client::open(to, path, "a talker").await;
        client.send_text("{\"protocol\":\"json\",\"version\":1}\u{1e}").await;
        let first = client.hear().await;
        let rest = first.text().strip_prefix("{}\u{1e}").expect("hands are shaken").to_owned();
        let (said, orders) = mpsc::channel(UNSENT_MAX);
        let (tell, heard) = watch::channel(Known::default());
        let mut task = JoinSet::new();
        task.spawn(talk(client, rest, orders, tell));
        Self { said, heard, calls: 0, _task: task }
    }

    /// Calls a method and wants no answer.
    pub fn say(&self, target: &str, arguments: &Value) {
        self.send(&json!({ "type": 1, "target": target, "arguments": arguments }));
    }

    /// Calls a method and gives its completion.
    pub async fn call(&mut self, target: &str, arguments: &Value) -> Value {
        self.calls += 1;
        let id = self.calls.to_string();
        self.send(&json!({
            "type": 1, "invocationId": id, "target": target, "arguments": arguments,
        }));
        let known = self.until(target, |known| known.ends.contains_key(&id));
        known.await.ends[&id].clone()
    }

    /// What it has been called so far.
    pub fn heard(&self) -> Vec<Call> {
        self.heard.borrow().calls.clone()
    }

    /// Waits until a method of its has been called so often.
    pub async fn hears_so_often(&self, target: &str, count: usize) {
        let calls = |known: &Known| known.calls.iter().filter(|call| call.target == target).count();
        let what = format!("{target} {count} times");
        self.until(&what, |known| known.calls.len() >= count && calls(known) >= count).await;
    }

    /// Waits until it has been called so.
    pub async fn hears(&self, call: &Call) {
        self.until(&format!("{call:?}"), |known| known.calls.contains(call)).await;
    }

    /// Why it hears no more, if it does not: it was cut, or sent away.
    pub fn end(&self) -> Option<String> {
        self.heard.borrow().end.clone()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Known) -> bool) -> watch::Ref<'_, Known> {
        let mut heard = self.heard.clone();
        let known = heard.wait_for(|known| is_so(known) || known.end.is_some());
        drop(within(PATIENCE, what, known).await);
        let known = self.heard.borrow();
        assert!(is_so(&known), "{what}: the client has ended: {:?}", known.end);
        known
    }

    fn send(&self, message: &Value) {
        // Of a client that has ended its test hears where it waits.
        let sent = self.said.try_send(format!("{message}\u{1e}"));
        assert!(!matches!(sent, Err(TrySendError::Full(_))), "the hub takes nothing");
    }
}

/// Talks and hears until the socket or the test ends.
async fn talk(
    mut client: Client,
    rest: String,
    mut orders: mpsc::Receiver<String>,
    tell: watch::Sender<Known>,
) {
    note(&rest, &tell);
    let end = loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                if let Err(error) = client.try_send(Kind::Text, order.into()).await {
                    break error.to_string();
                }
            }
            heard = client.listen() => match heard {
                Heard::Message(_, bytes) => {
                    let text = String::from_utf8(bytes).expect("a hub's JSON is UTF-8");
                    // A client that never says anything is given up.
                    let is_pinged = note(&text, &tell);
                    let answer = client.try_send(Kind::Text, PING.into());
                    if is_pinged && let Err(error) = answer.await {
                        break error.to_string();
                    }
                }
                other => break format!("{other:?}"),
            },
        }
    };
    tell.send_modify(|known| known.end = Some(end));
}

/// Keeps what is said; whether there is a ping in it.
fn note(text: &str, tell: &watch::Sender<Known>) -> bool {
    let mut is_pinged = false;
    tell.send_modify(|known| {
        for record in text.split_terminator('\u{1e}') {
            let message: Value = serde_json::from_str(record).expect("a record is JSON");
            match message["type"].as_u64() {
                Some(1) => {
                    let target = message["target"].as_str().expect("a call has a target");
                    known.calls.push(Call::of(target, message["arguments"].clone()));
                }
                Some(3) => {
                    let id = message["invocationId"].as_str().expect("a completion has an id");
                    known.ends.insert(id.to_owned(), message.clone());
                }
                Some(7) => known.end = Some(record.to_owned()),
                _ => is_pinged = true,
            }
        }
    });
    is_pinged
}

const PING: &str = "{\"type\":6}\u{1e}";

/// What a client may say at once.
const UNSENT_MAX: usize = 65_536;

/// How long anything here may take: longer than two leases and some.
const PATIENCE: Duration = Duration::from_secs(60);
