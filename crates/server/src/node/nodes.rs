//! This node among others: what each says of itself, and emptying one of them through any.
//!
//! Nodes ask each other over the backplane, on a channel of their own. Without one there is this node
//! alone.

use std::{sync::Arc, time::Duration};

use everwire_backplane::{Answer, Bus, Channel, Member, Membership};
use everwire_hub::Drained;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use super::{Node, Phase};

/// What a node asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Describe,
    Drain,
}

impl Node {
    /// This node's id among all: without a backplane it needs none.
    pub(crate) fn id(&self) -> String {
        self.bus.as_ref().map_or_else(|| SELF.to_owned(), |bus| bus.member().node.to_string())
    }

    /// What this node says of itself.
    pub(crate) fn describe(&self) -> Value {
        let totals: Vec<_> = self.hubs.iter().map(|hub| hub.hub.totals()).collect();
        let sum = |of: fn(&everwire_hub::Totals) -> u64| totals.iter().map(of).sum::<u64>();
        json!({
            "id": self.id(),
            "state": self.state(),
            "address": self.hubs.cluster.as_ref().map(everwire_hub::Cluster::advertise),
            "connections": self.clients(),
            "pipes": self.gateway.totals().pipes,
            "moved_out": sum(|totals| totals.moved_out),
            "moved_in": sum(|totals| totals.moved_in),
            "moves_failed": sum(|totals| totals.moves_failed),
        })
    }

    /// What all nodes say of themselves, this one first; of one that does not answer its id.
    pub(crate) async fn describe_all(&self) -> Vec<Value> {
        let mut all = vec![self.describe()];
        let Some(bus) = &self.bus else { return all };
        for member in others(&**bus) {
            let unknown = || json!({ "id": member.node.to_string(), "state": "unreachable" });
            all.push(ask(&**bus, member, Ask::Describe).await.unwrap_or_else(unknown));
        }
        all
    }

    /// Has a node emptied; what it says of itself, or nothing if there is none of this id. It goes on
    /// serving, and brings whoever comes back to where its session is.
    pub(crate) async fn drain_node(self: &Arc<Self>, id: &str) -> Option<Value> {
        if id == SELF || id == self.id() {
            self.begin_draining();
            return Some(self.describe());
        }
        let bus = self.bus.as_ref()?;
        let member = others(&**bus).into_iter().find(|member| member.node.to_string() == id)?;
        ask(&**bus, member, Ask::Drain).await
    }

    fn begin_draining(self: &Arc<Self>) {
        if self.phase() >= Phase::Draining {
            return;
        }
        self.enter(Phase::Draining);
        let node = Arc::clone(self);
        let drain = async move {
            let (announce, window) = node.stop();
            tokio::time::sleep(announce).await;
            node.empty(window).await;
            node.enter(Phase::Drained);
        };
        self.draining().spawn(drain);
    }

    /// Moves everybody away, a few at a time.
    pub(crate) async fn empty(&self, window: Duration) -> Drained {
        let mut hubs = JoinSet::new();
        let fleet = self.fleet.as_ref().map(|fleet| fleet.fleet.hub());
        for hub in self.hubs.iter().map(|hub| &hub.hub).chain(fleet) {
            let hub = hub.clone();
            hubs.spawn(async move { hub.drain(window).await });
        }
        self.close_pipes(window).await;
        let mut all = Drained::default();
        while let Some(drained) = hubs.join_next().await {
            let Drained { moved, closed, left } = drained.unwrap_or_default();
            all.moved += moved;
            all.closed += closed;
            all.left += left;
        }
        all
    }

    /// Closes the gateway's sessions a few at a time, so that their clients come back to the next node
    /// spread over `window` and not in one instant.
    async fn close_pipes(&self, window: Duration) {
        self.gateway.refuse_new();
        let totals = self.gateway.totals();
        let sessions = usize::try_from(totals.pipes.max(totals.requests)).unwrap_or(usize::MAX);
        if sessions == 0 || window.is_zero() {
            return;
        }
        tracing::info!(sessions, ?window, "closing sessions");
        let ticks = usize::try_from(window.as_millis() / TICK_MIN.as_millis()).unwrap_or(1);
        let batch = sessions.div_ceil(ticks.max(1));
        let batches = u32::try_from(sessions.div_ceil(batch)).unwrap_or(u32::MAX);
        let mut tick = tokio::time::interval(window / batches);
        for _ in 0..batches {
            tick.tick().await;
            self.gateway.stop_some(batch);
        }
    }
}

/// Answers the other nodes, as long as there is a backplane.
pub(crate) async fn answer(node: Arc<Node>) {
    let (Some(bus), Some(topic)) = (&node.bus, topic()) else { return };
    let mut questions = bus.questions(&topic);
    while let Some(question) = questions.next().await {
        let answer = match Ask::read(&question.payload) {
            Some(Ask::Describe) => node.describe().to_string(),
            Some(Ask::Drain) => {
                tracing::info!(by = %question.from, "another node has this one drained");
                node.begin_draining();
                node.describe().to_string()
            }
            None => String::new(),
        };
        question.answer(answer.into());
    }
}

/// The other nodes that are alive.
fn others(bus: &dyn Bus) -> Vec<Member> {
    let own = bus.member().node;
    let mut members = bus.members();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut all = Vec::new();
    // Those who are there come first and without waiting.
    while let std::task::Poll::Ready(Some(change)) =
        std::pin::pin!(members.next()).as_mut().poll(&mut cx)
    {
        match change {
            Membership::Joined(member) => all.push(member),
            Membership::Left(gone) | Membership::Expired { member: gone, .. } => {
                all.retain(|member| *member != gone);
            }
            Membership::Reset => all.clear(),
        }
    }
    all.retain(|member| member.node != own);
    all
}

async fn ask(bus: &dyn Bus, member: Member, what: Ask) -> Option<Value> {
    let asking = bus.ask(member.node, &topic()?, what.write().into(), ANSWER_WITHIN);
    match timeout(ANSWER_WITHIN, asking).await {
        Ok(Answer::Reply(reply)) => serde_json::from_slice(&reply).ok(),
        _ => None,
    }
}

impl Ask {
    const fn write(self) -> &'static [u8] {
        match self {
            Self::Describe => b"describe",
            Self::Drain => b"drain",
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        [Self::Describe, Self::Drain].into_iter().find(|ask| ask.write() == text)
    }
}

fn topic() -> Option<Channel> {
    Channel::new("nodes").ok()
}

/// The node itself, for who asks it and needs no other.
pub(crate) const SELF: &str = "self";

/// How long another node has to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Sessions are closed one by one, or in batches where that would be closer together than this.
const TICK_MIN: Duration = Duration::from_millis(20);
