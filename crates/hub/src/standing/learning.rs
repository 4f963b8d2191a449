//! What a node that has just started must not learn from others: what was taken back meanwhile. Pure.

use std::{collections::HashSet, time::Duration};

use everwire_proto::time::Time;

use super::Change;
use crate::id::{GroupName, UserId};

/// The first moments of a node among others.
#[derive(Debug, Default)]
pub(super) struct Learning {
    until: Option<Time>,
    removed: HashSet<(UserId, GroupName)>,
    removed_all: HashSet<UserId>,
}

impl Learning {
    pub(super) fn begin(now: Time) -> Self {
        Self { until: Some(now + LEARNING_MAX), ..Self::default() }
    }

    /// Whether the node still learns from nodes that it meets.
    pub(super) fn is_on(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Something is said.
    pub(super) fn note(&mut self, change: &Change) {
        if self.until.is_none() {
            return;
        }
        if self.removed.len() + self.removed_all.len() >= REMOVED_MAX {
            // Better learn no more than learn what is over.
            *self = Self::default();
            return;
        }
        match change {
            Change::Add { .. } => {}
            Change::Remove { user, group } => {
                self.removed.insert((user.clone(), group.clone()));
            }
            Change::RemoveAll { user } => {
                self.removed_all.insert(user.clone());
            }
        }
    }

    /// Whether this has been taken back since.
    pub(super) fn has_removed(&self, user: &UserId, group: &GroupName) -> bool {
        self.until.is_none()
            || self.removed_all.contains(user)
            || self.removed.contains(&(user.clone(), group.clone()))
    }
}

/// How long a node is new: others are met at once, and answer soon.
const LEARNING_MAX: Duration = Duration::from_secs(30);

/// What is taken back in that time.
const REMOVED_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_not_learnt() {
        let mut learning = Learning::default();
        assert!(learning.has_removed(&"ann".into(), &"go".into()), "it has not begun");
        learning = Learning::begin(Time::from_millis(5));
        assert!(
            learning.is_on(Time::from_millis(30_004)) && !learning.is_on(Time::from_millis(30_005))
        );
        learning.note(&Change::Remove { user: "ann".into(), group: "go".into() });
        learning.note(&Change::RemoveAll { user: "bob".into() });
        for (user, group, is_removed) in [
            ("ann", "go", true),
            ("ann", "chess", false),
            ("bob", "go", true),
            ("eve", "go", false),
        ] {
            assert_eq!(learning.has_removed(&user.into(), &group.into()), is_removed, "{user}");
        }
        for number in 0..REMOVED_MAX {
            learning.note(&Change::RemoveAll { user: number.to_string().into() });
        }
        assert!(learning.has_removed(&"eve".into(), &"go".into()), "it learns no more");
    }
}
