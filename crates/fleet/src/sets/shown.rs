//! Sets as operators see them: as JSON, secrets masked.

use serde::Serialize;

use crate::{
    book::Cursor,
    name::SetName,
    set::{About, Changed, Difference, Item, Key, Record, Renamed, Set, Stored},
    shelf::epoch_text,
};

/// A set as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetState {
    /// Which set.
    pub set: SetName,
    /// Its version; 0 if nobody has written to it.
    pub version: u64,
    /// Which beginning of the set; before the dash of a cursor.
    pub epoch: Box<str>,
    /// Its values, in the order of their keys.
    pub values: Vec<ShownItem>,
}

/// A key's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownItem {
    /// Which key.
    pub key: Key,
    /// Its value; [`MASK`] stands for a secret.
    pub value: Box<str>,
    /// Whether it is one.
    pub secret: bool,
    /// The version that brought it.
    pub version: u64,
}

/// Versions of a set, the latest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetHistory {
    /// Which set.
    pub set: SetName,
    /// Its version.
    pub version: u64,
    /// Which beginning of the set.
    pub epoch: Box<str>,
    /// The oldest version that may be gone back to.
    pub oldest: u64,
    /// What was asked for.
    pub items: Vec<ShownVersion>,
}

/// What a version has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownVersion {
    /// Its number.
    pub version: u64,
    /// Who made it, when and why.
    #[serde(flatten)]
    pub about: About,
    /// What was renamed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renames: Vec<Renamed>,
    /// What is different, each key once.
    pub changes: Vec<ShownChange>,
}

/// A key's value before and after; `None` where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownChange {
    /// Which key.
    pub key: Key,
    /// What it had; [`MASK`] stands for a secret.
    pub before: Option<Box<str>>,
    /// What it has.
    pub after: Option<Box<str>>,
}

/// What is different between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetDiff {
    /// Which set.
    pub set: SetName,
    /// The one version.
    pub from: u64,
    /// The other version.
    pub to: u64,
    /// What they do not agree on, in the order of keys.
    pub items: Vec<ShownDifference>,
}

/// A key that two versions do not agree on; `None` where it has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownDifference {
    /// Which key.
    pub key: Key,
    /// What the one has; [`MASK`] stands for a secret.
    pub from: Option<Box<str>>,
    /// What the other has.
    pub to: Option<Box<str>>,
}

impl SetState {
    pub(super) fn new(name: &SetName, cursor: Cursor, set: &Set) -> Self {
        let items = set.items().iter().map(|(key, item)| ShownItem {
            key: key.clone(),
            value: shown(&item.stored),
            secret: item.stored.is_secret(),
            version: item.version,
        });
        let (values, epoch) = (items.collect(), epoch_text(cursor.epoch).into());
        Self { set: name.clone(), version: set.version(), epoch, values }
    }
}

impl SetHistory {
    pub(super) fn new(
        name: &SetName,
        cursor: Cursor,
        set: &Set,
        before: u64,
        limit: usize,
    ) -> Self {
        let items = set.before(before, limit).map(|record| ShownVersion::new(record)).collect();
        Self {
            set: name.clone(),
            version: set.version(),
            epoch: epoch_text(cursor.epoch).into(),
            oldest: set.oldest(),
            items,
        }
    }
}

impl ShownVersion {
    fn new(record: &Record) -> Self {
        let Record { version, about, renames, changed } = record;
        let changes = changed.iter().map(|Changed { key, before, after }| ShownChange {
            key: key.clone(),
            before: shown_item(before.as_ref()),
            after: shown_item(after.as_ref()),
        });
        let (about, renames) = (about.clone(), renames.clone());
        Self { version: *version, about, renames, changes: changes.collect() }
    }
}

impl SetDiff {
    pub(super) fn new(name: &SetName, from: u64, to: u64, differ: Vec<Difference>) -> Self {
        let items = differ.into_iter().map(|Difference { key, from, to }| ShownDifference {
            key,
            from: shown_item(from.as_ref()),
            to: shown_item(to.as_ref()),
        });
        Self { set: name.clone(), from, to, items: items.collect() }
    }
}

fn shown_item(item: Option<&Item>) -> Option<Box<str>> {
    item.map(|item| shown(&item.stored))
}

fn shown(stored: &Stored) -> Box<str> {
    match stored {
        Stored::Plain(value) => value.as_str().into(),
        Stored::Sealed { .. } => MASK.into(),
    }
}

/// What stands for a secret.
pub const MASK: &str = "***";
