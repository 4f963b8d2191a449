//! The anchor: bare Redis publish/subscribe under the same faults. A publisher at the same pace that
//! dials again at once, and a subscriber that does so after 100 ms, as a hub on such a backplane
//! would.
//!
//! What Redis answered with a number of receivers is accepted. The subscriber's own cut announces
//! nothing: it stands for a hub, whose clients are not told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use super::judge::{Event, Fate, Said, Stream};
use super::pace::Pace;
use super::receiver::REDIAL;
use super::scene::{Events, Sayings, Scene};

/// Both ends.
pub(super) struct Anchor {
    pub(super) scene: Arc<Scene>,
    pub(super) events: Arc<Events>,
    pub(super) sayings: Arc<Sayings>,
    /// Where the publisher dials.
    pub(super) publisher: SocketAddr,
    /// Where the subscriber dials.
    pub(super) subscriber: SocketAddr,
    /// Messages a second.
    pub(super) rate: u64,
}

impl Anchor {
    /// Subscribes until the play is over.
    pub(super) async fn subscribe(self: Arc<Self>) {
        let over = self.scene.over.clone();
        let stay = async {
            self.events.write((0, Event::Joined(0)));
            loop {
                // Every end is one of the connection.
                let _ = self.listen().await;
                sleep(REDIAL).await;
            }
        };
        over.run_until_cancelled(stay).await;
    }

    async fn listen(&self) -> Result<()> {
        let (mut lines, mut writing) = dial(self.subscriber).await?;
        writing.write_all(b"SUBSCRIBE anchor\r\n").await?;
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await??.context("the end")?;
            if line != "message" {
                continue;
            }
            // The length and name of the channel, and the length of the message.
            for _ in 0..3 {
                lines.next_line().await?.context("the end")?;
            }
            let number = lines.next_line().await?.context("the end")?.parse()?;
            self.events.write((self.scene.now(), Event::Got(STREAM, number)));
        }
    }

    /// Publishes until the play is quiet.
    pub(super) async fn publish(self: Arc<Self>) {
        let over = self.scene.over.clone();
        let stay = async {
            loop {
                let first = self.sayings.with(|said| said.len());
                if let Ok((mut lines, mut writing)) = dial(self.publisher).await {
                    tokio::select! {
                        _ = self.speak(&mut writing) => {}
                        _ = self.hear(&mut lines, first) => {}
                    }
                }
                sleep(EAGER).await;
            }
        };
        over.run_until_cancelled(stay).await;
    }

    async fn speak(&self, writing: &mut OwnedWriteHalf) -> Result<()> {
        let mut pace = Pace::new(self.rate);
        loop {
            let mut commands = String::new();
            for _ in 0..pace.due(&self.scene).await {
                let number = self.begin_to_say();
                commands.push_str(&format!("PUBLISH anchor {number}\r\n"));
            }
            writing.write_all(commands.as_bytes()).await?;
        }
    }

    /// Writes the next message down; until it is answered nobody knows its fate.
    fn begin_to_say(&self) -> u64 {
        self.sayings.with(|sayings| {
            let (number, at) = (sayings.len() as u64 + 1, self.scene.now());
            sayings.push(Said { stream: STREAM, number, at, fate: Fate::Unknown });
            number
        })
    }

    /// `first`: how many were said on former connections.
    async fn hear(&self, lines: &mut Lines<BufReader<OwnedReadHalf>>, first: usize) -> Result<()> {
        let mut answered = first;
        loop {
            let line = lines.next_line().await?.context("the end")?;
            let fate = if line.starts_with(':') { Fate::Accepted } else { Fate::Refused };
            self.sayings.with(|sayings| {
                if let Some(said) = sayings.get_mut(answered) {
                    said.fate = fate;
                }
            });
            answered += 1;
        }
    }
}

async fn dial(target: SocketAddr) -> Result<(Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf)> {
    let stream = timeout(REDIAL * 10, TcpStream::connect(target)).await??;
    stream.set_nodelay(true)?;
    let (reading, writing) = stream.into_split();
    Ok((BufReader::new(reading).lines(), writing))
}

/// Its only one: it goes on through all connections.
const STREAM: Stream = Stream { publisher: 0, node: u16::MAX, life: 0 };
/// What a subscriber takes for a connection that is dead: longer than Redis is stopped.
const PATIENCE: Duration = Duration::from_secs(6);
/// From one dial of the publisher to the next.
const EAGER: Duration = Duration::from_millis(1);
