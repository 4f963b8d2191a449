//! What is different between two versions of a set. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, value::Key};

/// A key that two versions do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which key.
    pub key: Key,
    /// What the one version has.
    pub from: Option<Item>,
    /// What the other version has.
    pub to: Option<Item>,
}

/// The keys whose values are not the same, in order. What is the same is for the caller to say: a secret
/// that is sealed again looks like another one.
pub fn diff(
    from: &BTreeMap<Key, Item>,
    to: &BTreeMap<Key, Item>,
    is_same: impl Fn(&Key, &Item, &Item) -> bool,
) -> Vec<Difference> {
    let keys: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let differ = keys.into_iter().filter_map(|key| {
        let (from, to) = (from.get(key), to.get(key));
        let is_same = match (from, to) {
            (Some(from), Some(to)) => is_same(key, from, to),
            _ => false,
        };
        let difference = || Difference { key: key.clone(), from: from.cloned(), to: to.cloned() };
        (!is_same).then(difference)
    });
    differ.collect()
}
