//! How many connections of a shard are in each group and of each user, for whoever is not its task:
//! what another node says is dropped where nobody is meant, without the shard being woken. Pure.

use std::{collections::HashMap, hash::Hash};

use crate::{
    audience::Whom,
    id::{GroupName, UserId},
};

/// The groups and users of a shard.
#[derive(Debug, Default)]
pub(crate) struct Index {
    groups: HashMap<GroupName, usize>,
    users: HashMap<UserId, usize>,
}

impl Index {
    pub(crate) fn arrive(&mut self, user: Option<&UserId>) {
        user.into_iter().for_each(|user| *self.users.entry(user.clone()).or_default() += 1);
    }

    pub(crate) fn leave<'a>(
        &mut self,
        user: Option<&UserId>,
        groups: impl Iterator<Item = &'a GroupName>,
    ) {
        user.into_iter().for_each(|user| release(&mut self.users, user));
        groups.for_each(|group| self.part(group));
    }

    pub(crate) fn join(&mut self, group: &GroupName) {
        *self.groups.entry(group.clone()).or_default() += 1;
    }

    pub(crate) fn part(&mut self, group: &GroupName) {
        release(&mut self.groups, group);
    }

    /// Whether somebody of these may be here; connections are not known here.
    pub(crate) fn may_have(&self, whom: &Whom) -> bool {
        match whom {
            Whom::All | Whom::Connections(_) => true,
            Whom::Groups(names) => names.iter().any(|name| self.groups.contains_key(name)),
            Whom::Users(names) => names.iter().any(|name| self.users.contains_key(name)),
        }
    }
}

fn release<K: Eq + Hash>(counts: &mut HashMap<K, usize>, name: &K) {
    let Some(count) = counts.get_mut(name) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_and_a_user_are_there_as_long_as_somebody_is() {
        let mut index = Index::default();
        let (ann, go) = (UserId::from("ann"), GroupName::from("go"));
        let group = Whom::Groups(vec!["chess".into(), go.clone()]);
        let user = Whom::Users(vec![ann.clone()]);
        index.arrive(Some(&ann));
        index.arrive(Some(&ann));
        index.arrive(None);
        index.join(&go);
        index.join(&go);
        index.part(&go);
        assert!(index.may_have(&group) && index.may_have(&user));
        index.leave(Some(&ann), [&go].into_iter());
        assert!(!index.may_have(&group) && index.may_have(&user));
        index.leave(Some(&ann), std::iter::empty());
        assert!(!index.may_have(&user) && index.may_have(&Whom::All));
        assert!(index.groups.is_empty() && index.users.is_empty());
    }
}
