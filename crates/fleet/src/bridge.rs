//! Bridges: what a keyshade-like server publishes on a plain Redis channel becomes changes of sets, so
//! that such a cluster needs no change of its code.
//!
//! Each bridge is read by one node, the lowest of those that are alive, so that one message is one change
//! however many nodes there are. Nobody numbers or keeps such messages: what is published while nobody
//! reads is gone. So whoever begins to read says that something may be missing, and so does who was cut
//! off. A change that is made twice, as two nodes may that cannot see each other, is no second version,
//! since the set has that value already.

mod lead;
mod message;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::{
    Bus, Members, Membership,
    redis::{Config, Heard, InvalidConfig, Subscriber},
};
use serde::Serialize;
use tokio::task::JoinSet;

use self::lead::Lead;
pub use self::message::{MESSAGE_MAX, NotAChange, NotATemplate, SetTemplate};
use crate::{
    name::SetName,
    set::{Change, ChangeError},
};

/// A bridge at work on this node. Dropping it ends it here, which is to come before the node leaves the
/// bus: then another one takes over. All nodes of a bus have the same bridges, since whose turn it is does
/// not depend on who has them.
#[derive(Debug)]
pub struct Bridge {
    counters: Arc<Counters>,
    _task: JoinSet<()>,
}

/// What is read, and what becomes of it.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// The Redis where it is published: address and authorities.
    pub redis: Config,
    /// The channel.
    pub channel: Box<str>,
    /// Which set each message is for.
    pub set: SetTemplate,
}

/// What a bridge does its work on.
pub trait Changes: Send + Sync + 'static {
    /// Changes a set; a value that is there already is no change.
    fn change(
        &self,
        set: SetName,
        change: Change,
        by: Box<str>,
    ) -> impl Future<Output = Result<(), ChangeError>> + Send;

    /// Hears of what people should know.
    fn tell(&self, event: BridgeEvent);
}

/// What people should know of a bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BridgeEvent {
    /// This node reads the channel from now on. What was published before, while the node that had read
    /// it was gone or none was there, may be missing.
    BridgeBegan {
        /// Which channel.
        channel: Box<str>,
    },
    /// Something that was published may be missing.
    BridgeMissed {
        /// Which channel.
        channel: Box<str>,
        /// Why.
        why: Box<str>,
    },
    /// A message was no change, or one that cannot be.
    BridgeRefused {
        /// Which channel.
        channel: Box<str>,
        /// Why.
        why: Box<str>,
    },
}

/// What a bridge has done on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounts {
    /// Messages that became changes.
    pub changed: u64,
    /// Messages that were no changes, or could not be.
    pub refused: u64,
    /// How often something may have been missed.
    pub missed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    changed: AtomicU64,
    refused: AtomicU64,
    missed: AtomicU64,
}

impl Bridge {
    /// Begins a bridge on the tokio runtime in which this is called. It reads when it is this node's
    /// turn.
    ///
    /// # Errors
    /// The Redis' address makes no sense.
    pub fn start(
        config: BridgeConfig,
        bus: Arc<dyn Bus>,
        changes: Arc<impl Changes>,
    ) -> Result<Self, InvalidConfig> {
        config.redis.check()?;
        let counters = Arc::new(Counters::default());
        let reader = Reader { config, bus, changes, counters: Arc::clone(&counters) };
        let mut task = JoinSet::new();
        task.spawn(reader.run());
        Ok(Self { counters, _task: task })
    }

    /// What it has done so far.
    pub fn counts(&self) -> BridgeCounts {
        let Counters { changed, refused, missed } = &*self.counters;
        BridgeCounts {
            changed: changed.load(Relaxed),
            refused: refused.load(Relaxed),
            missed: missed.load(Relaxed),
        }
    }
}

/// What its task has.
struct Reader<C> {
    config: BridgeConfig,
    bus: Arc<dyn Bus>,
    changes: Arc<C>,
    counters: Arc<Counters>,
}

impl<C: Changes> Reader<C> {
    async fn run(self) {
        let mut members = self.bus.members();
        let (mut lead, mut subscriber) = (Lead::new(self.bus.member().node), None);
        loop {
            // Whose turn it is comes first: who is not to read leaves what comes next to the other.
            tokio::select! {
                biased;
                known = self.learn(&mut members, &mut lead) => {
                    if known.is_none() {
                        return;
                    }
                    subscriber = self.take_turn(lead.is_mine(), subscriber).await;
                }
                heard = next(subscriber.as_mut()) => self.handle(heard).await,
            }
        }
    }

