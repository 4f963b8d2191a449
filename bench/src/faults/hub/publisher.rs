//! A client that says numbered messages at a steady pace, and writes down what it was answered.
//!
//! It does not wait for an answer before it says the next one. When its connection ends, what is
//! unanswered is of unknown fate, and another life with a stream of its own begins at the next node.

use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::judge::{Fate, Said, Stream};
use super::pace::Pace;
use super::receiver::{GROUP, REDIAL, write_stream};
use super::scene::{Sayings, Scene};
use super::talk::{Ear, Mouth, Talk, Word};

/// A publisher.
pub(super) struct Publisher {
    pub(super) scene: Arc<Scene>,
    pub(super) sayings: Arc<Sayings>,
    pub(super) number: u16,
    /// The node that it dials first.
    pub(super) node: usize,
    /// Messages a second.
    pub(super) rate: u64,
    /// Bytes added to each message.
    pub(super) padding: usize,
}

impl Publisher {
    /// Speaks until the play is quiet, and hears answers all the time.
    pub(super) async fn live(self) {
        let (mut attempt, mut life) = (self.node, 0);
        loop {
            let (node, target) = self.scene.node(attempt);
            if let Ok(talk) = Talk::open(target).await {
                let stream = Stream { publisher: self.number, node, life };
                let first = self.sayings.with(|said| said.len());
                let Talk { mut ear, mut mouth } = talk;
                // Either ends with the connection.
                tokio::select! {
                    _ = self.speak(&mut mouth, stream) => {}
                    _ = self.hear(&mut ear, first) => {}
                }
                life += 1;
            }
            attempt += 1;
            sleep(REDIAL).await;
        }
    }

    async fn speak(&self, mouth: &mut Mouth, stream: Stream) -> Result<()> {
        let (mut pace, mut said) = (Pace::new(self.rate), 0);
        let padding = "x".repeat(self.padding);
        loop {
            for _ in 0..pace.due(&self.scene).await {
                said += 1;
                self.say(mouth, stream, said, &padding).await?;
            }
            mouth.flush().await?;
        }
    }

    async fn say(
        &self,
        mouth: &mut Mouth,
        stream: Stream,
        number: u64,
        padding: &str,
    ) -> Result<()> {
        // Until it is answered nobody knows.
        let said = Said { stream, number, at: self.scene.now(), fate: Fate::Unknown };
        self.sayings.write(said);
        let name = write_stream(stream);
        mouth
            .add(&format!(
                r#"{{"type":1,"invocationId":"{number}","target":"Say","arguments":["{GROUP}",{name},{number},"{padding}"]}}"#
            ))
            .await
    }

    /// `first`: how many were said in former lives.
    async fn hear(&self, ear: &mut Ear, first: usize) -> Result<()> {
        loop {
            let word = ear.hear().await?;
            match word.kind {
                Word::CLOSE => bail!("closed by the hub"),
                Word::COMPLETION => {}
                _ => continue,
            }
            let fate = if word.error.is_some() { Fate::Refused } else { Fate::Accepted };
            let number: usize = word.invocation_id.unwrap_or_default().parse()?;
            self.sayings.with(|sayings| {
                if let Some(said) = sayings.get_mut(first + number - 1) {
                    said.fate = fate;
                }
            });
        }
    }
}
