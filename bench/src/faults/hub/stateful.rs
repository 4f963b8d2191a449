//! A receiver with stateful reconnect: when its socket ends it opens another for the same session,
//! and only when that is refused its session is over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Error;

use super::http::negotiate;
use super::judge::Event;
use super::receiver::{GROUP, REDIAL, event};
use super::scene::{Events, Scene};
use super::talk::{Talk, Word, invocation};

/// A client with stateful reconnect.
pub(super) struct Stateful {
    pub(super) scene: Arc<Scene>,
    pub(super) events: Arc<Events>,
    /// The node that it dials first.
    pub(super) node: usize,
}

/// What outlives a socket.
struct Session {
    token: String,
    /// Where it was reached last.
    attempt: usize,
    /// The number of the next message on this socket.
    next: u64,
    /// The number of the last message that was taken.
    taken: u64,
    /// Since the last socket began nothing counts until the hub has said where it goes on.
    awaits_sequence: bool,
    /// What was said and not acknowledged, with its number.
    unacknowledged: VecDeque<(u64, String)>,
    /// Whether the hub has answered that this is a member of the group.
    has_joined: bool,
}

impl Stateful {
    /// Hears, again and again.
    pub(super) async fn live(self) {
        let mut attempt = self.node;
        loop {
            if let Ok((mut session, talk)) = self.begin(attempt).await {
                self.go_on(&mut session, talk).await;
                attempt = session.attempt;
                self.write(Event::Cut);
            }
            attempt += 1;
            sleep(REDIAL).await;
        }
    }

    /// Negotiates, opens the first socket, and asks to be a member of the group.
    async fn begin(&self, attempt: usize) -> Result<(Session, Talk)> {
        let (_, target) = self.scene.front(attempt);
        let token = negotiate(target, true).await?;
        let mut talk = Talk::attach(target, Some(&token)).await?;
        talk.shake_hands(2).await?;
        let join = invocation("call", "Join", GROUP);
        talk.mouth.say(&join).await?;
        let session = Session {
            token,
            attempt,
            next: 1,
            taken: 0,
            awaits_sequence: false,
            unacknowledged: VecDeque::from([(1, join)]),
            has_joined: false,
        };
        Ok((session, talk))
    }

    /// From socket to socket, until the session is over.
    async fn go_on(&self, session: &mut Session, mut talk: Talk) {
        loop {
            match self.listen(session, &mut talk).await {
                // The hub has ended the session.
                Ok(()) => return,
                Err(_) => match timeout(RESUME_MAX, self.resume(session)).await {
                    Ok(Ok(resumed)) => talk = resumed,
                    Ok(Err(_)) | Err(_) => return,
                },
            }
        }
    }

    /// Until the socket ends, which is an error, or the hub ends the session.
    async fn listen(&self, session: &mut Session, talk: &mut Talk) -> Result<()> {
        let mut ticks = interval(ACKNOWLEDGE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acknowledged = 0;
        loop {
            let word = tokio::select! {
                word = talk.ear.hear() => word?,
                _ = ticks.tick() => {
                    if session.taken > acknowledged && !session.awaits_sequence {
                        acknowledged = session.taken;
                        talk.mouth.say(&number(Word::ACK, acknowledged)).await?;
                    }
                    continue;
                }
            };
            match word.kind {
                Word::CLOSE => return Ok(()),
                Word::SEQUENCE => session.goes_on_at(word.sequence_id.unwrap_or(0))?,
                Word::ACK => session.is_acknowledged(word.sequence_id.unwrap_or(0)),
                _ if word.is_counted() && session.is_new() => self.take(session, &word),
                _ => {}
            }
        }
    }

    fn take(&self, session: &mut Session, word: &Word) {
        if word.kind == Word::COMPLETION && !session.has_joined {
            session.has_joined = true;
            self.write(Event::Joined(self.scene.front(session.attempt).0));
        }
        if let Some(event) = event(word) {
            self.write(event);
        }
    }

    /// Tries one node after the other, until one has another socket for the session, or none.
    async fn resume(&self, session: &mut Session) -> Result<Talk> {
        loop {
            let (_, target) = self.scene.front(session.attempt);
            match Talk::attach(target, Some(&session.token)).await {
                Ok(mut talk) => {
                    session.awaits_sequence = true;
                    if session.repeat(&mut talk).await.is_ok() {
                        return Ok(talk);
                    }
                }
                Err(error) if is_gone(&error) => return Err(error),
                // The node is away, or what lies before it.
                Err(_) => session.attempt += 1,
            }
            sleep(REDIAL).await;
        }
    }

    fn write(&self, event: Event) {
        self.events.write((self.scene.now(), event));
    }
}

impl Session {
    /// The first message on every later socket is where the hub goes on.
    fn goes_on_at(&mut self, sequence: u64) -> Result<()> {
        ensure!((1..=self.taken + 1).contains(&sequence), "the hub goes on at {sequence}");
        self.next = sequence;
        self.awaits_sequence = false;
        Ok(())
    }

    fn is_acknowledged(&mut self, last: u64) {
        self.unacknowledged.retain(|(number, _)| *number > last);
    }

    /// Counts a message; whether it has not been taken before.
    fn is_new(&mut self) -> bool {
        if self.awaits_sequence {
            return false;
        }
        let is_new = self.next > self.taken;
        self.taken = self.taken.max(self.next);
        self.next += 1;
        is_new
    }

    async fn repeat(&self, talk: &mut Talk) -> Result<()> {
        let first = self.unacknowledged.front().map_or(2, |(number, _)| *number);
        talk.mouth.say(&number(Word::SEQUENCE, first)).await?;
        for (_, message) in &self.unacknowledged {
            talk.mouth.say(message).await?;
        }
        Ok(())
    }
}

/// Whether a node has answered that it has no such session.
fn is_gone(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Error>() {
        Some(Error::Http(response)) => response.status() == 404,
        _ => false,
    }
}

fn number(kind: u8, sequence: u64) -> String {
    format!(r#"{{"type":{kind},"sequenceId":{sequence}}}"#)
}

/// A client of the stock kind says what it has taken once a second.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);
/// Longer than any outage that is played.
const RESUME_MAX: Duration = Duration::from_secs(90);
