//! What was sent lately, for clients that were away.

mod faults;
mod limits;
mod moving;
mod sessions;

use everwire_hub::{History, Hub, HubBuilder, Retention};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::peer::{Peer, builder};

/// A client that follows a channel as applications do: its cursor is what it was told last.
pub(crate) struct Follower<S> {
    pub(crate) peer: Peer<S>,
    /// The numbers that it was sent, in order.
    pub(crate) seen: Vec<u64>,
    pub(crate) cursor: Value,
    pub(crate) gaps: usize,
}

/// Everything has a history.
pub(crate) fn with_history() -> HubBuilder {
    let kept = Retention { count_max: 100_000, ..Retention::default() };
    let history = History::new().hub(kept).groups("*", kept).replay_max(100_000);
    builder().history(history)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Follower<S> {
    pub(crate) const fn new(peer: Peer<S>) -> Self {
        Self { peer, seen: Vec::new(), cursor: Value::Null, gaps: 0 }
    }

    /// Calls `Recover`; the whole completion.
    pub(crate) async fn ask(&mut self, channel: &Value, cursor: &Value) -> Value {
        let arguments = json!([channel, cursor]);
        let call = json!({
            "type": 1, "invocationId": "r", "target": "Recover", "arguments": arguments
        });
        self.peer.send(&call.to_string()).await;
        loop {
            if let Some(completion) = self.step().await {
                return completion;
            }
        }
    }

    /// Calls `Recover` with the cursor there is; whether it succeeds.
    pub(crate) async fn recover(&mut self, channel: &Value) -> bool {
        let cursor = self.cursor.clone();
        let completion = self.ask(channel, &cursor).await;
        let result = &completion["result"];
        self.cursor = result["cursor"].clone();
        result["recovered"].as_bool().expect("an answer")
    }

    /// Reads until this number, or one behind it, has come.
    pub(crate) async fn until(&mut self, number: u64) {
        while self.seen.last() < Some(&number) {
            assert!(self.step().await.is_none(), "an answer to nothing");
        }
    }

    /// Reads one message; gives it if it is a completion.
    pub(crate) async fn step(&mut self) -> Option<Value> {
        let next = self.peer.next().await.expect("a message");
        let message: Value = serde_json::from_str(&next).unwrap();
        match (message["type"].as_u64(), message["target"].as_str()) {
            (Some(3), _) => return Some(message),
            (Some(1), Some("Position")) => self.cursor = message["arguments"][1].clone(),
            (Some(1), Some("Gap")) => {
                self.gaps += 1;
                self.cursor = message["arguments"][1].clone();
            }
            (Some(1), Some("m")) => self.seen.push(message["arguments"][0].as_u64().unwrap()),
            (Some(8), _) => {}
            other => assert_eq!(other, (None, None), "{next}"),
        }
        None
    }
}

/// Sends these numbers to everybody.
pub(crate) fn say(hub: &Hub, numbers: std::ops::RangeInclusive<u64>) {
    numbers.for_each(|number| hub.all().send("m", &(number,)).unwrap());
}

/// The hub's own channel.
pub(crate) const HUB: Value = Value::Null;
