//! One set: the fold of its log. Pure.
//!
//! The set's version is its log's: entry 7 makes version 7. Whoever folds the same entries has the same set,
//! down to its history.

mod change;
mod diff;
mod entry;
mod history;
mod save;
mod value;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use everwire_backplane::Version;

pub use self::{
    change::{
        BY_MAX, CHANGES_MAX, Change, ChangeError, ENTRY_MAX, KEYS_MAX, NOTE_MAX, Plan,
        SET_BYTES_MAX, plan, roll_back,
    },
    diff::{Difference, diff},
    entry::{About, Renamed},
    history::{Changed, HISTORY_BYTES_MAX, Record, VERSIONS_MAX},
    value::{KEY_MAX, Key, NotAValue, Sealed, Stored, VALUE_MAX, Value},
};
use self::{
    entry::{SetEntry, Step},
    history::History,
};
use crate::book::Fold;

/// A set as of its latest version.
#[derive(Debug, Default)]
pub struct Set {
    version: u64,
    items: BTreeMap<Key, Item>,
    history: History,
    skipped: u64,
}

/// A key's value, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The value as it lies in the log.
    pub stored: Stored,
    /// The version that brought it.
    pub version: u64,
}

impl Set {
    /// The latest version; 0 is a set that nobody has written to.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The latest values.
    pub const fn items(&self) -> &BTreeMap<Key, Item> {
        &self.items
    }

    /// Steps that were not understood: those of a later version of this program.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The values of an earlier version; `None` if it is forgotten or yet to come.
    pub fn items_at(&self, version: u64) -> Option<BTreeMap<Key, Item>> {
        if version > self.version || version < self.oldest() {
            return None;
        }
        let mut items = self.items.clone();
        self.history.undo(&mut items, version);
        Some(items)
    }

    /// The oldest version whose values are known.
    pub fn oldest(&self) -> u64 {
        self.history.oldest(self.version)
    }

    /// The versions that follow one, the oldest first; `None` if some are forgotten, or it is yet to come.
    pub fn since(&self, version: u64) -> Option<impl Iterator<Item = &Arc<Record>>> {
        self.history.since(version, self.version)
    }

    /// At most so many versions before one, the latest first.
    pub fn before(&self, version: u64, limit: usize) -> impl Iterator<Item = &Arc<Record>> {
        let earlier = self.history.records().rev().skip_while(move |it| it.version >= version);
        earlier.take(limit)
    }

    /// Does what the next entry says. One that is here already changes nothing.
    pub fn apply(&mut self, version: u64, entry: &[u8]) {
        if version <= self.version {
            return;
        }
        let (entry, unknown) = SetEntry::read(entry)
            .unwrap_or_else(|| (SetEntry::new(Vec::new(), About::default()), 1));
        if version != self.version + 1 {
            // What was between is not known, and so neither what was before it.
            self.history = History::default();
        }
        self.version = version;
        self.skipped += unknown;
        let renames = entry.changes.iter().filter_map(|step| match step {
            Step::Rename { rename, .. } => Some(rename.clone()),
            Step::Put { .. } => None,
        });
        let renames = renames.collect();
        self.make(entry.changes, renames, entry.about);
    }

    /// Makes the latest version out of the one before.
    fn make(&mut self, steps: Vec<Step>, renames: Vec<Renamed>, about: About) {
        let mut before = BTreeMap::new();
        steps.into_iter().for_each(|step| self.step(step, &mut before));
        let changed = before.into_iter().map(|(key, before)| {
            let after = self.items.get(&key).cloned();
            Changed { key, before, after }
        });
        let changed = changed.filter(|changed| changed.before != changed.after).collect();
        self.history.push(Record { version: self.version, about, renames, changed });
    }

    /// Does one step; what it touches for the first time is noted as it was.
    fn step(&mut self, step: Step, before: &mut BTreeMap<Key, Option<Item>>) {
        let version = self.version;
        let mut put = |key: Key, stored: Option<Stored>| {
            let was = match stored {
                Some(stored) => self.items.insert(key.clone(), Item { stored, version }),
                None => self.items.remove(&key),
            };
            before.entry(key).or_insert_with(|| was.clone());
            was
        };
        match step {
            Step::Put { key, value, .. } => drop(put(key, value)),
            Step::Rename { rename, value } => {
                let moved = put(rename.from, None).map(|item| item.stored);
                if let Some(moved) = moved {
                    put(rename.to, Some(value.unwrap_or(moved)));
                }
            }
        }
    }
}

impl Fold for Set {
    fn new() -> Self {
        Self::default()
    }

    fn apply(&mut self, version: Version, entry: &[u8]) {
        Self::apply(self, version.0, entry);
    }

    fn save(&self) -> Bytes {
        Self::save(self)
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        Self::load(bytes)
    }
}

#[cfg(test)]
mod tests;
