//! The latest versions of a set: what each changed, and how it was before. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    Item,
    entry::{About, Renamed},
    value::Key,
};

/// One version of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub version: u64,
    /// Who made it, when and why.
    pub about: About,
    /// What was renamed.
    pub renames: Vec<Renamed>,
    /// What has changed, each key once.
    pub changed: Vec<Changed>,
}

/// What a version has done to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Which key.
    pub key: Key,
    /// What it had before.
    pub before: Option<Item>,
    /// What it has since.
    pub after: Option<Item>,
}

/// The latest versions, as many as are kept.
#[derive(Debug, Default)]
pub(super) struct History {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

impl History {
    /// Adds the next version, and forgets the oldest ones that are too many.
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.size();
        self.records.push_back(record.into());
        while self.records.len() > VERSIONS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    /// All that are kept, the oldest first.
    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.records.iter()
    }

    /// What follows a version, the oldest first; `None` if some of that is forgotten.
    pub(super) fn since(
        &self,
        version: u64,
        last: u64,
    ) -> Option<impl Iterator<Item = &Arc<Record>>> {
        let wanted = usize::try_from(last.checked_sub(version)?).ok()?;
        let skipped = self.records.len().checked_sub(wanted)?;
        Some(self.records.iter().skip(skipped))
    }

    /// The version before the first one that is kept: the oldest whose values are known.
    pub(super) fn oldest(&self, last: u64) -> u64 {
        self.records.front().map_or(last, |first| first.version - 1)
    }

    /// Makes the latest values those of an earlier version.
    pub(super) fn undo(&self, items: &mut BTreeMap<Key, Item>, version: u64) {
        let undone = self.records.iter().rev().take_while(|record| record.version > version);
        for changed in undone.flat_map(|record| &record.changed) {
            match &changed.before {
                Some(item) => items.insert(changed.key.clone(), item.clone()),
                None => items.remove(&changed.key),
            };
        }
    }
}

impl Record {
    /// About what it takes in memory, in bytes. Of its values only the new ones count: the old ones were
    /// another version's.
    fn size(&self) -> usize {
        let About { by, note, .. } = &self.about;
        let about = by.len() + note.as_ref().map_or(0, |note| note.len());
        let size = |changed: &Changed| {
            let value = changed.after.as_ref().map_or(0, |item| item.stored.size());
            size_of::<Changed>() + changed.key.as_str().len() + value
        };
        size_of::<Self>() + about + self.changed.iter().map(size).sum::<usize>()
    }
}

/// Versions that are kept.
pub const VERSIONS_MAX: usize = 1000;

/// Bytes of the versions that are kept, about: with the largest set still some 8 MiB together.
pub const HISTORY_BYTES_MAX: usize = 4 << 20;
