//! Which connection of this node is in which groups, and who is present where under which name, on
//! this node and on others. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

use super::{Place, Scope};
use crate::{
    id::{ConnectionId, GroupName},
    moving::session::Attending,
};

/// The memberships of a hub.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: HashMap<ConnectionId, Member>,
    names: BTreeMap<Scope, BTreeMap<Arc<str>, Holders>>,
}

/// Who has a name.
#[derive(Debug, Default)]
struct Holders {
    /// Connections of this node.
    here: usize,
    /// Other nodes.
    elsewhere: usize,
}

/// A name comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) is_there: bool,
    /// Whether it does so on this node, so that the others have to know.
    pub(crate) here: bool,
    /// Whether it does so altogether, so that clients have to know.
    pub(crate) altogether: bool,
}

/// What a member is told that wants more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("This connection has as many groups and names as it may.")]
    Connection,
    #[error("As many are present as may be.")]
    Roster,
}

#[derive(Debug, Default)]
struct Member {
    groups: HashSet<GroupName>,
    names: HashSet<Place>,
}

impl Roster {
    /// A connection joins a group; doing so again changes nothing.
    pub(crate) fn join(
        &mut self,
        id: ConnectionId,
        group: &GroupName,
        most: usize,
    ) -> Result<(), Full> {
        let member = self.members.entry(id).or_default();
        if !member.groups.contains(group) {
            member.check_room(most)?;
            member.groups.insert(group.clone());
        }
        Ok(())
    }

    /// A connection leaves a group, and with it the names that it has there.
    pub(crate) fn leave(&mut self, id: ConnectionId, group: &GroupName) -> Vec<Change> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.groups.remove(group);
        let scope = Scope::Group(group.clone());
        let names: Vec<_> = member.names.extract_if(|(there, _)| *there == scope).collect();
        self.forget_idle(id);
        names.into_iter().filter_map(|gone| self.release(gone)).collect()
    }

    /// A connection is present under a name. Across nodes that say so in the same moment there may
    /// be more names than may be, as many as there are nodes.
    pub(crate) fn enter(
        &mut self,
        id: ConnectionId,
        place: Place,
        most: Limits,
    ) -> Result<Option<Change>, Full> {
        let member = self.members.entry(id).or_default();
        if member.names.contains(&place) {
            return Ok(None);
        }
        member.check_room(most.memberships)?;
        let names = self.names.entry(place.0.clone()).or_default();
        let altogether = !names.contains_key(&place.1);
        if altogether && names.len() >= most.names {
            return Err(Full::Roster);
        }
        let holders = names.entry(Arc::clone(&place.1)).or_default();
        holders.here += 1;
        let here = holders.here == 1;
        member.names.insert(place.clone());
        Ok(here.then_some(Change { place, is_there: true, here, altogether }))
    }

    /// A connection is no longer present under a name.
    pub(crate) fn exit(&mut self, id: ConnectionId, place: Place) -> Option<Change> {
        let member = self.members.get_mut(&id);
        let was_there = member.is_some_and(|member| member.names.remove(&place));
        self.forget_idle(id);
        if was_there { self.release(place) } else { None }
    }

    /// What a connection has.
    pub(crate) fn of(&self, id: ConnectionId) -> Attending {
        let Some(member) = self.members.get(&id) else { return Attending::default() };
        let (groups, places) = (member.groups.iter(), member.names.iter());
        Attending { groups: groups.cloned().collect(), places: places.cloned().collect() }
    }

    /// A connection has ended.
    pub(crate) fn gone(&mut self, id: ConnectionId) -> Vec<Change> {
        let Some(member) = self.members.remove(&id) else { return Vec::new() };
        member.names.into_iter().filter_map(|gone| self.release(gone)).collect()
    }

    /// One more of the other nodes has a name, or one fewer; gives whether that changes who is
    /// present altogether.
    pub(crate) fn change_elsewhere(&mut self, place: &Place, is_there: bool) -> bool {
        if is_there {
            let names = self.names.entry(place.0.clone()).or_default();
            let is_new = !names.contains_key(&place.1);
            names.entry(Arc::clone(&place.1)).or_default().elsewhere += 1;
            return is_new;
        }
        let names = self.names.get_mut(&place.0);
        let Some(holders) = names.and_then(|names| names.get_mut(&place.1)) else { return false };
        holders.elsewhere = holders.elsewhere.saturating_sub(1);
        self.drop_unheld(place)
    }

    /// Who is present, in order.
    pub(crate) fn names(&self, scope: &Scope) -> Vec<Arc<str>> {
        self.names.get(scope).map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }

    /// What is present on this node behind this place, in order.
    pub(crate) fn here_after(&self, after: Option<&Place>) -> impl Iterator<Item = Place> {
        let from = after.map_or(Bound::Unbounded, |(scope, _)| Bound::Included(scope));
        let scopes = self.names.range::<Scope, _>((from, Bound::Unbounded));
        scopes.flat_map(move |(scope, names)| {
            let from = match after {
                Some((there, name)) if there == scope => Bound::Excluded(&**name),
                _ => Bound::Unbounded,
            };
            let names = names.range::<str, _>((from, Bound::Unbounded));
            let here = names.filter(|(_, holders)| holders.here > 0);
            here.map(move |(name, _)| (scope.clone(), Arc::clone(name)))
        })
    }

    /// One connection less has this name.
    fn release(&mut self, place: Place) -> Option<Change> {
        let names = self.names.get_mut(&place.0)?;
        let holders = names.get_mut(&place.1)?;
        holders.here -= 1;
        if holders.here > 0 {
            return None;
        }
        let altogether = self.drop_unheld(&place);
        Some(Change { place, is_there: false, here: true, altogether })
    }

    /// Drops a name that nobody has; gives whether that is so.
    fn drop_unheld(&mut self, (scope, name): &Place) -> bool {
        let Some(names) = self.names.get_mut(scope) else { return false };
        let is_held = |holders: &Holders| holders.here + holders.elsewhere > 0;
        if names.get(name).is_none_or(is_held) {
            return false;
        }
        names.remove(name);
        if names.is_empty() {
            self.names.remove(scope);
        }
        true
    }

    fn forget_idle(&mut self, id: ConnectionId) {
        let is_idle = |member: &Member| member.groups.is_empty() && member.names.is_empty();
        if self.members.get(&id).is_some_and(is_idle) {
            self.members.remove(&id);
        }
    }
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Groups and names of one connection.
    pub(crate) memberships: usize,
    /// Names in one place.
    pub(crate) names: usize,
}

