//! Who is connected to one shard, and which groups and users they belong to. Pure.
//!
//! Only the shard's own task has it, so that nothing is locked while a message goes out: others
//! say what they want changed through the shard's inbox.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use crate::{
    audience::{Audience, Whom},
    id::{ConnectionId, GroupName, UserId},
};

/// The members of a shard.
#[derive(Debug)]
pub(crate) struct Registry<M> {
    seats: Vec<Option<Entry<M>>>,
    free: Vec<Seat>,
    ids: HashMap<ConnectionId, Seat>,
    groups: HashMap<GroupName, HashSet<Seat>>,
    users: HashMap<UserId, HashSet<Seat>>,
}

/// A member's place, which another may take after it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seat(u32);

#[derive(Debug)]
struct Entry<M> {
    member: M,
    user: Option<UserId>,
    groups: Vec<GroupName>,
}

impl<M> Registry<M> {
    pub(crate) fn new() -> Self {
        Self {
            seats: Vec::new(),
            free: Vec::new(),
            ids: HashMap::new(),
            groups: HashMap::new(),
            users: HashMap::new(),
        }
    }

    /// Takes a member in. One of the same id must have left before.
    pub(crate) fn arrive(&mut self, id: ConnectionId, user: Option<UserId>, member: M) {
        let entry = Entry { member, user: user.clone(), groups: Vec::new() };
        let seat = match self.free.pop() {
            Some(seat) => seat,
            None => {
                self.seats.push(None);
                // As many connections as this cannot be open at once.
                Seat(u32::try_from(self.seats.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.seats[seat.index()] = Some(entry);
        self.ids.insert(id, seat);
        if let Some(user) = user {
            self.users.entry(user).or_default().insert(seat);
        }
    }

    /// Lets a member go, out of its groups too; one that is unknown has gone already.
    pub(crate) fn leave(&mut self, id: ConnectionId) {
        let Some(seat) = self.ids.remove(&id) else { return };
        let Some(entry) = self.seats[seat.index()].take() else { return };
        self.free.push(seat);
        for group in &entry.groups {
            vacate(&mut self.groups, group, seat);
        }
        if let Some(user) = &entry.user {
            vacate(&mut self.users, user, seat);
        }
    }

    /// Adds a member to a group. Adding it again, or adding who is unknown, changes nothing.
    pub(crate) fn join(&mut self, id: ConnectionId, group: &GroupName) {
        let Some(&seat) = self.ids.get(&id) else { return };
        let Some(entry) = &mut self.seats[seat.index()] else { return };
        let name = match self.groups.get_key_value(group) {
            Some((name, _)) => name.clone(),
            None => group.clone(),
        };
        if self.groups.entry(name.clone()).or_default().insert(seat) {
            entry.groups.push(name);
        }
    }

    /// Takes a member out of a group.
    pub(crate) fn part(&mut self, id: ConnectionId, group: &GroupName) {
        let Some(&seat) = self.ids.get(&id) else { return };
        let Some(entry) = &mut self.seats[seat.index()] else { return };
        entry.groups.retain(|there| there != group);
        vacate(&mut self.groups, group, seat);
    }

    /// Writes where the audience sits to `seats`, each once, in no order that matters.
    pub(crate) fn resolve(&self, audience: &Audience, seats: &mut Vec<Seat>) {
        seats.clear();
        match &audience.whom {
            Whom::All => seats.extend((0..self.seats.len() as u32).map(Seat)),
            Whom::Groups(names) => gather(&self.groups, names, seats),
            Whom::Users(names) => gather(&self.users, names, seats),
            Whom::Connections(ids) => seats.extend(ids.iter().filter_map(|id| self.ids.get(id))),
        }
        if !audience.except.is_empty() {
            let except: HashSet<_> =
                audience.except.iter().filter_map(|id| self.ids.get(id)).collect();
            seats.retain(|seat| !except.contains(seat));
        }
    }

    /// Who has this id, if anybody does.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<&M> {
        self.member(*self.ids.get(&id)?)
    }

    /// Who sits there, if anybody does.
    pub(crate) fn member(&self, seat: Seat) -> Option<&M> {
        self.entry(seat).map(|(member, _)| member)
    }

    /// Who sits there, if anybody does, and in which groups that is.
    pub(crate) fn entry(&self, seat: Seat) -> Option<(&M, &[GroupName])> {
        self.seats.get(seat.index())?.as_ref().map(|entry| (&entry.member, &*entry.groups))
    }

    /// The groups, and how many are in each.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&GroupName, usize)> {
        self.groups.iter().map(|(group, seats)| (group, seats.len()))
    }

    /// The users, and how many connections each has.
    pub(crate) fn users(&self) -> impl Iterator<Item = (&UserId, usize)> {
        self.users.iter().map(|(user, seats)| (user, seats.len()))
    }

    /// Everybody.
    pub(crate) fn members(&self) -> impl Iterator<Item = &M> {
        self.seats.iter().flatten().map(|entry| &entry.member)
    }
}

impl Seat {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

fn gather<K: Eq + Hash>(from: &HashMap<K, HashSet<Seat>>, names: &[K], into: &mut Vec<Seat>) {
    for name in names {
        into.extend(from.get(name).into_iter().flatten());
    }
    if names.len() > 1 {
        into.sort_unstable();
        into.dedup();
    }
}

fn vacate<K: Eq + Hash>(from: &mut HashMap<K, HashSet<Seat>>, name: &K, seat: Seat) {
    let Some(seats) = from.get_mut(name) else { return };
    seats.remove(&seat);
    if seats.is_empty() {
        from.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Room {
        registry: Registry<&'static str>,
        ids: HashMap<&'static str, ConnectionId>,
    }

    /// Three connections: two of Ann's, one of Bob's.
    fn room() -> Room {
        let mut room = Room { registry: Registry::new(), ids: HashMap::new() };
        for (name, user) in [("ann1", "Ann"), ("ann2", "Ann"), ("bob", "Bob")] {
            let id = ConnectionId::random();
            room.ids.insert(name, id);
            room.registry.arrive(id, Some(user.into()), name);
        }
        room
    }

    impl Room {
        fn names(&self, audience: impl Into<Audience>) -> Vec<&'static str> {
            let mut seats = Vec::new();
            self.registry.resolve(&audience.into(), &mut seats);
            let mut names: Vec<_> =
                seats.iter().filter_map(|seat| self.registry.member(*seat).copied()).collect();
            names.sort_unstable();
            names
        }
    }

    fn groups(names: &[&str]) -> Whom {
        Whom::Groups(names.iter().map(|name| GroupName::new(*name)).collect())
    }

    #[test]
    fn everybody_is_found_by_what_they_belong_to() {
        let mut room = room();
        let (ann1, bob) = (room.ids["ann1"], room.ids["bob"]);
        room.registry.join(ann1, &"chess".into());
        room.registry.join(ann1, &"chess".into());
        room.registry.join(ann1, &"go".into());
        room.registry.join(bob, &"go".into());
        assert_eq!(room.names(Whom::All), ["ann1", "ann2", "bob"]);
        assert_eq!(room.names(Whom::Users(vec!["Ann".into()])), ["ann1", "ann2"]);
        assert_eq!(room.names(groups(&["chess"])), ["ann1"]);
        assert_eq!(room.names(groups(&["chess", "go"])), ["ann1", "bob"]);
        assert_eq!(room.names(groups(&["Chess"])), [""; 0]);
        assert_eq!(room.names(Whom::Connections(vec![bob, ConnectionId::random()])), ["bob"]);
        let except = Audience { whom: groups(&["go"]), except: vec![bob] };
        assert_eq!(room.names(except), ["ann1"]);
        room.registry.part(ann1, &"go".into());
        assert_eq!(room.names(groups(&["go"])), ["bob"]);
    }

    #[test]
    fn who_leaves_is_out_of_everything_and_its_seat_is_free() {
        let mut room = room();
        let bob = room.ids["bob"];
        room.registry.join(bob, &"go".into());
        room.registry.leave(bob);
        room.registry.leave(bob);
        room.registry.join(bob, &"go".into());
        assert_eq!(room.names(Whom::All), ["ann1", "ann2"]);
        assert!(room.registry.groups.is_empty() && room.registry.users.len() == 1);
        room.registry.arrive(ConnectionId::random(), None, "new");
        assert_eq!(room.registry.seats.len(), 3);
        assert_eq!(room.names(groups(&["go"])), [""; 0]);
    }
}
