//! Which users are to be in which groups, and until when. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use everwire_proto::time::Time;

use crate::id::{GroupName, UserId};

/// What is remembered of users.
#[derive(Debug)]
pub(super) struct Memory {
    /// Each user's, the latest last.
    users: HashMap<UserId, Vec<Stay>>,
    /// The same in the order in which they end.
    ends: BTreeSet<(Time, UserId, GroupName)>,
    most: usize,
}

/// One membership.
#[derive(Debug)]
struct Stay {
    group: GroupName,
    until: Time,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Somebody said how long.
    Timed,
    /// Nobody did.
    Open,
}

impl Memory {
    /// A memory of at most so many memberships.
    pub(super) fn new(most: usize) -> Self {
        Self { users: HashMap::new(), ends: BTreeSet::new(), most }
    }

    /// Remembers a membership, or how long it is to last from now on. `None` if there are too many,
    /// else the group that the user has to leave for it, if any.
    pub(super) fn add(
        &mut self,
        user: &UserId,
        group: &GroupName,
        stay: Option<Duration>,
        now: Time,
    ) -> Option<Option<GroupName>> {
        self.remove(user, group);
        if self.ends.len() >= self.most {
            return None;
        }
        let until = now + stay.map_or(STAY_MAX, |stay| stay.min(STAY_MAX));
        let kind = if stay.is_some() { Kind::Timed } else { Kind::Open };
        let stays = self.users.entry(user.clone()).or_default();
        stays.push(Stay { group: group.clone(), until, kind });
        self.ends.insert((until, user.clone(), group.clone()));
        let mut open = stays.iter().filter(|stay| stay.kind == Kind::Open);
        let oldest = open.next().map(|oldest| oldest.group.clone());
        let outdated = oldest.filter(|_| open.count() >= OPEN_MAX);
        if let Some(outdated) = &outdated {
            self.remove(user, outdated);
        }
        Some(outdated)
    }

    /// Forgets a membership.
    pub(super) fn remove(&mut self, user: &UserId, group: &GroupName) {
        let Some(stays) = self.users.get_mut(user) else { return };
        let Some(index) = stays.iter().position(|stay| stay.group == *group) else { return };
        let stay = stays.remove(index);
        if stays.is_empty() {
            self.users.remove(user);
        }
        self.ends.remove(&(stay.until, user.clone(), stay.group));
    }

    /// Forgets all memberships of a user.
    pub(super) fn remove_all(&mut self, user: &UserId) {
        for stay in self.users.remove(user).into_iter().flatten() {
            self.ends.remove(&(stay.until, user.clone(), stay.group));
        }
    }

    /// The groups of a user.
    pub(super) fn groups(&self, user: &UserId) -> impl Iterator<Item = &GroupName> {
        self.users.get(user).into_iter().flatten().map(|stay| &stay.group)
    }

    /// A membership whose time is over, if there is one.
    pub(super) fn next_over(&self, now: Time) -> Option<(UserId, GroupName)> {
        let (until, user, group) = self.ends.first()?;
        (*until <= now).then(|| (user.clone(), group.clone()))
    }
}

/// How long a membership lasts that nobody limits, as in Azure SignalR.
const STAY_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Memberships of one user that nobody limits, as in Azure SignalR: the latest stay.
const OPEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1000);

    fn names(memory: &Memory, user: &str) -> Vec<String> {
        memory.groups(&user.into()).map(ToString::to_string).collect()
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn a_membership_ends_when_its_time_is_over() {
        let mut memory = Memory::new(10);
        assert_eq!(memory.add(&"ann".into(), &"go".into(), seconds(9), NOW), Some(None));
        assert_eq!(memory.add(&"ann".into(), &"chess".into(), seconds(5), NOW), Some(None));
        assert_eq!(memory.add(&"bob".into(), &"go".into(), None, NOW), Some(None));
        assert_eq!(names(&memory, "ann"), ["go", "chess"]);
        let at = |seconds| NOW + Duration::from_secs(seconds);
        assert_eq!(memory.next_over(at(4)), None);
        assert_eq!(memory.next_over(at(5)), Some(("ann".into(), "chess".into())));
        memory.remove(&"ann".into(), &"chess".into());
        // Whoever is added again stays from then on.
        assert_eq!(memory.add(&"ann".into(), &"go".into(), seconds(20), NOW), Some(None));
        assert_eq!(memory.next_over(at(19)), None);
        assert_eq!(memory.next_over(at(20)), Some(("ann".into(), "go".into())));
        memory.remove_all(&"ann".into());
        assert_eq!(memory.next_over(NOW + STAY_MAX), Some(("bob".into(), "go".into())));
        memory.remove(&"bob".into(), &"go".into());
        assert!(memory.users.is_empty() && memory.ends.is_empty());
    }

    #[test]
    fn of_what_nobody_limits_the_latest_stay() {
        let mut memory = Memory::new(1000);
        memory.add(&"ann".into(), &"timed".into(), seconds(1), NOW);
        for index in 0..OPEN_MAX {
            let group = GroupName::new(index.to_string());
            assert_eq!(memory.add(&"ann".into(), &group, None, NOW), Some(None));
        }
        assert_eq!(memory.add(&"ann".into(), &"0".into(), None, NOW), Some(None), "the latest now");
        let outdated = memory.add(&"ann".into(), &"one more".into(), None, NOW);
        assert_eq!(outdated, Some(Some("1".into())));
        let all = names(&memory, "ann");
        assert_eq!(
            (all.len(), &*all[0], all.contains(&"0".to_owned())),
            (OPEN_MAX + 1, "timed", true)
        );
        assert_eq!(memory.ends.len(), OPEN_MAX + 1);
    }

    #[test]
    fn a_full_memory_takes_no_more_and_forgets_nothing() {
        let mut memory = Memory::new(2);
        for user in ["ann", "bob"] {
            assert_eq!(memory.add(&user.into(), &"go".into(), None, NOW), Some(None));
        }
        assert_eq!(memory.add(&"eve".into(), &"go".into(), None, NOW), None);
        assert_eq!(memory.add(&"ann".into(), &"go".into(), None, NOW), Some(None), "it is there");
        assert_eq!((names(&memory, "ann").len(), names(&memory, "eve").len()), (1, 0));
    }
}