impl Member {
    fn check_room(&self, most: usize) -> Result<(), Full> {
        let has_room = self.groups.len() + self.names.len() < most;
        if has_room { Ok(()) } else { Err(Full::Connection) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: Limits = Limits { memberships: 3, names: 2 };

    fn ids<const N: usize>() -> [ConnectionId; N] {
        std::array::from_fn(|_| ConnectionId::random())
    }

    fn room() -> Scope {
        Scope::Group("room".into())
    }

    /// Whether a name comes or goes, on this node and altogether.
    fn brief(change: Option<Change>) -> Option<(bool, bool, bool)> {
        change.map(|change| (change.is_there, change.here, change.altogether))
    }

    #[test]
    fn pred_s6_a_name_comes_with_the_first_and_goes_with_the_last() {
        let mut all = Roster::default();
        let [one, two] = ids();
        let tv = || (Scope::Hub, Arc::from("tv"));
        assert_eq!(brief(all.enter(one, tv(), MOST).unwrap()), Some((true, true, true)));
        assert_eq!(all.enter(one, tv(), MOST), Ok(None));
        assert_eq!(all.enter(two, tv(), MOST), Ok(None));
        assert_eq!(all.exit(one, tv()), None);
        assert_eq!(all.exit(one, tv()), None, "it has left already");
        assert_eq!(all.names(&Scope::Hub), [Arc::<str>::from("tv")]);
        let gone = all.gone(two);
        assert_eq!((gone.len(), brief(gone.first().cloned())), (1, Some((false, true, true))));
        assert!(all.members.is_empty() && all.names.is_empty());
    }

    #[test]
    fn pred_s6_a_name_stays_as_long_as_another_node_has_it() {
        let mut all = Roster::default();
        let [one] = ids();
        let tv = || (Scope::Hub, Arc::from("tv"));
        assert!(all.change_elsewhere(&tv(), true));
        assert!(!all.change_elsewhere(&tv(), true), "a second node has it too");
        assert_eq!(brief(all.enter(one, tv(), MOST).unwrap()), Some((true, true, false)));
        assert!(!all.change_elsewhere(&tv(), false) && !all.change_elsewhere(&tv(), false));
        assert_eq!(brief(all.exit(one, tv())), Some((false, true, true)));
        assert!(!all.change_elsewhere(&tv(), false), "nobody has had it");
        assert!(all.names.is_empty());
    }

    #[test]
    fn what_is_present_here_is_read_on_from_anywhere() {
        let mut all = Roster::default();
        let most = Limits { memberships: 10, names: 10 };
        let [id] = ids();
        let places: Vec<Place> = [(Scope::Hub, "a"), (Scope::Hub, "b"), (room(), "a")]
            .map(|(scope, name)| (scope, name.into()))
            .into();
        for place in &places {
            all.enter(id, place.clone(), most).unwrap();
        }
        all.change_elsewhere(&(Scope::Hub, "elsewhere".into()), true);
        assert_eq!(all.here_after(None).collect::<Vec<_>>(), places);
        for (at, place) in places.iter().enumerate() {
            assert_eq!(all.here_after(Some(place)).collect::<Vec<_>>(), places[at + 1..]);
        }
        let between = (Scope::Group("r".into()), "z".into());
        assert_eq!(all.here_after(Some(&between)).collect::<Vec<_>>(), places[2..]);
    }

    #[test]
    fn who_leaves_a_group_is_not_present_there_and_still_is_elsewhere() {
        let mut all = Roster::default();
        let [id] = ids();
        all.join(id, &"room".into(), 3).unwrap();
        all.enter(id, (room(), "ann".into()), MOST).unwrap();
        all.enter(id, (Scope::Hub, "ann".into()), MOST).unwrap();
        assert_eq!(all.leave(id, &"room".into()).len(), 1);
        assert_eq!(all.leave(id, &"room".into()), []);
        assert_eq!(
            (all.names(&room()), all.names(&Scope::Hub)),
            (vec![], vec![Arc::<str>::from("ann")])
        );
    }

    #[test]
    fn nobody_has_more_than_may_be() {
        let mut all = Roster::default();
        let [one, two] = ids();
        let hub = |name: &str| (Scope::Hub, name.into());
        for group in ["a", "b", "c", "c"] {
            all.join(one, &group.into(), 3).unwrap();
        }
        assert_eq!(all.join(one, &"d".into(), 3), Err(Full::Connection));
        assert_eq!(all.enter(one, hub("x"), MOST), Err(Full::Connection));
        all.leave(one, &"a".into());
        assert!(all.enter(one, hub("x"), MOST).unwrap().is_some());
        assert!(all.enter(two, hub("y"), MOST).unwrap().is_some());
        assert_eq!(all.enter(two, hub("z"), MOST), Err(Full::Roster));
        assert_eq!(all.enter(two, hub("x"), MOST), Ok(None));
    }

    proptest! {
        /// Whatever happens in whichever order: a name is present as long as somebody has it, and
        /// nothing is left of those who have gone.
        #[test]
        fn rosters_are_what_the_members_have(
            steps in prop::collection::vec((0..4_u8, 0..3_usize, 0..2_usize, 0..3_usize), 0..60)
        ) {
            let (mut all, connections) = (Roster::default(), ids::<3>());
            let scopes = [Scope::Hub, room()];
            for (step, connection, scope, name) in steps {
                let (id, scope) = (connections[connection], scopes[scope].clone());
                let name: Arc<str> = ["x", "y", "z"][name].into();
                match step {
                    0 => drop(all.enter(id, (scope, name), MOST)),
                    1 => drop(all.exit(id, (scope, name))),
                    2 => drop(all.leave(id, &"room".into())),
                    _ => drop(all.gone(id)),
                }
                for scope in &scopes {
                    let of_members = all.members.values().flat_map(|member| &member.names);
                    let there: std::collections::BTreeSet<_> =
                        of_members.filter(|(at, _)| at == scope).map(|(_, name)| name.clone()).collect();
                    prop_assert_eq!(all.names(scope), there.into_iter().collect::<Vec<_>>());
                }
            }
            connections.into_iter().for_each(|id| drop(all.gone(id)));
            prop_assert!(all.members.is_empty() && all.names.is_empty());
        }
    }
}
