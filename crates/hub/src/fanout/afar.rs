//! Asking clients on other nodes: whom they asked, and what those answer, as it comes.
//!
//! Each node is sent the question, tells whom it asks, and then each answer, and hears each time
//! whether anybody still waits. A node that ends takes the answers of its clients along.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use everwire_backplane::{Answer, NodeId};
use futures_util::Stream;

use super::{
    ANSWER_WITHIN, Askings, Fanout,
    request::{Answered, Request, read_flag},
};
use crate::{audience::Audience, client::InvokeError, hub::Hub, id::ConnectionId};

/// What is known of a question on other nodes.
#[derive(Debug, Default)]
pub(crate) struct Afar {
    inside: Mutex<Inside>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Inside {
    /// Nodes that have not said yet whom all they ask.
    silent: BTreeSet<NodeId>,
    awaited: HashMap<ConnectionId, NodeId>,
    arrived: VecDeque<Answered>,
    /// Nodes of which nothing is known.
    unreached: usize,
}

/// A question that goes to other nodes. Dropping it ends the waiting there too.
pub(crate) struct Elsewhere {
    hub: Hub,
    question: u64,
    afar: Arc<Afar>,
    askings: Askings,
}

impl Elsewhere {
    /// Sends a question to all other nodes; `None` if there are none.
    pub(crate) fn ask(
        hub: &Hub,
        audience: &Audience,
        body: Bytes,
        patience: Option<Duration>,
    ) -> Option<Self> {
        let fanout = hub.fanout()?;
        let nodes: BTreeSet<NodeId> = fanout.living().iter().map(|member| member.node).collect();
        if nodes.is_empty() {
            return None;
        }
        let question = rand::random();
        let inside = Inside { silent: nodes, ..Inside::default() };
        let afar = Arc::new(Afar { inside: Mutex::new(inside), waker: AtomicWaker::new() });
        fanout.surveys().insert(question, Arc::clone(&afar));
        let audience = audience.clone();
        let request = Request::Survey { question, audience, patience, body };
        let askings = fanout.ask_all(&request, ANSWER_WITHIN);
        Some(Self { hub: hub.clone(), question, afar, askings })
    }

    /// Nodes that could not be asked.
    pub(crate) fn unreached(&self) -> usize {
        self.afar.inside().unreached
    }

    /// Awaits no more answers; gives whose are missing.
    pub(crate) fn give_up(&mut self) -> Vec<ConnectionId> {
        self.askings = Askings::new();
        let mut inside = self.afar.inside();
        inside.unreached += inside.silent.len();
        inside.silent.clear();
        inside.awaited.drain().map(|(id, _)| id).collect()
    }

    /// The next answer; `None` when no more can come.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        while let Poll::Ready(Some((node, answer))) = Pin::new(&mut self.askings).poll_next(cx) {
            match answer {
                Answer::Reply(reply) if read_flag(reply.clone()) == Some(true) => {}
                Answer::NoSuchNode => self.afar.handle_silence(node, false),
                _ => self.afar.handle_silence(node, true),
            }
        }
        self.afar.waker.register(cx.waker());
        let mut inside = self.afar.inside();
        match inside.arrived.pop_front() {
            Some(answered) => Poll::Ready(Some(answered)),
            None if inside.silent.is_empty() && inside.awaited.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(fanout) = self.hub.fanout() {
            fanout.surveys().remove(&self.question);
        }
    }
}

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elsewhere").field("afar", &self.afar).finish_non_exhaustive()
    }
}

impl Afar {
    fn handle_asked(&self, node: NodeId, ids: &[ConnectionId], is_last: bool) {
        let mut inside = self.inside();
        // Who has said it all cannot have asked more, whatever it repeats.
        if !inside.silent.contains(&node) {
            return;
        }
        inside.awaited.extend(ids.iter().map(|id| (*id, node)));
        if is_last {
            inside.silent.remove(&node);
        }
        drop(inside);
        self.waker.wake();
    }

    fn handle_answers(&self, node: NodeId, answers: Vec<Answered>) {
        let mut inside = self.inside();
        for answered in answers {
            // An answer that is told again, or that nobody was asked for, is none.
            if inside.awaited.get(&answered.0) == Some(&node) {
                inside.awaited.remove(&answered.0);
                inside.arrived.push_back(answered);
            }
        }
        drop(inside);
        self.waker.wake();
    }

    /// A node has not taken the question.
    fn handle_silence(&self, node: NodeId, is_alive: bool) {
        let mut inside = self.inside();
        if inside.silent.remove(&node) && is_alive {
            inside.unreached += 1;
        }
    }

    /// A node is gone, and its clients with it.
    fn handle_gone(&self, node: NodeId) {
        let mut inside = self.inside();
        inside.silent.remove(&node);
        let lost = inside.awaited.extract_if(|_, at| *at == node);
        let lost: Vec<_> = lost.map(|(id, _)| (id, Err(InvokeError::Disconnected(id)))).collect();
        inside.arrived.extend(lost);
        drop(inside);
        self.waker.wake();
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fanout {
    /// A node tells whom it has asked; gives whether somebody waits for the answers.
    pub(super) fn asked(
        &self,
        question: u64,
        node: NodeId,
        ids: &[ConnectionId],
        is_last: bool,
    ) -> bool {
        let afar = self.surveys().get(&question).cloned();
        afar.iter().for_each(|afar| afar.handle_asked(node, ids, is_last));
        afar.is_some()
    }

    /// A node tells answers; gives whether somebody waits for more.
    pub(super) fn answered(&self, question: u64, node: NodeId, answers: Vec<Answered>) -> bool {
        let Some(afar) = self.surveys().get(&question).cloned() else { return false };
        afar.handle_answers(node, answers);
        true
    }

    /// A node is gone, of which whoever waits for it learns.
    pub(super) fn gone(&self, node: NodeId) {
        let all: Vec<_> = self.surveys().values().cloned().collect();
        all.iter().for_each(|afar| afar.handle_gone(node));
    }
}

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::message::Outcome;

    use super::*;

    #[test]
    fn an_answer_counts_once_and_only_from_where_it_was_asked_for() {
        let [one, two] = [1, 2].map(|node| NodeId::from([node; 12]));
        let [a, b] = [ConnectionId::random(), ConnectionId::random()];
        let afar = Afar::default();
        afar.inside().silent = [one, two].into();
        afar.handle_asked(one, &[a], false);
        afar.handle_asked(one, &[b], true);
        afar.handle_asked(one, &[ConnectionId::random()], true);
        let void = |id| vec![(id, Ok(Outcome::Void))];
        afar.handle_answers(two, void(a));
        afar.handle_answers(one, void(ConnectionId::random()));
        assert!(afar.inside().arrived.is_empty());
        afar.handle_answers(one, void(a));
        afar.handle_answers(one, void(a));
        let known = |inside: MutexGuard<'_, Inside>| (inside.arrived.len(), inside.awaited.len());
        assert_eq!(known(afar.inside()), (1, 1));
        afar.handle_gone(one);
        afar.handle_silence(two, true);
        let inside = afar.inside();
        assert!(matches!(inside.arrived[1], (id, Err(InvokeError::Disconnected(_))) if id == b));
        assert!(inside.silent.is_empty() && inside.awaited.is_empty() && inside.unreached == 1);
    }
}
