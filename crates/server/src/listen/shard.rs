//! One shard: accepts on its own sockets and owns every connection it accepted.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{handshake, nodes, refuse};
use crate::{
    clock::Moment,
    node::{Desk, Node},
};

/// What every connection of a shard has at hand.
#[derive(Clone)]
pub(super) struct Shard {
    pub(super) node: Arc<Node>,
    /// The hubs, as this thread serves them.
    pub(super) desk: Desk,
    /// The shard's tasks. They live on its runtime and end with it: nothing outlives the thread.
    pub(super) tasks: TaskTracker,
    accepting: CancellationToken,
    running: CancellationToken,
    refusing: Arc<Semaphore>,
}

/// A place among `connections_max`, given back when dropped.
pub(super) struct Slot {
    node: Arc<Node>,
}

impl Shard {
    pub(super) fn new(
        node: Arc<Node>,
        desk: Desk,
        accepting: CancellationToken,
        running: CancellationToken,
    ) -> Self {
        let refusing = Arc::new(Semaphore::new(REFUSALS_MAX));
        Self { node, desk, tasks: TaskTracker::new(), accepting, running, refusing }
    }

    /// Accepts until told otherwise, then waits for the end of the node.
    pub(super) async fn run(
        self,
        listeners: Vec<std::net::TcpListener>,
        nodes: Vec<std::net::TcpListener>,
        hubs: Vec<everwire_hub::Shard>,
    ) {
        let mut hubs: JoinSet<()> = hubs.into_iter().map(everwire_hub::Shard::run).collect();
        let mut accepting = JoinSet::new();
        for listener in listeners {
            let shard = self.clone();
            accepting.spawn(async move { shard.accept_all(listener).await });
        }
        for listener in nodes {
            accepting.spawn(nodes::serve(listener, self.clone()));
        }
        self.running.cancelled().await;
        hubs.abort_all();
    }

    async fn accept_all(&self, listener: std::net::TcpListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listener cannot be used"),
        };
        let mut trouble = Trouble::default();
        loop {
            let accepted = tokio::select! {
                () = self.accepting.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    trouble.over();
                    self.welcome(stream, peer);
                }
                Err(error) => {
                    self.node.metrics.accept_errors.inc();
                    trouble.wait(&error).await;
                }
            }
        }
    }

    fn welcome(&self, stream: TcpStream, peer: SocketAddr) {
        self.node.metrics.accepted.inc();
        match Slot::take(&self.node) {
            Some(slot) => {
                self.tasks.spawn(handshake::run(stream, peer, slot, self.clone()));
            }
            None => self.turn_away(stream),
        }
    }

    /// Answers 503. Answering costs a task and a descriptor for a moment; beyond the limit of
    /// those the connection is closed without a word.
    fn turn_away(&self, stream: TcpStream) {
        self.node.metrics.turned_away.inc();
        if let Ok(permit) = Arc::clone(&self.refusing).try_acquire_owned() {
            self.tasks.spawn(async move {
                refuse::full(stream).await;
                drop(permit);
            });
        }
    }
}

impl Slot {
    fn take(node: &Arc<Node>) -> Option<Self> {
        let most = i64::try_from(node.limits.connections_max).unwrap_or(i64::MAX);
        let before = node.metrics.connections.inc();
        // The slot exists from here on, so that a place is given back on every path.
        let slot = Self { node: Arc::clone(node) };
        (before < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.node.metrics.connections.dec();
    }
}

/// Accepting fails when descriptors run out: the listener stays readable, so that trying again at
/// once would burn a processor. Live sessions are not touched.
#[derive(Default)]
pub(super) struct Trouble {
    pause: Duration,
    told: Option<Moment>,
}

impl Trouble {
    pub(super) fn over(&mut self) {
        self.pause = Duration::ZERO;
    }

    pub(super) async fn wait(&mut self, error: &io::Error) {
        if is_about_one_connection(error) {
            return;
        }
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(%error, "cannot accept clients; raise the limit of open files");
            self.told = Some(Moment::now());
        }
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        tokio::time::sleep(self.pause).await;
    }
}

/// The peer was gone before it was accepted; the next one is fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Clients are accepted again at most this long after a descriptor is free.
const PAUSE_MAX: Duration = Duration::from_millis(500);

const TELL_EVERY: Duration = Duration::from_secs(5);

/// Clients being told 503 at the same time, per shard.
const REFUSALS_MAX: usize = 128;
