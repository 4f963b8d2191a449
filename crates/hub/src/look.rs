//! Looking who is there: what a shard tells of its connections. Pure but for where the answer goes.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    audience::Audience,
    connection::Connection,
    registry::{Registry, Seat},
};

/// What somebody wants to know of a shard, and where the answer goes. Nobody hears it who does not
/// wait any more.
#[derive(Debug)]
pub(crate) enum Look {
    /// How many these are.
    Count(Arc<Audience>, oneshot::Sender<usize>),
    /// So many groups behind a name, and how many are in each.
    Groups(Behind, oneshot::Sender<Vec<(Arc<str>, usize)>>),
    /// The same for users.
    Users(Behind, oneshot::Sender<Vec<(Arc<str>, usize)>>),
}

/// A part of what is in order.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    /// Behind this one; from the beginning if there is none.
    pub(crate) after: Option<Arc<str>>,
    /// At most so many.
    pub(crate) limit: usize,
}

impl Look {
    pub(crate) fn answer(self, registry: &Registry<Arc<Connection>>, seats: &mut Vec<Seat>) {
        match self {
            Self::Count(audience, answer) => {
                registry.resolve(&audience, seats);
                let there = seats.iter().filter(|seat| registry.member(**seat).is_some());
                let _ = answer.send(there.count());
            }
            Self::Groups(behind, answer) => {
                let groups = registry.groups().map(|(name, count)| (name.shared(), count));
                let _ = answer.send(behind.first(groups));
            }
            Self::Users(behind, answer) => {
                let users = registry.users().map(|(name, count)| (name.shared(), count));
                let _ = answer.send(behind.first(users));
            }
        }
    }
}

impl Behind {
    fn first<'a>(
        &self,
        names: impl Iterator<Item = (&'a Arc<str>, usize)>,
    ) -> Vec<(Arc<str>, usize)> {
        let mut first = BTreeMap::new();
        for (name, count) in names {
            let is_behind = self.after.as_ref().is_none_or(|after| name > after);
            if is_behind && self.limit > 0 && self.makes_room(&mut first, name) {
                first.insert(Arc::clone(name), count);
            }
        }
        first.into_iter().collect()
    }

    /// Whether a name is among the first so far; the last of those goes if need be.
    fn makes_room(&self, first: &mut BTreeMap<Arc<str>, usize>, name: &Arc<str>) -> bool {
        if first.len() < self.limit {
            return true;
        }
        let is_earlier = first.last_key_value().is_some_and(|(last, _)| name < last);
        if is_earlier {
            first.pop_last();
        }
        is_earlier
    }

    /// What several say, as one: names in order, their counts added up.
    pub(crate) fn merge(
        &self,
        one: Vec<(Arc<str>, usize)>,
        other: Vec<(Arc<str>, usize)>,
    ) -> Vec<(Arc<str>, usize)> {
        let mut all = BTreeMap::<Arc<str>, usize>::new();
        for (name, count) in one.into_iter().chain(other) {
            *all.entry(name).or_default() += count;
        }
        all.into_iter().take(self.limit).collect()
    }
}
