//! Who is there, who is away, and which connection has whose name. Pure: a fold of what nodes say.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use everwire_backplane::{Incarnation, Member, NodeId};
use everwire_hub::ConnectionId;
use serde::{Deserialize, Serialize};

use crate::{
    entry::{Joined, Text, Why},
    name::InstanceName,
};

/// What an instance says of itself, in pairs. Instances of one application mostly say the same, which
/// is kept once.
pub type Labels = Arc<BTreeMap<Box<str>, Box<str>>>;

/// The instances of a fleet.
#[derive(Debug, Default)]
pub struct Roster {
    instances: BTreeMap<InstanceName, Instance>,
    present: usize,
    labels: HashSet<Labels>,
    versions: HashSet<Arc<str>>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it says of itself.
    pub labels: Labels,
    /// Which version of the application it runs.
    pub version: Option<Arc<str>>,
    /// The connection that has its name, or had it last.
    pub session: ConnectionId,
    /// Where that is.
    pub node: NodeId,
    /// In which of the node's lives.
    pub incarnation: Incarnation,
    /// When that began, in milliseconds since 1970.
    pub joined: u64,
    /// Since when the instance is away, if it is.
    pub away: Option<u64>,
}

/// What becomes of a connection that wants a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seating {
    /// It has it, and this one has it no more.
    Seated(Option<(ConnectionId, NodeId)>),
    /// It had it.
    Again,
    /// A newer one keeps it.
    Outdated,
    /// There are as many instances as there may be.
    Full,
}

/// What becomes of an instance whose connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Nothing: another connection has its name, or it was away.
    Stays,
    /// It is away, and may come back.
    Away,
    /// It is no longer one of them.
    Gone,
}

impl Roster {
    /// An instance has connected.
    pub fn join(&mut self, joined: Joined) -> Seating {
        let Joined { instance: name, session: Text(session), node: Text(node), .. } = joined;
        let before = self.instances.get(&name);
        let seating = match before {
            None if self.instances.len() >= INSTANCES_MAX => return Seating::Full,
            None => Seating::Seated(None),
            Some(before) if before.session == session => match before.away {
                None if (before.node, before.incarnation.0) == (node, joined.incarnation) => {
                    return Seating::Again;
                }
                _ => Seating::Seated(None),
            },
            Some(Instance { away: Some(_), .. }) => Seating::Seated(None),
            Some(_) if joined.again => return Seating::Outdated,
            Some(before) => Seating::Seated(Some((before.session, before.node))),
        };
        if before.is_none_or(|before| before.away.is_some()) {
            self.present += 1;
        }
        let instance = Instance {
            labels: self.intern_labels(joined.labels),
            version: joined.version.map(|version| self.intern_version(&version)),
            session,
            node,
            incarnation: Incarnation(joined.incarnation),
            joined: joined.at,
            away: None,
        };
        self.instances.insert(name, instance);
        seating
    }

    /// A connection has ended.
    pub fn leave(
        &mut self,
        name: &InstanceName,
        session: ConnectionId,
        why: Why,
        at: u64,
    ) -> Departure {
        let there = self.instances.get_mut(name);
        let Some(there) = there.filter(|there| there.session == session && there.away.is_none())
        else {
            return Departure::Stays;
        };
        self.present -= 1;
        if why == Why::Left {
            self.instances.remove(name);
            self.tidy();
            return Departure::Gone;
        }
        there.away = Some(at);
        Departure::Away
    }

    /// A node has ended; gives whose connections ended with it.
    pub fn lose_node(&mut self, node: Member, at: u64) -> Vec<InstanceName> {
        let mut lost = Vec::new();
        for (name, there) in &mut self.instances {
            if there.away.is_none() && there.member() == node {
                there.away = Some(at);
                lost.push(name.clone());
            }
        }
        self.present -= lost.len();
        lost
    }

    /// Nobody waits for an instance any more, if it is away; gives whether it is.
    pub fn forget(&mut self, name: &InstanceName) -> bool {
        let is_away = self.instances.get(name).is_some_and(|there| there.away.is_some());
        if is_away {
            self.instances.remove(name);
            self.tidy();
        }
        is_away
    }

