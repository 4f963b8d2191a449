//! What this node knows of who is present on each other node. Pure.
//!
//! Each node numbers the changes of what is present on it and announces them; the others fold them.
//! Who misses a number, or meets a node for the first time, reads the whole from it, page by page,
//! and applies behind it what was announced meanwhile: of each name the last word counts, so it does
//! not matter which page was read before which change. Until that is done, what was known stays.
//!
//! Kept on every node rather than asked for when it is needed, because a newcomer is told at once who
//! is there, and of a node that has crashed nobody can ask what has gone with it.

use std::collections::{BTreeMap, BTreeSet};

use everwire_backplane::{Incarnation, Member, NodeId};

use super::Place;

/// All other nodes.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    peers: BTreeMap<NodeId, Peer>,
    /// Lives that have ended: what is still underway of them means nothing.
    ended: BTreeMap<NodeId, Incarnation>,
}

/// One node in one of its lives.
#[derive(Debug)]
struct Peer {
    incarnation: Incarnation,
    /// The last change that is in `names`.
    version: u64,
    names: BTreeSet<Place>,
    reading: Option<Reading>,
    /// How often it was looked for among the living in vain.
    missed: u8,
}

/// The whole is being read.
#[derive(Debug, Default)]
struct Reading {
    is_asked: bool,
    /// The change that the first page has in it.
    version: Option<u64>,
    found: BTreeSet<Place>,
    /// What was announced meanwhile.
    changes: Vec<(u64, Place, bool)>,
}

/// One page of what is present on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The last change that is in it.
    pub(crate) version: u64,
    pub(crate) places: Vec<Place>,
    /// Whether there are more behind it.
    pub(crate) has_more: bool,
}

/// What came and went, in order.
pub(crate) type Changes = Vec<(Place, bool)>;

impl Peers {
    /// A node announces a change.
    pub(crate) fn handle_change(
        &mut self,
        member: Member,
        version: u64,
        place: Place,
        is_there: bool,
    ) -> Changes {
        let Some(peer) = self.peer(member) else { return Vec::new() };
        if peer.reading.is_none() {
            if version <= peer.version {
                return Vec::new();
            }
            if version == peer.version + 1 {
                peer.version = version;
                let changed = peer.change(&place, is_there);
                return if changed { vec![(place, is_there)] } else { Vec::new() };
            }
        }
        let reading = peer.reading.get_or_insert_default();
        if reading.changes.len() >= CHANGES_MAX {
            // It changes faster than it can be read: once more, from the beginning.
            *reading = Reading { is_asked: reading.is_asked, ..Reading::default() };
        }
        reading.changes.push((version, place, is_there));
        Vec::new()
    }

    /// A node says how many changes it has announced.
    pub(crate) fn handle_standing(&mut self, member: Member, version: u64) {
        let Some(peer) = self.peer(member) else { return };
        if version > peer.version {
            peer.reading.get_or_insert_default();
        }
    }

    /// What was announced may be missing: of one node, or of all.
    pub(crate) fn handle_gap(&mut self, of: Option<Member>) {
        let concerned = |node: &NodeId| of.is_none_or(|member| member.node == *node);
        for (_, peer) in self.peers.iter_mut().filter(|(node, _)| concerned(node)) {
            peer.reading = Some(Reading::default());
        }
    }

    /// Whom to ask next for the page behind which place.
    pub(crate) fn poll_ask(&mut self) -> Option<(Member, Option<Place>)> {
        self.peers.iter_mut().find_map(|(&node, peer)| {
            let reading = peer.reading.as_mut().filter(|reading| !reading.is_asked)?;
            reading.is_asked = true;
            let member = Member { node, incarnation: peer.incarnation };
            Some((member, reading.found.last().cloned()))
        })
    }

    /// The page behind this place has come; `None` if there is no answer, and then it is asked for again with the next
    /// [`handle_tick`](Self::handle_tick).
    pub(crate) fn handle_page(
        &mut self,
        member: Member,
        after: Option<&Place>,
        page: Option<Page>,
    ) -> Changes {
        let Some(peer) = self.known(member) else { return Vec::new() };
        let Some(reading) = &mut peer.reading else { return Vec::new() };
        // One that was asked for before the reading began anew is no page of it.
        let page = page.filter(|_| reading.found.last() == after);
        let Some(page) = page else { return Vec::new() };
        reading.is_asked = false;
        let begun_with = *reading.version.get_or_insert(page.version);
        let room = NAMES_MAX.saturating_sub(reading.found.len());
        let has_more = page.has_more && page.places.len() <= room && !page.places.is_empty();
        reading.found.extend(page.places.into_iter().take(room));
        if has_more {
            return Vec::new();
        }
        let Some(version) = reading.finish(begun_with) else {
            peer.reading = Some(Reading::default());
            return Vec::new();
        };
        let found = peer.reading.take().map(|reading| reading.found).unwrap_or_default();
        peer.version = version;
        peer.replace(found)
    }

