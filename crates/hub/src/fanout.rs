//! The hub on several nodes: what is said here and meant for clients elsewhere, and the other way
//! round.
//!
//! A message goes to this node's clients directly and at once, and to the others as one
//! [`envelope`] on the hub's channel, which each node resolves for itself; a node's own envelopes are
//! skipped when they come back, unless they are of a [history](crate::History). What wants an answer is
//! a [`request`] to every other node, because nobody keeps a table of who is where that could be wrong.
//! [`exchange`] is the task that listens.

pub(crate) mod afar;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod fields;
pub(crate) mod ledger;
pub(crate) mod request;
mod serve;

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::{
    Answer, Asking, Bus, Channel, Fate, History, Member, NodeId, Origin, Publishing, Refusal,
    memory,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;

use self::{
    afar::Afar,
    envelope::Envelope,
    ledger::{Ledger, Progress, Said},
    request::Request,
};

/// A hub's end of the bus.
pub(crate) struct Fanout {
    bus: Arc<dyn Bus>,
    channel: Channel,
    /// The other nodes that are alive.
    living: Mutex<BTreeSet<Member>>,
    /// Questions to clients elsewhere whose answers are awaited.
    surveys: Mutex<HashMap<u64, Arc<Afar>>>,
    /// Nodes after which this one is cleaning up.
    cleaning: Mutex<BTreeSet<Member>>,
    pub(crate) counts: Counts,
    /// Shared by who says something to clients, from when the first of them is told until it is noted
    /// in the ledger; held alone by who wants nobody to be in the middle of that.
    order: RwLock<()>,
    ledger: Mutex<Ledger>,
    /// Told whenever the ledger has changed.
    noted: Notify,
    /// There are no other nodes: the bus is for histories alone.
    pub(crate) is_alone: bool,
}

/// What a hub has said to other nodes, and heard of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Envelopes that the bus took for the other nodes.
    pub said: u64,
    /// Envelopes that the bus refused, of which who published was told.
    pub refused: u64,
    /// Envelopes of other nodes.
    pub heard: u64,
    /// Those of them that were dropped after their header, since nobody here is meant.
    pub unwanted: u64,
    /// Envelopes and questions that were dropped because this node cannot read them: they are broken,
    /// or of a node of another version.
    pub unreadable: u64,
    /// Times that something was lost on the way here, each of which was announced.
    pub gaps: u64,
    /// How much of who has come and gone is not yet written down for the case that this node ends;
    /// see [`HubBuilder::client_lost`](crate::HubBuilder::client_lost).
    pub unwritten: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    said: AtomicU64,
    refused: AtomicU64,
    pub(crate) heard: AtomicU64,
    pub(crate) unwanted: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) gaps: AtomicU64,
}

/// What all nodes of a hub say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Across<T> {
    /// What those say that answered, this one included.
    pub value: T,
    /// How many others are alive and have not answered in time.
    pub unreached: usize,
}

impl Fanout {
    pub(crate) fn new(bus: Arc<dyn Bus>, channel: Channel) -> Self {
        let (living, surveys, cleaning, counts) = Default::default();
        let (order, ledger, noted) = Default::default();
        let is_alone = false;
        Self { bus, channel, living, surveys, cleaning, counts, order, ledger, noted, is_alone }
    }

    /// A hub's end of a bus that nobody else is on.
    pub(crate) fn alone(channel: Channel) -> Self {
        let bus = Arc::new(memory::Cluster::default().node());
        Self { is_alone: true, ..Self::new(bus, channel) }
    }

    /// Says a message to all nodes, this one included, by way of a history.
    pub(crate) fn record(&self, history: &History, envelope: Bytes) -> Result<Publishing, Refusal> {
        // It takes a number like everything else that is said.
        self.count(self.bus.record(&self.channel, history, envelope), None)
    }

    pub(crate) fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    pub(crate) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// What this node is called.
    pub(crate) fn node(&self) -> NodeId {
        self.bus.member().node
    }

    /// Says something to all other nodes.
    pub(crate) fn say(&self, envelope: &Envelope) -> Result<Publishing, Refusal> {
        let said = match envelope {
            Envelope::Membership { connection, group, joins } => {
                let group = group.clone();
                Some(Said::Membership { connection: *connection, group, joins: *joins })
            }
            Envelope::Dismissal { audience, .. } => {
                Some(Said::Dismissal(Arc::new(audience.clone())))
            }
            _ => None,
        };
        self.publish(envelope.write(), said.as_ref())
    }