    /// One of them.
    pub fn get(&self, name: &InstanceName) -> Option<&Instance> {
        self.instances.get(name)
    }

    /// One of them, with its name as it is kept here.
    pub fn find(&self, name: &InstanceName) -> Option<(&InstanceName, &Instance)> {
        self.instances.get_key_value(name)
    }

    /// Whether an instance is there.
    pub fn is_present(&self, name: &InstanceName) -> bool {
        self.get(name).is_some_and(|there| there.away.is_none())
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&InstanceName, &Instance)> {
        self.instances.iter()
    }

    /// Those from a name on, in the order of their names.
    pub fn range(
        &self,
        from: Bound<&InstanceName>,
    ) -> impl Iterator<Item = (&InstanceName, &Instance)> {
        self.instances.range((from, Bound::Unbounded))
    }

    /// How many there are, away or not.
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// How many are there.
    pub const fn present(&self) -> usize {
        self.present
    }

    fn intern_labels(&mut self, labels: BTreeMap<Box<str>, Box<str>>) -> Labels {
        let labels = Arc::new(labels);
        match self.labels.get(&labels) {
            Some(same) => Arc::clone(same),
            None => {
                self.labels.insert(Arc::clone(&labels));
                labels
            }
        }
    }

    fn intern_version(&mut self, version: &str) -> Arc<str> {
        if let Some(same) = self.versions.get(version) {
            return Arc::clone(same);
        }
        let version: Arc<str> = version.into();
        self.versions.insert(Arc::clone(&version));
        version
    }

    /// Forgets what nobody says any more, once it is more than what is said.
    fn tidy(&mut self) {
        if self.labels.len() > 2 * self.instances.len() + SPARE {
            self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        }
        if self.versions.len() > 2 * self.instances.len() + SPARE {
            self.versions.retain(|version| Arc::strong_count(version) > 1);
        }
    }
}

impl Instance {
    /// The node in the life in which the connection began.
    pub const fn member(&self) -> Member {
        Member { node: self.node, incarnation: self.incarnation }
    }
}

/// One instance as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    joined: Joined,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    away: Option<u64>,
}

impl Roster {
    /// All, to be kept.
    pub(crate) fn keep(&self) -> Vec<Kept> {
        let kept = |(name, there): (&InstanceName, &Instance)| Kept {
            joined: Joined {
                instance: name.clone(),
                session: Text(there.session),
                node: Text(there.node),
                incarnation: there.incarnation.0,
                labels: BTreeMap::clone(&there.labels),
                version: there.version.as_deref().map(Box::from),
                again: false,
                at: there.joined,
            },
            away: there.away,
        };
        self.iter().map(kept).collect()
    }

    /// Those that were kept.
    pub(crate) fn restore(kept: Vec<Kept>) -> Self {
        let mut roster = Self::default();
        for Kept { joined, away } in kept {
            let (name, Text(session)) = (joined.instance.clone(), joined.session);
            roster.join(joined);
            if let Some(at) = away {
                roster.leave(&name, session, Why::Lost, at);
            }
        }
        roster
    }
}

/// Instances of a fleet, away or not; beyond that none joins.
pub const INSTANCES_MAX: usize = 100_000;

