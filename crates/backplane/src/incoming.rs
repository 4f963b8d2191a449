//! What one node receives of one channel: each message once, each publisher's in its order.
//!
//! Numbers tell a message that is there already from one that is missing. Behind a hole messages are
//! held, for a moment and within bounds, while their publisher is asked; what it has no more is
//! announced as lost. Other publishers' messages do not wait.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;

use crate::{Cursor, Gap, Incarnation, Member, Message, NodeId, Origin, Position};

/// What has come of what came in, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// The next message.
    Deliver(Message),
    /// Ask this member for its messages from `first` to `last`, and tell [`Incoming::handle_recalled`].
    Ask { member: Member, first: u64, last: u64 },
    /// These are lost.
    Gap(Gap),
    /// It is here already.
    Duplicate,
}

/// One channel as one node has received it.
#[derive(Debug)]
pub(crate) struct Incoming {
    nodes: HashMap<NodeId, Received>,
    held_max: usize,
    held_bytes_max: usize,
    /// The latest place that was read.
    position: Position,
    outputs: VecDeque<Output>,
}

/// What came from one node.
#[derive(Debug)]
struct Received {
    incarnation: Incarnation,
    /// The last number that was delivered, or given up.
    last: u64,
    /// The last number that is known to exist.
    known: u64,
    /// What came after a hole.
    held: BTreeMap<u64, Body>,
    held_bytes: usize,
    /// Up to which number was asked for.
    asked: Option<u64>,
}

/// What a message has besides its number.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) payload: Bytes,
    pub(crate) recorded: Option<Cursor>,
}

impl From<Bytes> for Body {
    fn from(payload: Bytes) -> Self {
        Self { payload, recorded: None }
    }
}

impl Incoming {
    pub(crate) fn new(position: Position, held_max: usize, held_bytes_max: usize) -> Self {
        let (nodes, outputs) = (HashMap::new(), VecDeque::new());
        Self { nodes, held_max, held_bytes_max, position, outputs }
    }

    /// A message that was there before: what follows it is new.
    pub(crate) fn handle_past(&mut self, origin: Origin) {
        let Some(received) = self.from(origin.member) else { return };
        received.last = received.last.max(origin.sequence);
        received.known = received.known.max(received.last);
    }

    /// A message.
    pub(crate) fn handle_message(
        &mut self,
        origin: Origin,
        position: Position,
        body: impl Into<Body>,
    ) {
        let body = body.into();
        self.position = position;
        let Origin { member, sequence } = origin;
        let fresh = !self.nodes.contains_key(&member.node);
        let Some(received) = self.from(member) else {
            return self.outputs.push_back(Output::Duplicate);
        };
        if fresh {
            // Nothing is known of what was before: it was before this subscription.
            received.last = sequence - 1;
        }
        if sequence <= received.last || received.held.contains_key(&sequence) {
            return self.outputs.push_back(Output::Duplicate);
        }
        received.known = received.known.max(sequence);
        received.held_bytes += body.payload.len();
        received.held.insert(sequence, body);
        self.advance(member);
    }

    /// A message that nobody here can read: it is not missing.
    pub(crate) fn handle_unreadable(&mut self, origin: Origin, position: Position) {
        self.handle_message(origin, position, Bytes::new());
        let same = |output: &Output| matches!(output, Output::Deliver(message) if message.origin == origin);
        self.outputs.retain(|output| !same(output));
    }

    /// The last number that a member has given: what is not here by now is missing.
    pub(crate) fn handle_announcement(&mut self, origin: Origin, position: Position) {
        self.position = position;
        let fresh = !self.nodes.contains_key(&origin.member.node);
        let Some(received) = self.from(origin.member) else { return };
        if fresh {
            received.last = origin.sequence;
        }
        received.known = received.known.max(origin.sequence);
        self.advance(origin.member);
    }

    /// What the publisher still had of what it was asked for; the rest of it is lost.
    pub(crate) fn handle_recalled(
        &mut self,
        member: Member,
        messages: impl IntoIterator<Item = (u64, Bytes)>,
    ) {
        let Some(received) = self.nodes.get_mut(&member.node) else { return };
        if received.incarnation != member.incarnation {
            return;
        }
        let Some(asked) = received.asked.take() else { return };
        for (sequence, payload) in messages {
            if sequence > received.last && sequence <= asked {
                received.held_bytes += payload.len();
                received.held.entry(sequence).or_insert_with(|| payload.into());
            }
        }
        received.give_up(member, asked, self.position, &mut self.outputs);
        self.advance(member);
    }

    /// Positions from before mean nothing any more.
    pub(crate) const fn handle_emptied(&mut self, position: Position) {
        self.position = position;
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What came from this member; `None` if it is over for it, since the node has had a later life.
    fn from(&mut self, member: Member) -> Option<&mut Received> {
        let Member { node, incarnation } = member;
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node) {
            // The one that was heard least matters least; if it is heard again, it begins anew.
            let quietest = self.nodes.iter().min_by_key(|(_, received)| received.incarnation);
            let quietest = quietest.map(|(&node, _)| node);
            quietest.and_then(|node| self.nodes.remove(&node));
        }
        let received = self.nodes.entry(node).or_insert_with(|| Received::new(incarnation));
        if incarnation > received.incarnation {
            let old = Member { node, incarnation: received.incarnation };
            // It is another life already: nobody can answer for the former.
            received.give_up(old, received.known, self.position, &mut self.outputs);
            *received = Received::new(incarnation);
        }
        (incarnation == received.incarnation).then_some(received)
    }

    /// Delivers what is complete, and asks for what is not.
    fn advance(&mut self, member: Member) {
        let Some(received) = self.nodes.get_mut(&member.node) else { return };
        received.deliver(member, self.position, &mut self.outputs);
        if received.held.len() > self.held_max || received.held_bytes > self.held_bytes_max {
            received.asked = None;
            received.give_up(member, received.known, self.position, &mut self.outputs);
        }
        if received.asked.is_some() || received.last >= received.known {
            return;
        }
        let first = received.last + 1;
        let last = received.held.keys().next().map_or(received.known, |held| held - 1);
        received.asked = Some(last);
        self.outputs.push_back(Output::Ask { member, first, last });
    }
}

impl Received {
    const fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, last: 0, known: 0, held: BTreeMap::new(), held_bytes: 0, asked: None }
    }

    /// Delivers what follows without a hole.
    fn deliver(&mut self, member: Member, position: Position, outputs: &mut VecDeque<Output>) {
        while let Some(body) = self.held.remove(&(self.last + 1)) {
            let Body { payload, recorded } = body;
            self.last += 1;
            self.held_bytes -= payload.len();
            let origin = Origin { member, sequence: self.last };
            outputs.push_back(Output::Deliver(Message { origin, position, recorded, payload }));
        }
    }

    /// Delivers everything up to a number, announcing what is missing there.
    fn give_up(
        &mut self,
        member: Member,
        until: u64,
        position: Position,
        outputs: &mut VecDeque<Output>,
    ) {
        self.deliver(member, position, outputs);
        while self.last < until {
            let next = self.held.keys().next().map_or(until, |held| (held - 1).min(until));
            let first = self.last + 1;
            outputs.push_back(Output::Gap(Gap::Lost { member, first, last: next }));
            self.last = next;
            self.deliver(member, position, outputs);
        }
    }
}

/// Nodes whose numbers are kept for one channel.
const NODES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
