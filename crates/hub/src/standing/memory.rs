//! Which users are to be in which groups, and until when. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    time::Duration,
};

use bytes::Bytes;
use everwire_proto::time::Time;

use crate::{
    connection::groups::NAME_MAX,
    fanout::fields::{Reader, Writer},
    id::{GroupName, UserId},
};

/// What is remembered of users.
#[derive(Debug)]
pub(super) struct Memory {
    /// Each user's, the latest last.
    users: HashMap<UserId, Vec<Kept>>,
    /// The same in the order in which they end.
    ends: BTreeSet<(Time, UserId, GroupName)>,
    most: usize,
}

/// One membership as others are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) user: UserId,
    pub(crate) group: GroupName,
    /// How much longer it lasts.
    pub(crate) left: Duration,
    pub(crate) kind: Kind,
}

/// One membership of a user.
#[derive(Debug)]
struct Kept {
    group: GroupName,
    until: Time,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
        stays.push(Kept { group: group.clone(), until, kind });
        self.ends.insert((until, user.clone(), group.clone()));
        let mut open = stays.iter().filter(|stay| stay.kind == Kind::Open);
        let oldest = open.next().map(|oldest| oldest.group.clone());
        let outdated = oldest.filter(|_| open.count() >= OPEN_MAX);
        if let Some(outdated) = &outdated {
            self.remove(user, outdated);
        }
        Some(outdated)
    }

    /// Remembers a membership that another node remembers; gives whether there is room.
    pub(super) fn learn(
        &mut self,
        user: &UserId,
        group: &GroupName,
        left: Duration,
        kind: Kind,
        now: Time,
    ) -> bool {
        let stays = self.users.get(user).map_or(0, Vec::len);
        let is_full = kind == Kind::Open && stays >= OPEN_MAX || self.ends.len() >= self.most;
        if is_full || group.as_str().len() > NAME_MAX {
            return false;
        }
        let until = now + left.min(STAY_MAX);
        let stays = self.users.entry(user.clone()).or_default();
        stays.push(Kept { group: group.clone(), until, kind });
        self.ends.insert((until, user.clone(), group.clone()));
        true
    }

    /// Some memberships behind a cursor, in the order in which they end, and the cursor behind them if
    /// there are more.
    pub(super) fn page(
        &self,
        after: Option<&Bytes>,
        most: usize,
        now: Time,
    ) -> (Vec<Stay>, Option<Bytes>) {
        let from = after.and_then(read_cursor).map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.ends.range((from, Bound::Unbounded));
        let some: Vec<_> = rest.by_ref().take(most).collect();
        let next = some.last().filter(|_| rest.next().is_some()).map(|last| write_cursor(last));
        let stays = some.into_iter().filter_map(|(until, user, group)| {
            let kept = self.users.get(user)?.iter().find(|kept| kept.group == *group)?;
            let (user, group, kind) = (user.clone(), group.clone(), kept.kind);
            Some(Stay { user, group, left: until.saturating_since(now), kind })
        });
        (stays.collect(), next)
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

/// Where a page ends. It means something to the node that wrote it alone.
fn write_cursor((until, user, group): &(Time, UserId, GroupName)) -> Bytes {
    let writer = Writer::default().number(until.as_millis());
    writer.text(user.as_str()).text(group.as_str()).finish()
}

fn read_cursor(cursor: &Bytes) -> Option<(Time, UserId, GroupName)> {
    let mut reader = Reader::new(cursor.clone());
    let until = Time::from_millis(reader.number()?);
    Some((until, UserId::new(reader.text()?), GroupName::new(reader.text()?)))
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
    fn another_node_learns_all_of_it_page_by_page() {
        let mut memory = Memory::new(1000);
        for (number, stay) in
            [seconds(9), None, seconds(5), None, seconds(7)].into_iter().enumerate()
        {
            memory.add(&"ann".into(), &number.to_string().into(), stay, NOW);
        }
        let (mut other, mut after, mut pages) = (Memory::new(1000), None, 0);
        loop {
            let (stays, next) = memory.page(after.as_ref(), 2, NOW);
            pages += 1;
            for Stay { user, group, left, kind } in stays {
                assert!(other.learn(&user, &group, left, kind, NOW));
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((pages, &other.ends), (3, &memory.ends));
        assert!(!other.learn(
            &"x".into(),
            &"x".repeat(NAME_MAX + 1).into(),
            Duration::ZERO,
            Kind::Open,
            NOW
        ));
        let broken = Bytes::from_static(b"no cursor");
        assert_eq!(memory.page(Some(&broken), 2, NOW).0.len(), 2, "it is read from the beginning");
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