/// What may be kept though nobody says it any more.
const SPARE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u8) -> NodeId {
        [number; 12].into()
    }

    fn name(number: usize) -> InstanceName {
        format!("shop:0:{number}").parse().unwrap()
    }

    fn session(number: u8) -> ConnectionId {
        // 16 bytes in base64.
        format!("{}AAAAAAAAAAAAAAAAAAAA{}", char::from(b'A' + number), 'A').parse().unwrap()
    }

    fn joined(number: usize, by: u8) -> Joined {
        Joined {
            instance: name(number),
            session: Text(session(by)),
            node: Text(node(1)),
            incarnation: 1,
            labels: [("zone".into(), "a".into())].into(),
            version: Some("1.0".into()),
            again: false,
            at: 5,
        }
    }

    #[test]
    fn the_newest_connection_has_the_name() {
        let mut roster = Roster::default();
        assert_eq!(roster.join(joined(1, 1)), Seating::Seated(None));
        assert_eq!(roster.join(joined(1, 1)), Seating::Again);
        let taken = Seating::Seated(Some((session(1), node(1))));
        assert_eq!(roster.join(joined(1, 2)), taken);
        assert_eq!((roster.len(), roster.present()), (1, 1));
        assert_eq!(roster.leave(&name(1), session(1), Why::Left, 6), Departure::Stays);
        let again = |by| Joined { again: true, ..joined(1, by) };
        assert_eq!(roster.join(again(1)), Seating::Outdated, "the newer one keeps it");
        assert_eq!(roster.leave(&name(1), session(2), Why::Lost, 7), Departure::Away);
        assert_eq!((roster.get(&name(1)).unwrap().away, roster.present()), (Some(7), 0));
        assert_eq!(roster.leave(&name(1), session(2), Why::Left, 8), Departure::Stays);
        assert_eq!(roster.join(again(1)), Seating::Seated(None), "the newer one is away");
        assert_eq!(roster.leave(&name(1), session(1), Why::Left, 9), Departure::Gone);
        assert!(roster.is_empty() && !roster.forget(&name(1)));
    }

    #[test]
    fn pred_m1_who_went_with_a_node_is_away_and_then_forgotten() {
        let mut roster = Roster::default();
        for number in 0..3 {
            roster.join(joined(number, number as u8));
        }
        let other = Joined { node: Text(node(2)), ..joined(3, 3) };
        roster.join(other);
        roster.leave(&name(0), session(0), Why::Lost, 6);
        let lost = |incarnation| Member { node: node(1), incarnation: Incarnation(incarnation) };
        assert_eq!(roster.lose_node(lost(2), 7), []);
        assert_eq!(roster.lose_node(lost(1), 7), [name(1), name(2)]);
        assert_eq!(roster.lose_node(lost(1), 8), []);
        assert_eq!((roster.len(), roster.present()), (4, 1));
        let next = Joined { incarnation: 2, again: true, ..joined(1, 1) };
        assert_eq!(roster.join(next), Seating::Seated(None), "its node lives");
        assert!(roster.is_present(&name(1)) && !roster.forget(&name(1)));
        assert!(roster.forget(&name(2)) && !roster.forget(&name(2)));
        assert_eq!((roster.len(), roster.present()), (3, 2));
    }

    #[test]
    fn no_more_join_than_may_and_what_many_say_is_kept_once() {
        let mut roster = Roster::default();
        for number in 0..INSTANCES_MAX {
            assert_eq!(roster.join(joined(number, 1)), Seating::Seated(None));
        }
        assert_eq!(roster.join(joined(INSTANCES_MAX, 1)), Seating::Full);
        assert_eq!(roster.join(joined(0, 1)), Seating::Again);
        assert_eq!((roster.labels.len(), roster.versions.len()), (1, 1));
        assert!(size_of::<(InstanceName, Instance)>() <= 128, "one that is there takes little");
    }

    #[test]
    fn labels_that_nobody_has_any_more_are_forgotten() {
        let mut roster = Roster::default();
        for number in 0..3 * SPARE {
            let labels = [("n".into(), number.to_string().into())].into();
            roster.join(Joined { labels, version: None, ..joined(1, 1) });
            roster.leave(&name(1), session(1), Why::Left, 6);
            assert!(roster.labels.len() <= SPARE + 1);
        }
    }

    #[test]
    fn it_is_restored_as_it_was_kept() {
        let mut roster = Roster::default();
        for number in 0..4 {
            roster.join(joined(number, number as u8));
        }
        roster.leave(&name(2), session(2), Why::Lost, 6);
        let text = serde_json::to_string(&roster.keep()).unwrap();
        let restored = Roster::restore(serde_json::from_str(&text).unwrap());
        assert_eq!(restored.instances, roster.instances);
        assert_eq!(restored.present(), roster.present());
    }
}