    /// A node is gone, or this life of it.
    pub(crate) fn handle_gone(&mut self, member: Member) -> Changes {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_first();
        }
        let ended = self.ended.entry(member.node).or_insert(member.incarnation);
        *ended = member.incarnation.max(*ended);
        match self.peers.get(&member.node) {
            Some(peer) if peer.incarnation <= member.incarnation => self.forget(member.node),
            _ => Vec::new(),
        }
    }

    /// From time to time: asks again what was not answered, and forgets nodes that have gone
    /// without anybody having said so. `None` while nobody can be seen to live, and so nobody is missed.
    pub(crate) fn handle_tick(&mut self, living: Option<&BTreeSet<Member>>) -> Changes {
        let mut lost = Vec::new();
        for (&node, peer) in &mut self.peers {
            peer.reading.iter_mut().for_each(|reading| reading.is_asked = false);
            let Some(living) = living else { continue };
            let is_living = living.contains(&Member { node, incarnation: peer.incarnation });
            peer.missed = if is_living { 0 } else { peer.missed + 1 };
            if peer.missed > MISSED_MAX {
                lost.push(node);
            }
        }
        lost.into_iter().flat_map(|node| self.forget(node)).collect()
    }

    /// What was present on a node.
    pub(crate) fn names(&self, member: Member) -> impl Iterator<Item = &Place> {
        let peer = self.peers.get(&member.node);
        let peer = peer.filter(|peer| peer.incarnation == member.incarnation);
        peer.into_iter().flat_map(|peer| &peer.names)
    }

    fn forget(&mut self, node: NodeId) -> Changes {
        let peer = self.peers.remove(&node);
        peer.into_iter().flat_map(|peer| peer.names).map(|place| (place, false)).collect()
    }

    /// A node in this life, if it is the last that is known.
    fn known(&mut self, member: Member) -> Option<&mut Peer> {
        let peer = self.peers.get_mut(&member.node)?;
        (peer.incarnation == member.incarnation).then_some(peer)
    }

    /// The same for a node that may be new. A new life begins with what the last one had: it is
    /// replaced once the whole has been read.
    fn peer(&mut self, member: Member) -> Option<&mut Peer> {
        let is_over = |ended: &Incarnation| member.incarnation <= *ended;
        if self.ended.get(&member.node).is_some_and(is_over) || self.is_full(member.node) {
            return None;
        }
        let peer = self.peers.entry(member.node).or_insert_with(|| Peer::new(member.incarnation));
        if member.incarnation > peer.incarnation {
            let names = std::mem::take(&mut peer.names);
            let reading = Some(Reading::default());
            *peer = Peer { names, reading, ..Peer::new(member.incarnation) };
        }
        (peer.incarnation == member.incarnation).then_some(peer)
    }

    fn is_full(&self, node: NodeId) -> bool {
        self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&node)
    }
}

impl Peer {
    const fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, version: 0, names: BTreeSet::new(), reading: None, missed: 0 }
    }

    /// Gives whether that changes anything.
    fn change(&mut self, place: &Place, is_there: bool) -> bool {
        if !is_there {
            return self.names.remove(place);
        }
        self.names.len() < NAMES_MAX && self.names.insert(place.clone())
    }

    fn replace(&mut self, names: BTreeSet<Place>) -> Changes {
        let before = std::mem::replace(&mut self.names, names);
        let gone = before.difference(&self.names).map(|place| (place.clone(), false));
        let come = self.names.difference(&before).map(|place| (place.clone(), true));
        gone.chain(come).collect()
    }
}

impl Reading {
    /// Applies what was announced since the first page; gives up to which change, or `None` if one
    /// is missing.
    fn finish(&mut self, first: u64) -> Option<u64> {
        let mut version = first;
        for (number, place, is_there) in std::mem::take(&mut self.changes) {
            if number <= version {
                continue;
            }
            if number != version + 1 {
                return None;
            }
            version = number;
            if is_there {
                self.found.insert(place);
            } else {
                self.found.remove(&place);
            }
        }
        Some(version)
    }
}

/// Nodes: more than a cluster has.
const PEERS_MAX: usize = 1024;

/// Names on one node: with long ones some 100 MiB.
const NAMES_MAX: usize = 262_144;

/// Changes while the whole is read, which takes a moment.
const CHANGES_MAX: usize = 65_536;

/// Lives that are remembered as over. They matter as long as something of them may be underway.
const ENDED_MAX: usize = 1024;

/// How often in a row a node is not among the living before it is forgotten.
const MISSED_MAX: u8 = 2;

#[cfg(test)]
mod tests;
