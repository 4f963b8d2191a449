//! The live clients: each says numbered messages to its room, and counts what it hears there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use everwire_client::{Client, Connection, Protocol, ReconnectPolicy, State};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::PATH;
use crate::{clock::Moment, demo::message, failure::Failure};

/// All clients.
pub(super) struct Crowd {
    members: Vec<Connection>,
    talking: JoinSet<()>,
    counts: Arc<Counts>,
    heard: Vec<Arc<Mutex<Heard>>>,
    stop: CancellationToken,
}

/// What is counted while it runs.
pub(super) struct Counts {
    started: Moment,
    /// Messages that each client has said.
    sent: [AtomicU64; CLIENTS],
    pub(super) heard: AtomicU64,
    /// Sessions that ended, of which the application is told.
    pub(super) lost_sessions: AtomicU64,
}

/// What one client has heard.
#[derive(Default)]
pub(super) struct Heard {
    seen: BTreeMap<usize, BTreeSet<u64>>,
    pub(super) doubled: u64,
    pub(super) reordered: u64,
    pub(super) damaged: u64,
    /// The longest that a message took.
    pub(super) slowest: Duration,
}

/// What all have said and heard.
pub(super) struct Report {
    pub(super) sent: Vec<u64>,
    pub(super) heard: Vec<Heard>,
    pub(super) lost_sessions: u64,
}

