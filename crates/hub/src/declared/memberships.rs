//! Which connection is in which groups, and who is present where under which name. Pure.
//!
//! A name may belong to several connections, such as two tabs of one user: it comes with the first
//! and goes with the last.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use crate::id::{ConnectionId, GroupName};

/// The memberships of a hub.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    members: HashMap<ConnectionId, Member>,
    /// Names, and how many connections each has.
    rosters: HashMap<Scope, BTreeMap<Arc<str>, usize>>,
}

/// Where a name is present.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Hub,
    Group(GroupName),
}

/// What a member is told that wants more than it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("This connection has as many groups and names as it may.")]
    Connection,
    #[error("As many are present as may be.")]
    Roster,
}

#[derive(Debug, Default)]
struct Member {
    groups: HashSet<GroupName>,
    names: HashSet<(Scope, Arc<str>)>,
}

impl Memberships {
    /// A connection joins a group; doing so again changes nothing.
    pub(super) fn join(
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

    /// A connection leaves a group; gives the names that are no longer present there.
    pub(super) fn leave(&mut self, id: ConnectionId, group: &GroupName) -> Vec<Arc<str>> {
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.groups.remove(group);
        let scope = Scope::Group(group.clone());
        let names: Vec<_> = member.names.extract_if(|(there, _)| *there == scope).collect();
        self.forget_idle(id);
        names.into_iter().filter(|gone| self.release(gone)).map(|(_, name)| name).collect()
    }

    /// A connection is present under a name; gives whether that is new.
    pub(super) fn enter(
        &mut self,
        id: ConnectionId,
        scope: Scope,
        name: Arc<str>,
        most: Limits,
    ) -> Result<bool, Full> {
        let member = self.members.entry(id).or_default();
        let place = (scope, name);
        if member.names.contains(&place) {
            return Ok(false);
        }
        member.check_room(most.memberships)?;
        let roster = self.rosters.entry(place.0.clone()).or_default();
        let is_new = !roster.contains_key(&place.1);
        if is_new && roster.len() >= most.names {
            return Err(Full::Roster);
        }
        *roster.entry(Arc::clone(&place.1)).or_default() += 1;
        member.names.insert(place);
        Ok(is_new)
    }

    /// A connection is no longer present under a name; gives whether nobody is.
    pub(super) fn exit(&mut self, id: ConnectionId, scope: Scope, name: Arc<str>) -> bool {
        let place = (scope, name);
        let member = self.members.get_mut(&id);
        let was_there = member.is_some_and(|member| member.names.remove(&place));
        self.forget_idle(id);
        was_there && self.release(&place)
    }

    /// A connection has ended; gives the names that are no longer present.
    pub(super) fn gone(&mut self, id: ConnectionId) -> Vec<(Scope, Arc<str>)> {
        let Some(member) = self.members.remove(&id) else { return Vec::new() };
        member.names.into_iter().filter(|gone| self.release(gone)).collect()
    }

    /// Who is present, in order.
    pub(super) fn names(&self, scope: &Scope) -> Vec<Arc<str>> {
        self.rosters.get(scope).map(|names| names.keys().cloned().collect()).unwrap_or_default()
    }

    /// One connection less has this name; gives whether none does.
    fn release(&mut self, (scope, name): &(Scope, Arc<str>)) -> bool {
        let Some(roster) = self.rosters.get_mut(scope) else { return false };
        let Some(count) = roster.get_mut(name) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        roster.remove(name);
        if roster.is_empty() {
            self.rosters.remove(scope);
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
pub(super) struct Limits {
    /// Groups and names of one connection.
    pub(super) memberships: usize,
    /// Names in one place.
    pub(super) names: usize,
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

    #[test]
    fn a_name_comes_with_the_first_and_goes_with_the_last() {
        let mut all = Memberships::default();
        let [one, two] = ids();
        assert_eq!(all.enter(one, Scope::Hub, "tv".into(), MOST), Ok(true));
        assert_eq!(all.enter(one, Scope::Hub, "tv".into(), MOST), Ok(false));
        assert_eq!(all.enter(two, Scope::Hub, "tv".into(), MOST), Ok(false));
        assert!(!all.exit(one, Scope::Hub, "tv".into()));
        assert!(!all.exit(one, Scope::Hub, "tv".into()), "it has left already");
        assert_eq!(all.names(&Scope::Hub), ["tv".into()]);
        assert_eq!(all.gone(two), [(Scope::Hub, "tv".into())]);
        assert!(all.members.is_empty() && all.rosters.is_empty());
    }

    #[test]
    fn who_leaves_a_group_is_not_present_there_and_still_is_elsewhere() {
        let mut all = Memberships::default();
        let [id] = ids();
        all.join(id, &"room".into(), 3).unwrap();
        all.enter(id, room(), "ann".into(), MOST).unwrap();
        all.enter(id, Scope::Hub, "ann".into(), MOST).unwrap();
        assert_eq!(all.leave(id, &"room".into()), ["ann".into()]);
        assert_eq!(all.leave(id, &"room".into()), []);
        assert_eq!((all.names(&room()), all.names(&Scope::Hub)), (vec![], vec!["ann".into()]));
    }

    #[test]
    fn nobody_has_more_than_may_be() {
        let mut all = Memberships::default();
        let [one, two] = ids();
        for group in ["a", "b", "c", "c"] {
            all.join(one, &group.into(), 3).unwrap();
        }
        assert_eq!(all.join(one, &"d".into(), 3), Err(Full::Connection));
        assert_eq!(all.enter(one, Scope::Hub, "x".into(), MOST), Err(Full::Connection));
        all.leave(one, &"a".into());
        assert_eq!(all.enter(one, Scope::Hub, "x".into(), MOST), Ok(true));
        assert_eq!(all.enter(two, Scope::Hub, "y".into(), MOST), Ok(true));
        assert_eq!(all.enter(two, Scope::Hub, "z".into(), MOST), Err(Full::Roster));
        assert_eq!(all.enter(two, Scope::Hub, "x".into(), MOST), Ok(false));
    }

    proptest! {
        /// Whatever happens in whichever order: a name is present as long as somebody has it, and
        /// nothing is left of those who have gone.
        #[test]
        fn rosters_are_what_the_members_have(
            steps in prop::collection::vec((0..4_u8, 0..3_usize, 0..2_usize, 0..3_usize), 0..60)
        ) {
            let (mut all, connections) = (Memberships::default(), ids::<3>());
            let scopes = [Scope::Hub, room()];
            for (step, connection, scope, name) in steps {
                let (id, scope) = (connections[connection], scopes[scope].clone());
                let name: Arc<str> = ["x", "y", "z"][name].into();
                match step {
                    0 => drop(all.enter(id, scope, name, MOST)),
                    1 => drop(all.exit(id, scope, name)),
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
            prop_assert!(all.members.is_empty() && all.rosters.is_empty());
        }
    }
}
