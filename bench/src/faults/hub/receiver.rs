//! A client that hears everything and writes down what; when its session ends it begins another, at
//! the next node.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::sleep;

use super::judge::{Event, Stream};
use super::scene::{Events, Scene};
use super::talk::{Talk, Word};

/// A client without stateful reconnect.
pub(super) struct Receiver {
    pub(super) scene: Arc<Scene>,
    pub(super) events: Arc<Events>,
    /// The node that it dials first.
    pub(super) node: usize,
}

impl Receiver {
    /// Hears, again and again.
    pub(super) async fn live(self) {
        let mut attempt = self.node;
        loop {
            let begun = self.begin(attempt).await;
            if let Ok(mut talk) = begun {
                // Every end is an error, of the socket or said by the hub.
                let _ = self.listen(&mut talk).await;
                self.write(Event::Cut);
            }
            attempt += 1;
            sleep(REDIAL).await;
        }
    }

    async fn begin(&self, attempt: usize) -> Result<Talk> {
        let (node, target) = self.scene.front(attempt);
        let mut talk = Talk::open(target).await?;
        let mut early = Vec::new();
        talk.call("Join", GROUP, |word| early.push(word)).await?;
        self.write(Event::Joined(node));
        early.iter().for_each(|word| self.take(word));
        Ok(talk)
    }

    async fn listen(&self, talk: &mut Talk) -> Result<()> {
        loop {
            let word = talk.ear.hear().await?;
            if word.kind == Word::CLOSE {
                bail!("closed by the hub");
            }
            self.take(&word);
        }
    }

    fn take(&self, word: &Word) {
        if let Some(event) = event(word) {
            self.write(event);
        }
    }

    fn write(&self, event: Event) {
        self.events.write((self.scene.now(), event));
    }
}

/// What a call tells, if it is one of those that count.
pub(super) fn event(word: &Word) -> Option<Event> {
    if word.kind != Word::CALL {
        return None;
    }
    let number = |at: usize| word.arguments.get(at).and_then(Value::as_u64);
    let name = || word.arguments.first().and_then(Value::as_str).map(String::from);
    match word.target.as_str() {
        "Said" => Some(Event::Got(read_stream(number(0)?)?, number(1)?)),
        "joined" => Some(Event::Told(name()?, true)),
        "left" => Some(Event::Told(name()?, false)),
        _ => None,
    }
}

/// A stream as a number that every JSON reader takes.
pub(super) fn write_stream(stream: Stream) -> u64 {
    u64::from(stream.publisher) << 32 | u64::from(stream.node) << 24 | u64::from(stream.life)
}

fn read_stream(number: u64) -> Option<Stream> {
    Some(Stream {
        publisher: u16::try_from(number >> 32).ok()?,
        node: u16::try_from(number >> 24 & 0xff).ok()?,
        life: u32::try_from(number & 0xff_ffff).ok()?,
    })
}

/// The group of all receivers.
pub(super) const GROUP: &str = "all";
/// From the end of a connection to the next dial, and between two dials.
pub(super) const REDIAL: Duration = Duration::from_millis(100);
