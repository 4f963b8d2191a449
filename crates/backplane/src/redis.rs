//! Nodes joined by a Redis 7 or a Valkey.
//!
//! Each channel is one stream, and so is each node's inbox for questions and answers. A node has
//! three connections: the *writer* appends what is outgoing in long pipelines;
//! the *reader* waits for all its streams at once and hands what comes to
//! the logic of what is incoming; the *keeper* beats, reads who else does, and sees whether the
//! server has been emptied, by a random number under the key `epoch`. Logs and histories have a fourth.
//!
//! When a connection ends, the writer sends again what was not confirmed; when the server is
//! another process than before, it also sends what was confirmed lately, since a server that is
//! killed forgets what it had accepted. Receivers drop what they have.
//!
//! ```no_run
//! # use everwire_backplane::redis::{Config, Redis};
//! # async fn start() -> Result<(), everwire_backplane::redis::InvalidConfig> {
//! let node = Redis::start(Config::new("rediss://user:password@redis.example.com/0"))?;
//! # Ok(()) }
//! ```

mod config;
mod core;
mod durability;
mod history;
mod inbox;
mod keeper;
mod keys;
mod line;
mod log;
mod reader;
mod scripts;
mod server;
mod subscriber;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use rand::RngExt as _;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
};

pub use config::{Config, InvalidConfig};
pub use durability::{Durability, Syncs};
pub use subscriber::{Heard, Subscriber};

use self::core::{Core, Opening, Pending};
use crate::{
    Answer, Asking, Bus, Channel, Fate, Health, History, Leaving, LogUnreachable, LogWork, Member,
    Members, NodeId, Observer, Origin, PAYLOAD_MAX, Publishing, Questions, Refusal, Start, Stretch,
    Subscription, clock,
    envelope::Kind,
    health::{Counters, Reach, count},
    outgoing::{Parcel, Stream},
    question::Listener,
};

/// One node on Redis. Dropped without having [left](Bus::leave), it is gone like one that crashed.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    /// Writer, reader and keeper; they end with this.
    _tasks: JoinSet<()>,
}

/// What the tasks of one node share.
#[derive(Debug)]
struct Shared {
    config: Config,
    keys: keys::Keys,
    server: server::Server,
    core: Mutex<Core>,
    /// Something is to be written.
    to_write: Notify,
    /// Everything is confirmed, after this node has left.
    settled: Notify,
    counters: Counters,
    reach: Reach,
    /// Of logs and histories, and which server it has reached.
    log: tokio::sync::Mutex<Option<(server::Connection, server::Session)>>,
}

impl Redis {
    /// A node that looks for the server from now on; it need not be there yet. Its tasks run on the
    /// tokio runtime in which this is called.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn start(config: Config) -> Result<Self, InvalidConfig> {
        let keys = keys::Keys::new(&config.prefix)?;
        let server = server::Server::new(&config)?;
        let member = Member { node: NodeId::random(), incarnation: clock::first_incarnation() };
        let shared = Arc::new(Shared {
            core: Mutex::new(Core::new(member, &config)),
            config,
            keys,
            server,
            to_write: Notify::new(),
            settled: Notify::new(),
            counters: Counters::default(),
            reach: Reach::default(),
            log: tokio::sync::Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(writer::run(Arc::clone(&shared)));
        tasks.spawn(reader::run(Arc::clone(&shared)));
        tasks.spawn(keeper::run(Arc::clone(&shared)));
        Ok(Self { shared, _tasks: tasks })
    }
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Core> {
        // A state that somebody's panic left behind is still one that every method accepts.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, channel: &Channel, history: Option<History>, payload: Bytes) -> Publishing {
        if payload.len() > PAYLOAD_MAX {
            count(&self.counters.refused, 1);
            return Publishing::known(Fate::NotStored(Refusal::TooLarge));
        }
        let (tell, publishing) = Publishing::waiting();
        let stream = Stream::Channel(channel.clone());
        let parcel = Parcel { stream, kind: Kind::Message, payload, history };
        match self.send(&mut self.core(), parcel, Some(tell)) {
            Ok(origin) => publishing.of(origin),
            Err(why) => Publishing::known(Fate::NotStored(why)),
        }
    }

    /// Queues an entry; the writer takes it from there.
    fn send(
        &self,
        core: &mut Core,
        parcel: Parcel,
        tell: Option<oneshot::Sender<Fate>>,
    ) -> Result<Origin, Refusal> {
        if core.left {
            return Err(Refusal::Left);
        }
        let queued = core.outgoing.handle_publish(parcel, tell, clock::now());
        match queued {
            Ok(origin) => {
                self.to_write.notify_one();
                Ok(origin)
            }
            Err((why, _)) => {
                count(&self.counters.refused, 1);
                Err(why)
            }
        }
    }
}

impl Bus for Redis {
    fn member(&self) -> Member {
        self.shared.core().outgoing.member()
    }

    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.shared.publish(channel, None, payload)
    }