impl Crowd {
    /// Connects all clients and lets them talk.
    pub(super) async fn start(hub: SocketAddr, unprotected: bool) -> Result<Self, Failure> {
        let counts = Arc::new(Counts {
            started: Moment::now(),
            sent: std::array::from_fn(|_| AtomicU64::new(0)),
            heard: AtomicU64::new(0),
            lost_sessions: AtomicU64::new(0),
        });
        let mut crowd = Self {
            members: Vec::new(),
            talking: JoinSet::new(),
            counts,
            heard: (0..CLIENTS).map(|_| Arc::default()).collect(),
            stop: CancellationToken::new(),
        };
        for id in 0..CLIENTS {
            let connection = crowd.connect(hub, id, unprotected).await.map_err(Failure::failed)?;
            connection.invoke::<()>("Enter", &[room(id)]).await.map_err(Failure::failed)?;
            crowd.members.push(connection);
        }
        for (id, connection) in crowd.members.iter().enumerate() {
            let (counts, stop) = (Arc::clone(&crowd.counts), crowd.stop.clone());
            let member = Member { id, connection: connection.clone(), counts };
            crowd.talking.spawn(async move {
                tokio::select! {
                    () = member.talk() => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        Ok(crowd)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// No more messages; waits until all have heard everything, or nobody hears any more.
    pub(super) async fn finish(mut self) -> Report {
        self.stop.cancel();
        while self.talking.join_next().await.is_some() {}
        let sent: Vec<_> =
            self.counts.sent.iter().map(|sent| sent.load(Ordering::Relaxed)).collect();
        let all = sent.iter().sum::<u64>() * ROOM as u64;
        self.everything_is_heard(all).await;
        let mut goodbyes = JoinSet::new();
        for member in self.members {
            goodbyes.spawn(async move { member.stop().await });
        }
        while goodbyes.join_next().await.is_some() {}
        let heard = self.heard.iter().map(|heard| std::mem::take(&mut *locked(heard))).collect();
        Report { sent, heard, lost_sessions: self.counts.lost_sessions.load(Ordering::Relaxed) }
    }

    /// Waits for so many messages; if no more come, it is seen in what is missing.
    async fn everything_is_heard(&self, all: u64) {
        let (mut heard, mut since) = (0, Moment::now());
        while heard < all && since.elapsed() < QUIET {
            sleep(LOOK).await;
            let now = self.counts.heard.load(Ordering::Relaxed);
            if now > heard {
                (heard, since) = (now, Moment::now());
            }
        }
    }

    async fn connect(
        &self,
        hub: SocketAddr,
        id: usize,
        unprotected: bool,
    ) -> Result<Connection, everwire_client::ConnectError> {
        let (heard, counts) = (Arc::clone(&self.heard[id]), Arc::clone(&self.counts));
        let protocol = if id.is_multiple_of(2) { Protocol::Json } else { Protocol::MessagePack };
        let policy = ReconnectPolicy::Unlimited { first: LOOK, longest: 4 * LOOK };
        let client = Client::builder(format!("http://{hub}{PATH}"))
            .protocol(protocol)
            .reconnect(policy)
            .on("Said", move |text: String, micros: u64| {
                let took = counts.started.elapsed().saturating_sub(Duration::from_micros(micros));
                locked(&heard).take(id, &text, took);
                counts.heard.fetch_add(1, Ordering::Relaxed);
            });
        let client = if unprotected { client } else { client.stateful_reconnect() };
        client.connect().await
    }
}

impl Counts {
    /// Messages that all clients have said.
    pub(super) fn sent(&self) -> u64 {
        self.sent.iter().map(|sent| sent.load(Ordering::Relaxed)).sum()
    }
}

impl Heard {
    /// Counts what client `id` hears.
    pub(super) fn take(&mut self, id: usize, text: &str, took: Duration) {
        let said = message::read(text.as_bytes()).filter(|(sender, _)| room(*sender) == room(id));
        let Some((sender, number)) = said else {
            self.damaged += 1;
            return;
        };
        let seen = self.seen.entry(sender).or_default();
        let last = seen.last().copied().unwrap_or_default();
        if !seen.insert(number) {
            self.doubled += 1;
        } else if number < last {
            self.reordered += 1;
        }
        self.slowest = self.slowest.max(took);
    }

    /// How many messages of this client have been heard.
    pub(super) fn count_of(&self, sender: usize) -> u64 {
        self.seen.get(&sender).map_or(0, |seen| seen.len() as u64)
    }
}

/// One client's application.
struct Member {
    id: usize,
    connection: Connection,
    counts: Arc<Counts>,
}

impl Member {
    /// Says one message after another, and enters the room again where a session was lost.
    async fn talk(&self) {
        let mut state = self.connection.state();
        state.mark_unchanged();
        let mut ticks = self.ticks();
        loop {
            tokio::select! {
                changed = state.changed() => match changed {
                    Ok(()) => self.note(&mut state).await,
                    Err(_) => return,
                },
                _ = ticks.tick() => self.say().await,
            }
        }
    }

    /// The clients do not speak in chorus: a fault meets some of them at any moment.
    fn ticks(&self) -> Interval {
        let period = Duration::from_secs(1) / MESSAGES_PER_SECOND;
        let mut ticks = interval(period);
        ticks.reset_after(period.mul_f64(rand::random()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    async fn say(&self) {
        let sent = &self.counts.sent[self.id];
        let number = sent.load(Ordering::Relaxed) + 1;
        let micros = self.counts.started.elapsed().as_micros() as u64;
        let arguments = (room(self.id), message::write(self.id, number), micros);
        // What the connection refuses, because it has no socket, has not been said.
        if self.connection.send("Say", &arguments).await.is_ok() {
            sent.store(number, Ordering::Relaxed);
        }
    }

    async fn note(&self, state: &mut watch::Receiver<State>) {
        let now = state.borrow_and_update().clone();
        match now {
            State::Reconnecting { .. } | State::Closed { .. } => {
                self.counts.lost_sessions.fetch_add(1, Ordering::Relaxed);
            }
            State::Reconnected { .. } => {
                // Where this fails the next connection enters.
                let _ = self.connection.invoke::<()>("Enter", &[room(self.id)]).await;
            }
            State::Connecting | State::Connected { .. } => {}
        }
    }
}

/// The room of a client.
pub(super) fn room(client: usize) -> String {
    format!("room-{}", client / ROOM)
}

fn locked(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many clients there are.
pub(super) const CLIENTS: usize = 100;

/// How many are in a room.
pub(super) const ROOM: usize = 5;

/// What each client says.
pub(super) const MESSAGES_PER_SECOND: u32 = 10;

const LOOK: Duration = Duration::from_millis(50);

/// Longer than any client needs for another socket, and for what was kept.
const QUIET: Duration = Duration::from_secs(3);
