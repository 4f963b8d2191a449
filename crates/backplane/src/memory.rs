//! Nodes within one process: the backplane of a single node, and of tests that want several.
//!
//! ```
//! use everwire_backplane::{Bus, Channel, Item, Start, memory::Cluster};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let cluster = Cluster::default();
//! let (one, other) = (cluster.node(), cluster.node());
//! let news = Channel::new("news")?;
//! let mut subscription = other.subscribe(&news, Start::Now);
//! drop(one.publish(&news, "hello".into()));
//! assert_eq!(subscription.next().await, Some(Item::Reachable(true)));
//! let Some(Item::Message(message)) = subscription.next().await else { unreachable!() };
//! assert_eq!(message.origin.member, one.member());
//! # Ok::<_, everwire_backplane::InvalidName>(())
//! # });
//! ```
//!
//! A message is delivered before [`publish`](Bus::publish) returns. Faults are made by hand:
//! [`Cluster::cut`] and [`Cluster::heal`], [`Cluster::empty`], and a [`Node`] that is dropped
//! without its leave has crashed and expires at once.

mod channel;
mod log;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    Answer, Asking, Bus, Channel, Fate, Health, History, Leaving, LogUnreachable, LogWork, Member,
    Members, NodeId, Observer, PAYLOAD_MAX, Publishing, Question, Questions, Refusal, Start,
    Stretch, Subscription, clock, question::Listener,
};

use state::{Peer, State};

/// What the nodes of one process share. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Cluster(Arc<Mutex<State>>);

/// One node of a [`Cluster`]. Dropped without having [left](Bus::leave), it has crashed.
#[derive(Debug)]
pub struct Node {
    cluster: Cluster,
    id: NodeId,
}

impl Cluster {
    /// One more node.
    pub fn node(&self) -> Node {
        let member = Member { node: NodeId::random(), incarnation: clock::first_incarnation() };
        self.lock().join(member);
        Node { cluster: self.clone(), id: member.node }
    }

    /// The backplane is away: what is published waits, what is asked gets no answer.
    pub fn cut(&self) {
        self.lock().cut();
    }

    /// The backplane is back, and what waited is delivered.
    pub fn heal(&self) {
        self.lock().heal();
    }

    /// The backplane loses everything it remembers, and says so.
    pub fn empty(&self) {
        self.lock().empty();
    }

    /// The others take a living node for dead; it comes back as a new incarnation.
    pub fn expire(&self, node: NodeId) {
        self.lock().mistake_for_dead(node);
    }

    /// A node is killed: what it says from now on is not heard, and it expires at once.
    pub fn kill(&self, node: NodeId) {
        self.lock().crash(node);
    }

    /// A node is slow to hear: what is published in the channels that it follows waits before it, as much
    /// as a [`Subscription`] holds, until it is [let through](Self::let_through).
    pub fn hold_back(&self, node: NodeId) {
        self.lock().hold(node, true);
    }

    /// A node hears what was [held back](Self::hold_back), and what comes.
    pub fn let_through(&self, node: NodeId) {
        self.lock().hold(node, false);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A state that somebody's panic left behind is still one that every method accepts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn with<T>(&self, what: impl FnOnce(&mut State, &mut Peer) -> T) -> Option<T> {
        let mut state = self.cluster.lock();
        // Taken out for the moment, so that the rest of the state can be reached beside it.
        let mut peer = state.peers.remove(&self.id)?;
        let done = what(&mut state, &mut peer);
        state.peers.insert(self.id, peer);
        Some(done)
    }

    /// Publishes a message, recorded or not.
    fn say(&self, channel: &Channel, history: Option<&History>, payload: Bytes) -> Publishing {
        if payload.len() > PAYLOAD_MAX {
            return Publishing::known(Fate::NotStored(Refusal::TooLarge));
        }
        self.cluster.lock().publish(self.id, channel, history, payload)
    }
}

impl Bus for Node {
    fn member(&self) -> Member {
        let incarnation = self.with(|_, peer| peer.incarnation);
        Member { node: self.id, incarnation: incarnation.unwrap_or_else(clock::first_incarnation) }
    }

    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing {
        self.say(channel, None, payload)
    }

    fn record(&self, channel: &Channel, history: &History, payload: Bytes) -> Publishing {
        self.say(channel, Some(history), payload)
    }

    fn replay(
        &self,
        history: &History,
        after: u64,
        limit: usize,
    ) -> LogWork<Result<Stretch, LogUnreachable>> {
        let mut state = self.cluster.lock();
        if !state.is_reachable() {
            return LogWork::done(Err(LogUnreachable("the backplane was cut off".into())));
        }
        LogWork::done(Ok(state.replay(history, after, limit)))
    }

    fn subscribe(&self, channel: &Channel, from: Start) -> Subscription {
        let (mailbox, subscription) = Subscription::open();
        self.cluster.lock().subscribe(self.id, channel, from, mailbox);
        subscription
    }

    fn ask(&self, node: NodeId, topic: &Channel, payload: Bytes, within: Duration) -> Asking {
        if payload.len() > PAYLOAD_MAX {
            return Asking::new(async { Answer::NotSent(Refusal::TooLarge) });
        }
        let from = self.member();
        let state = self.cluster.lock();
        let Some(peer) = state.peers.get(&node) else {
            return Asking::new(async { Answer::NoSuchNode });
        };
        let (tell, told) = oneshot::channel();
        let question = Question::new(from, payload, move |reply| {
            // Who asked may have stopped waiting.
            let _ = tell.send(reply.map_or(Answer::NotTaken, Answer::Reply));
        });
        match peer.listeners.get(topic) {
            _ if !state.is_reachable() => drop(question),
            Some(listener) => listener.take(question),
            None => question.refuse(),
        }
        Asking::new(async move {
            let told = async {
                match told.await {
                    Ok(answer) => answer,
                    // A question that nobody answers runs into its deadline, as it does from afar.
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::time::timeout(within, told).await.unwrap_or(Answer::TimedOut)
        })
    }

    fn questions(&self, topic: &Channel) -> Questions {
        let (listener, questions) = Listener::open();
        self.with(|_, peer| peer.listeners.insert(topic.clone(), listener));
        questions
    }

    fn members(&self) -> Members {
        // A node that has left knows of nobody.
        self.with(|_, peer| peer.roll.listen())
            .unwrap_or_else(|| crate::member::Roll::default().listen())
    }

    fn cleaned(&self, observer: Observer, member: Member) {
        self.with(|_, peer| peer.roll.cleaned(observer, member));
    }

    fn leave(&self) -> Leaving {
        self.cluster.lock().leave(self.id);
        Leaving::new(std::future::ready(()))
    }

    fn health(&self) -> Health {
        let state = self.cluster.lock();
        let counts = state.peers.get(&self.id).map(|peer| peer.counts).unwrap_or_default();
        Health { reachable: state.is_reachable(), since: state.reach_since(), counts }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.cluster.lock().crash(self.id);
    }
}
