//! How far this node has come with what all nodes say, and what is kept of it for sessions that are
//! about to come here. Pure.
//!
//! What one node says is numbered, and arrives in its order; so how far a node has come is one
//! number for each. A session that moves brings how far its old node had come when it stopped: what
//! this node has heard beyond that is the session's too, and nothing else is.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use everwire_backplane::{Incarnation, Member, NodeId, Origin};

use super::fields::{Reader, Writer};
use crate::{audience::Audience, frames::Frames, id::ConnectionId, id::GroupName};

/// For each node the last that was heard of it, or said by it where it is this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress(BTreeMap<NodeId, (Incarnation, u64)>);

/// What was said to the hub's clients, on whichever node.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Call(Arc<Audience>, Arc<Frames>),
    Membership {
        connection: ConnectionId,
        group: GroupName,
        joins: bool,
    },
    /// That connections end.
    Dismissal(Arc<Audience>),
}

/// What is heard while somebody wants to have it kept.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    said: Vec<(Origin, Said)>,
    bytes: usize,
    is_over: bool,
}

/// The book of one hub.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) progress: Progress,
    /// By the number of who wants it.
    taps: VecDeque<(u64, Tap)>,
}

impl Progress {
    /// Something of this origin was heard or said.
    pub(crate) fn note(&mut self, Origin { member, sequence }: Origin) {
        if self.0.len() >= NODES_MAX && !self.0.contains_key(&member.node) {
            // Names of nodes are random: whichever goes has most likely ended long ago.
            self.0.pop_first();
        }
        let last = self.0.entry(member.node).or_insert((member.incarnation, sequence));
        *last = (*last).max((member.incarnation, sequence));
    }

    /// Whether this was heard or said.
    pub(crate) fn has(&self, Origin { member, sequence }: Origin) -> bool {
        let last = self.0.get(&member.node);
        last.is_some_and(|last| (member.incarnation, sequence) <= *last)
    }

    /// Whether node `own`, which is this far, has heard everything that node `other` had when it was
    /// that far and said so, which is the last it counts of its own. Nodes of which `own` has heard
    /// nothing spoke before it listened.
    pub(crate) fn covers(&self, there: &Self, own: NodeId, other: NodeId) -> bool {
        there.0.iter().filter(|(node, _)| **node != own).all(|(node, last)| {
            match self.0.get(node) {
                Some(here) => here >= last,
                None => *node != other,
            }
        })
    }

    pub(crate) fn write(&self, writer: Writer) -> Writer {
        writer.list(self.0.iter(), |to, (node, (incarnation, sequence))| {
            to.plain(&<[u8; 12]>::from(*node)).number(incarnation.0).number(*sequence)
        })
    }

    pub(crate) fn read(reader: &mut Reader) -> Option<Self> {
        let list = reader.list(|from| {
            let node = NodeId::from(from.array::<12>()?);
            let incarnation = Incarnation(from.number()?);
            Some(Origin { member: Member { node, incarnation }, sequence: from.number()? })
        })?;
        let mut progress = Self::default();
        list.into_iter().for_each(|origin| progress.note(origin));
        Some(progress)
    }
}

impl Tap {
    fn keep(&mut self, origin: Origin, said: &Said) {
        let bytes = match said {
            Said::Call(_, frames) => frames.charged(),
            Said::Membership { group, .. } => group.as_str().len(),
            Said::Dismissal(_) => 0,
        };
        self.bytes += bytes + size_of::<(Origin, Said)>();
        if self.is_over || self.bytes > TAP_BYTES_MAX {
            self.is_over = true;
            self.said = Vec::new();
        } else {
            self.said.push((origin, said.clone()));
        }
    }

    /// What was said beyond where a session's old node had come; `None` if that was too much.
    pub(crate) fn beyond<'a>(
        &'a self,
        progress: &'a Progress,
    ) -> Option<impl Iterator<Item = &'a Said>> {
        let new = self.said.iter().filter(|(origin, _)| !progress.has(*origin));
        (!self.is_over).then(|| new.map(|(_, said)| said))
    }
}

impl Ledger {
    /// Notes what was heard, or said by this node.
    pub(crate) fn note(&mut self, origin: Origin, said: Option<&Said>) {
        self.progress.note(origin);
        if let Some(said) = said {
            self.taps.iter_mut().for_each(|(_, tap)| tap.keep(origin, said));
        }
    }

    /// Whether somebody wants to have something kept.
    pub(crate) fn has_taps(&self) -> bool {
        !self.taps.is_empty()
    }

    /// Begins to keep; gives `false` if so many have it done that one more is too much.
    pub(crate) fn open(&mut self, number: u64) -> bool {
        let has_room = self.taps.len() < TAPS_MAX;
        if has_room {
            self.taps.push_back((number, Tap::default()));
        }
        has_room
    }