    /// Waits for a change among the nodes, and takes in all that are known; nothing after the bus has
    /// ended. Whose turn it is is not asked in the midst of a list.
    async fn learn(&self, members: &mut Members, lead: &mut Lead) -> Option<()> {
        let mut next = Poll::Ready(members.next().await);
        while let Poll::Ready(change) = next {
            let change = change?;
            lead.handle(change);
            if let Membership::Expired { member, yours: true } = change {
                // A bridge leaves nothing behind.
                self.bus.cleaned(members.observer(), member);
            }
            next = std::future::poll_fn(|ctx| Poll::Ready(pin!(members.next()).poll(ctx))).await;
        }
        Some(())
    }

    async fn take_turn(&self, is_mine: bool, reads: Option<Subscriber>) -> Option<Subscriber> {
        match (is_mine, reads) {
            (true, None) => {
                // What was wrong with it was found when the bridge began.
                Subscriber::start(&self.config.redis, &self.config.channel).ok()
            }
            (false, Some(subscriber)) => {
                self.finish(subscriber).await;
                None
            }
            (_, reads) => reads,
        }
    }

    /// Does what has been heard already; the next node has not.
    async fn finish(&self, mut subscriber: Subscriber) {
        loop {
            let heard = std::future::poll_fn(|ctx| Poll::Ready(pin!(subscriber.next()).poll(ctx)));
            match heard.await {
                Poll::Ready(heard) => self.handle(heard).await,
                Poll::Pending => return,
            }
        }
    }

    async fn handle(&self, heard: Heard) {
        let channel = self.config.channel.clone();
        match heard {
            Heard::Listening => {
                tracing::info!(%channel, "the bridge's channel is read by this node");
                self.changes.tell(BridgeEvent::BridgeBegan { channel });
            }
            Heard::Missed => self.missed("the Redis was cut off, or more came than could be taken"),
            Heard::Message(message) => self.read(&message).await,
        }
    }

    async fn read(&self, message: &Bytes) {
        match self.config.set.read(message) {
            Ok((set, change)) => self.change(set, change).await,
            Err(error) => self.refused(&error.to_string()),
        }
    }

    async fn change(&self, set: SetName, change: Change) {
        let by: Box<str> = format!("bridge:{}", self.config.channel).into();
        let mut pause = PAUSE_MIN;
        for attempt in 1.. {
            let done = self.changes.change(set.clone(), change.clone(), by.clone()).await;
            match done {
                Ok(()) => {
                    self.counters.changed.fetch_add(1, Relaxed);
                    return;
                }
                // The same change again is the same change.
                Err(error) if may_pass(&error) && attempt < ATTEMPTS_MAX => {
                    tracing::debug!(%set, %error, "a bridge's change is tried again");
                    let share = rand::random_range(0.5..=1.0);
                    tokio::time::sleep(pause.mul_f64(share)).await;
                    pause *= 2;
                }
                Err(error) if may_pass(&error) => {
                    return self.missed(&format!("a change of {set} was not stored: {error}"));
                }
                Err(error) => return self.refused(&error.to_string()),
            }
        }
    }

    fn missed(&self, why: &str) {
        let channel = self.config.channel.clone();
        self.counters.missed.fetch_add(1, Relaxed);
        tracing::warn!(%channel, why, "a bridge may have missed something");
        self.changes.tell(BridgeEvent::BridgeMissed { channel, why: why.into() });
    }

    fn refused(&self, why: &str) {
        let channel = self.config.channel.clone();
        self.counters.refused.fetch_add(1, Relaxed);
        tracing::warn!(%channel, why, "a bridge's message changes nothing");
        self.changes.tell(BridgeEvent::BridgeRefused { channel, why: why.into() });
    }
}

/// What is heard next; nothing ever, if it is not this node's turn.
async fn next(subscriber: Option<&mut Subscriber>) -> Heard {
    match subscriber {
        Some(subscriber) => subscriber.next().await,
        None => std::future::pending().await,
    }
}

/// Whether a change that was not made may be made later.
const fn may_pass(error: &ChangeError) -> bool {
    matches!(error, ChangeError::NotStored(_) | ChangeError::Unknown | ChangeError::Conflict(_))
}

/// How often a change is tried: for a second and a half, while what follows it waits.
const ATTEMPTS_MAX: u32 = 5;

/// The pause before it is tried again, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
