//! Which groups a connection has been added to, as far as their number goes. Pure.
//!
//! The shard knows the members of a group; this is what tells whoever adds one at once that there is
//! no room.

use std::collections::BTreeSet;

use crate::{id::GroupName, recipients::GroupError};

/// The groups of one connection: a tree, since that takes no memory for who is in none.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    groups: BTreeSet<GroupName>,
    is_closed: bool,
}

impl Joined {
    /// Adds a group; gives whether that is new.
    pub(crate) fn add(&mut self, group: &GroupName, most: usize) -> Result<bool, GroupError> {
        if group.as_str().len() > NAME_MAX {
            return Err(GroupError::TooLong);
        }
        if self.is_closed || self.groups.contains(group) {
            return Ok(false);
        }
        if self.groups.len() >= most {
            return Err(GroupError::TooMany);
        }
        Ok(self.groups.insert(group.clone()))
    }

    /// Removes a group; gives whether it was there.
    pub(crate) fn remove(&mut self, group: &GroupName) -> bool {
        self.groups.remove(group)
    }

    /// Whether a group is there.
    pub(crate) fn has(&self, group: &GroupName) -> bool {
        self.groups.contains(group)
    }

    /// The connection has ended and joins no more; gives its groups.
    pub(crate) fn close(&mut self) -> BTreeSet<GroupName> {
        self.is_closed = true;
        std::mem::take(&mut self.groups)
    }

    /// All groups.
    pub(crate) const fn all(&self) -> &BTreeSet<GroupName> {
        &self.groups
    }

    /// Removes all groups.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = GroupName> + use<> {
        std::mem::take(&mut self.groups).into_iter()
    }
}

/// Bytes of a group's name: what is longer is no name, and is kept as often as there are members.
pub(crate) const NAME_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_f13_the_groups_of_a_connection_are_limited() {
        let mut joined = Joined::default();
        let names: Vec<GroupName> = (0..4).map(|name| name.to_string().into()).collect();
        for name in &names[..3] {
            assert_eq!(joined.add(name, 3), Ok(true));
            assert_eq!(joined.add(name, 3), Ok(false), "again changes nothing");
        }
        assert_eq!(joined.add(&names[3], 3), Err(GroupError::TooMany));
        assert!(joined.remove(&names[0]) && !joined.remove(&names[0]));
        assert_eq!(joined.add(&names[3], 3), Ok(true));
        assert_eq!(joined.take_all().count(), 3);
        assert_eq!(joined.add(&names[3], 1), Ok(true), "there is room again");
        assert_eq!(joined.add(&"x".repeat(NAME_MAX + 1).into(), 9), Err(GroupError::TooLong));
        assert_eq!(joined.add(&"x".repeat(NAME_MAX).into(), 9), Ok(true));
        assert_eq!(joined.close().len(), 2);
        assert_eq!(joined.add(&names[0], 9), Ok(false), "it has ended");
        assert!(joined.close().is_empty());
    }
}