    pub(crate) fn tap(&self, number: u64) -> Option<&Tap> {
        self.taps.iter().find(|(there, _)| *there == number).map(|(_, tap)| tap)
    }

    pub(crate) fn close(&mut self, number: u64) {
        self.taps.retain(|(there, _)| *there != number);
    }
}

/// Nodes whose progress is known, ended ones included.
const NODES_MAX: usize = 4096;

/// Memory of what is kept for one wave of sessions: the hub says less in the moment that it takes.
const TAP_BYTES_MAX: usize = 16 << 20;

/// Waves of sessions that come at once: from every other node, a few from each.
const TAPS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::{message::HubMessage, payload::Arguments};

    use super::*;
    use crate::audience::Whom;

    fn member(node: u8, incarnation: u64) -> Member {
        Member { node: [node; 12].into(), incarnation: Incarnation(incarnation) }
    }

    fn origin(node: u8, sequence: u64) -> Origin {
        Origin { member: member(node, 1), sequence }
    }

    fn progress(all: &[Origin]) -> Progress {
        let mut progress = Progress::default();
        all.iter().for_each(|origin| progress.note(*origin));
        progress
    }

    fn call(bytes: usize) -> Said {
        let message = HubMessage::call("x".repeat(bytes), Arguments::none());
        Said::Call(Arc::new(Whom::All.into()), Arc::new(Frames::new(message)))
    }

    #[test]
    fn a_later_life_of_a_node_is_later() {
        let mut here = progress(&[origin(1, 50)]);
        here.note(origin(1, 20));
        assert!(here.has(origin(1, 50)) && !here.has(origin(1, 51)) && !here.has(origin(2, 1)));
        here.note(Origin { member: member(1, 2), sequence: 1 });
        assert!(here.has(origin(1, 51)));
    }

    #[test]
    fn a_node_waits_for_what_its_successor_has_heard() {
        let [own, other] = [[1; 12].into(), [2; 12].into()];
        let there = progress(&[origin(1, 3), origin(2, 9), origin(3, 4), origin(4, 7)]);
        assert!(!progress(&[origin(3, 4)]).covers(&there, own, other), "it has not heard it yet");
        assert!(!progress(&[origin(2, 9), origin(3, 3)]).covers(&there, own, other));
        // Node 4 spoke before this one listened; its own it has heard in any case.
        assert!(progress(&[origin(2, 9), origin(3, 4)]).covers(&there, own, other));
    }

    #[test]
    fn progress_reads_as_it_was_written() {
        let there = progress(&[origin(1, 3), origin(2, u64::MAX)]);
        let written = there.write(Writer::default()).finish();
        assert_eq!(Progress::read(&mut Reader::new(written.clone())), Some(there));
        for end in 0..written.len() {
            assert_eq!(Progress::read(&mut Reader::new(written.slice(..end))), None);
        }
    }

    #[test]
    fn what_the_old_node_had_is_not_the_sessions_again() {
        let mut ledger = Ledger::default();
        ledger.note(origin(2, 1), Some(&call(1)));
        assert!(ledger.open(5) && ledger.has_taps());
        (2..=4).for_each(|number| ledger.note(origin(2, number), Some(&call(1))));
        ledger.note(origin(3, 1), Some(&call(1)));
        ledger.note(origin(3, 2), None);
        let tap = ledger.tap(5).unwrap();
        assert_eq!(tap.beyond(&progress(&[origin(2, 3)])).unwrap().count(), 2);
        assert_eq!(tap.beyond(&progress(&[])).unwrap().count(), 4);
        assert_eq!(ledger.progress, progress(&[origin(2, 4), origin(3, 2)]));
        ledger.close(5);
        assert!(ledger.tap(5).is_none() && !ledger.has_taps());
    }

    #[test]
    fn what_is_kept_is_limited_and_then_of_no_use() {
        let mut ledger = Ledger::default();
        (0..TAPS_MAX as u64).for_each(|number| assert!(ledger.open(number)));
        assert!(!ledger.open(99));
        (1..=17).for_each(|number| ledger.note(origin(2, number), Some(&call(1 << 20))));
        assert!(ledger.tap(0).unwrap().beyond(&Progress::default()).is_none());
        let mut progress = Progress::default();
        for node in 0..=NODES_MAX as u64 {
            let mut name = [0; 12];
            name[..8].copy_from_slice(&node.to_be_bytes());
            let incarnation = Incarnation(1);
            progress
                .note(Origin { member: Member { node: name.into(), incarnation }, sequence: 1 });
        }
        assert_eq!(progress.0.len(), NODES_MAX);
    }
}
