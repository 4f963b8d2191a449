//! Who has been silent for too long.
//!
//! Each node beats: it counts a number up where all can read it. A node whose number stays is
//! silent, but only while this observer can read: the time during which the backplane was away
//! counts for nobody.

use std::{collections::BTreeMap, time::Duration};

use everwire_proto::time::Time;

use crate::{Incarnation, Member, NodeId};

/// A node's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) member: Member,
    pub(crate) count: u64,
}

/// What an observer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It is new, or in a new life.
    Appeared(Member),
    /// It is not among those who beat: it has left, or somebody has given it up.
    Absent(Member),
    /// It has not beaten for a lease.
    Silent(Beat),
}

/// What one observer knows.
#[derive(Debug)]
pub(crate) struct Leases {
    lease: Duration,
    /// Two reads further apart than this have an outage between them.
    pause_max: Duration,
    read: Option<Time>,
    nodes: BTreeMap<NodeId, Seen>,
}

#[derive(Debug)]
struct Seen {
    incarnation: Incarnation,
    count: u64,
    silent: Duration,
}

impl Leases {
    pub(crate) const fn new(lease: Duration, pause_max: Duration) -> Self {
        Self { lease, pause_max, read: None, nodes: BTreeMap::new() }
    }

    /// The observer could read: these are all who beat.
    pub(crate) fn handle_read(&mut self, now: Time, beats: &[Beat]) -> Vec<Sight> {
        let passed = self.read.map_or(Duration::ZERO, |read| now.saturating_since(read));
        self.read = Some(now);
        let counted = if passed > self.pause_max { Duration::ZERO } else { passed };
        let mut sights: Vec<Sight> =
            beats.iter().filter_map(|beat| self.handle_beat(beat)).collect();
        for (&node, seen) in &mut self.nodes {
            let member = Member { node, incarnation: seen.incarnation };
            let beat = beats.iter().find(|beat| beat.member == member);
            if beat.is_none_or(|beat| beat.count == seen.count) {
                seen.silent += counted;
            } else {
                seen.silent = Duration::ZERO;
            }
            seen.count = beat.map_or(seen.count, |beat| beat.count);
            if seen.silent > self.lease {
                sights.push(Sight::Silent(Beat { member, count: seen.count }));
            } else if beat.is_none() {
                sights.push(Sight::Absent(member));
            }
        }
        sights
    }

    fn handle_beat(&mut self, beat: &Beat) -> Option<Sight> {
        let Member { node, incarnation } = beat.member;
        if self.nodes.get(&node).is_some_and(|seen| seen.incarnation >= incarnation) {
            return None;
        }
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&node) {
            return None;
        }
        if self.nodes.contains_key(&node) {
            // Its former life is over, and is told absent: nobody beats for it any more.
            return None;
        }
        self.nodes.insert(node, Seen { incarnation, count: beat.count, silent: Duration::ZERO });
        Some(Sight::Appeared(beat.member))
    }

    /// The member is gone for good. A later life of its node appears at the next reading.
    pub(crate) fn forget(&mut self, member: Member) {
        if self.nodes.get(&member.node).is_some_and(|seen| seen.incarnation == member.incarnation) {
            self.nodes.remove(&member.node);
        }
    }
}

/// Nodes of one backplane.
pub(crate) const NODES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