    /// The same with an envelope that is written already, and that says this to clients.
    pub(crate) fn publish(
        &self,
        envelope: Bytes,
        said: Option<&Said>,
    ) -> Result<Publishing, Refusal> {
        self.count(self.bus.publish(&self.channel, envelope), said)
    }

    /// Counts what the bus took or refused, and notes what it took.
    fn count(
        &self,
        mut publishing: Publishing,
        said: Option<&Said>,
    ) -> Result<Publishing, Refusal> {
        if let Some(Fate::NotStored(refusal)) = publishing.now() {
            self.counts.refused.fetch_add(1, Relaxed);
            tracing::debug!(channel = %self.channel, %refusal, "other nodes are not told");
            return Err(refusal);
        }
        self.counts.said.fetch_add(1, Relaxed);
        if let Some(origin) = publishing.origin() {
            self.note(origin, said);
        }
        Ok(publishing)
    }

    /// Held by who says something to clients: see the field.
    pub(crate) fn in_order(&self) -> RwLockReadGuard<'_, ()> {
        self.order.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As long as this is held nobody says anything to clients, and the ledger is right.
    pub(crate) fn standstill(&self) -> RwLockWriteGuard<'_, ()> {
        self.order.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was heard or said.
    pub(crate) fn note(&self, origin: Origin, said: Option<&Said>) {
        self.ledger().note(origin, said);
        self.noted.notify_waiters();
    }

    /// Waits until this holds of how far this node has come.
    pub(crate) async fn until(&self, holds: impl Fn(&Progress) -> bool) {
        loop {
            let noted = self.noted.notified();
            if holds(&self.ledger().progress) {
                return;
            }
            noted.await;
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks every other node, and gives their answers as they come.
    pub(crate) fn ask_all(&self, request: &Request, within: Duration) -> Askings {
        let payload = request.write();
        let nodes: Vec<NodeId> = self.living().iter().map(|member| member.node).collect();
        let ask = |node| named(node, self.ask(node, payload.clone(), within));
        nodes.into_iter().map(ask).collect()
    }

    /// Asks one node.
    pub(crate) fn ask(&self, node: NodeId, payload: Bytes, within: Duration) -> Asking {
        self.bus.ask(node, &self.channel, payload, within)
    }

    /// Has this node's answer and those of all others made into one.
    pub(crate) async fn gather<T>(
        &self,
        request: &Request,
        here: T,
        read: impl Fn(Bytes) -> Option<T>,
        join: impl Fn(T, T) -> T,
    ) -> Across<T> {
        let mut all = Across { value: here, unreached: 0 };
        let mut askings = self.ask_all(request, ANSWER_WITHIN);
        while let Some((_, answer)) = askings.next().await {
            let read = match answer {
                Answer::Reply(reply) => read(reply),
                // Who is gone has nobody.
                Answer::NoSuchNode => continue,
                Answer::NotTaken | Answer::TimedOut | Answer::NotSent(_) => None,
            };
            match read {
                Some(there) => all.value = join(all.value, there),
                None => all.unreached += 1,
            }
        }
        all
    }

    pub(crate) fn exchanged(&self) -> Exchanged {
        let Counts { said, refused, heard, unwanted, unreadable, gaps } = &self.counts;
        Exchanged {
            said: said.load(Relaxed),
            refused: refused.load(Relaxed),
            heard: heard.load(Relaxed),
            unwanted: unwanted.load(Relaxed),
            unreadable: unreadable.load(Relaxed),
            gaps: gaps.load(Relaxed),
            unwritten: 0,
        }
    }

    pub(crate) fn living(&self) -> MutexGuard<'_, BTreeSet<Member>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cleaning(&self) -> MutexGuard<'_, BTreeSet<Member>> {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn surveys(&self) -> MutexGuard<'_, HashMap<u64, Arc<Afar>>> {
        self.surveys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

impl<T> Across<T> {
    /// What this node alone says, where there are no others.
    pub(crate) const fn here(value: T) -> Self {
        Self { value, unreached: 0 }
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// Nodes that were asked.
pub(crate) type Askings = FuturesUnordered<Named>;

/// A question to one node, which says whose answer it is.
#[derive(Debug)]
pub(crate) struct Named {
    node: NodeId,
    asking: Asking,
}

const fn named(node: NodeId, asking: Asking) -> Named {
    Named { node, asking }
}

impl Future for Named {
    type Output = (NodeId, Answer);

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let node = self.node;
        std::pin::Pin::new(&mut self.asking).poll(cx).map(|answer| (node, answer))
    }
}

/// How long a node has to answer what it can answer at once.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
