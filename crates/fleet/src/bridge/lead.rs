//! Which node reads: of those that are alive, the one with the lowest name. Pure.

use std::collections::BTreeSet;

use everwire_backplane::{Membership, NodeId};

/// Who is alive, and whether it is this node's turn.
#[derive(Debug)]
pub(super) struct Lead {
    me: NodeId,
    alive: BTreeSet<NodeId>,
}

impl Lead {
    pub(super) const fn new(me: NodeId) -> Self {
        Self { me, alive: BTreeSet::new() }
    }

    pub(super) fn handle(&mut self, change: Membership) {
        match change {
            Membership::Joined(member) => drop(self.alive.insert(member.node)),
            // That this one is given up by the others is theirs to know: it lives.
            Membership::Left(member) | Membership::Expired { member, .. } => {
                self.alive.remove(&member.node);
            }
            Membership::Reset => self.alive.clear(),
        }
    }

    /// Whether this node is to read.
    pub(super) fn is_mine(&self) -> bool {
        self.alive.first() == Some(&self.me)
    }
}

#[cfg(test)]
mod tests {
    use everwire_backplane::{Incarnation, Member};

    use super::*;

    #[test]
    fn the_lowest_of_those_who_are_alive_reads() {
        let [low, middle, high] = [1, 2, 3].map(|number| NodeId::from([number; 12]));
        let member = |node| Member { node, incarnation: Incarnation(1) };
        let mut lead = Lead::new(middle);
        assert!(!lead.is_mine(), "nobody is known yet");
        for (change, is_mine) in [
            (Membership::Joined(member(middle)), true),
            (Membership::Joined(member(high)), true),
            (Membership::Joined(member(low)), false),
            (Membership::Expired { member: member(low), yours: false }, true),
            (Membership::Joined(member(low)), false),
            (Membership::Left(member(low)), true),
            (Membership::Reset, false),
            (Membership::Joined(member(middle)), true),
            (Membership::Expired { member: member(middle), yours: false }, false),
        ] {
            lead.handle(change);
            assert_eq!(lead.is_mine(), is_mine, "after {change:?}");
        }
    }
}