    fn record(&self, channel: &Channel, history: &History, payload: Bytes) -> Publishing {
        self.shared.publish(channel, Some(history.clone()), payload)
    }

    fn replay(
        &self,
        history: &History,
        after: u64,
        limit: usize,
    ) -> LogWork<Result<Stretch, LogUnreachable>> {
        history::replay(Arc::clone(&self.shared), history.clone(), after, limit)
    }

    fn subscribe(&self, channel: &Channel, from: Start) -> Subscription {
        let (mailbox, subscription) = Subscription::open();
        let mut core = self.shared.core();
        core.opening.push(Opening { channel: channel.clone(), from, mailbox });
        core.wake_reader = true;
        self.shared.to_write.notify_one();
        subscription
    }

    fn ask(&self, node: NodeId, topic: &Channel, payload: Bytes, within: Duration) -> Asking {
        if payload.len() > PAYLOAD_MAX {
            return Asking::new(async { Answer::NotSent(Refusal::TooLarge) });
        }
        let shared = Arc::clone(&self.shared);
        let (tell, told) = oneshot::channel();
        let id = {
            let mut core = shared.core();
            if !core.roll.has(node) {
                return Asking::new(async { Answer::NoSuchNode });
            }
            match shared.question(&mut core, node, topic.as_str(), &payload, Pending::User(tell)) {
                Ok(id) => id,
                Err(why) => return Asking::new(async move { Answer::NotSent(why) }),
            }
        };
        let forgotten = ForgetOnDrop { shared, id };
        Asking::new(async move {
            let answer = tokio::time::timeout(within, told).await;
            drop(forgotten);
            match answer {
                Ok(Ok(answer)) => answer,
                _ => Answer::TimedOut,
            }
        })
    }

    fn questions(&self, topic: &Channel) -> Questions {
        let (listener, questions) = Listener::open();
        self.shared.core().listeners.insert(topic.clone(), listener);
        questions
    }

    fn members(&self) -> Members {
        self.shared.core().roll.listen()
    }

    fn cleaned(&self, observer: Observer, member: Member) {
        let mut core = self.shared.core();
        if core.roll.cleaned(observer, member) {
            core.to_tell_cleaned.push(member);
        }
    }

    fn leave(&self) -> Leaving {
        let shared = Arc::clone(&self.shared);
        shared.core().left = true;
        Leaving::new(async move {
            // A server that does not answer will see the lease end.
            let _ = tokio::time::timeout(LEAVE_MAX, keeper::leave(&shared)).await;
        })
    }

    fn health(&self) -> Health {
        let shared = &self.shared;
        Health {
            reachable: shared.reach.is_reachable(),
            since: shared.reach.since(clock::now().as_millis()),
            counts: shared.counters.read(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Whoever still waits for something learns that the bus has ended, even if an answer that
        // somebody has yet to give keeps the state alive.
        self.shared.core().end();
    }
}

/// A question that nobody waits for any more is not kept.
struct ForgetOnDrop {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for ForgetOnDrop {
    fn drop(&mut self) {
        self.shared.core().asked.remove(&self.id);
    }
}

/// The pause before the next attempt to connect: doubled each time, and not the same for all.
#[derive(Debug, Default)]
struct Backoff(u32);

impl Backoff {
    fn succeeded(&mut self) {
        self.0 = 0;
    }

    async fn pause(&mut self) {
        let longest = (PAUSE_MIN * 2_u32.pow(self.0)).min(PAUSE_MAX);
        self.0 = (self.0 + 1).min(6);
        let share = rand::rng().random_range(0.5..=1.0);
        tokio::time::sleep(longest.mul_f64(share)).await;
    }
}

/// Longest time for taking leave.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// The first pause before connecting again.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest, so that a node is back before a short lease ends.
const PAUSE_MAX: Duration = Duration::from_millis(500);
