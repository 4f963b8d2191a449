//! A set written down, so that its log need not be read from the beginning. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Item, Set,
    entry::{About, Renamed, Step},
    history::Record,
    value::{Key, Stored},
};

/// The oldest values that are known, and everything since.
#[derive(Serialize, Deserialize)]
struct Saved {
    v: u8,
    /// The version of the oldest values.
    version: u64,
    skipped: u64,
    items: Vec<SavedItem>,
    /// What follows. Each has the next version.
    records: Vec<SavedRecord>,
}

#[derive(Serialize, Deserialize)]
struct SavedItem {
    key: Key,
    value: Stored,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedRecord {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    renames: Vec<Renamed>,
    changes: Vec<Step>,
    #[serde(flatten)]
    about: About,
}

impl Set {
    /// The set with its history.
    pub fn save(&self) -> Bytes {
        let version = self.oldest();
        let items = self.items_at(version).unwrap_or_default().into_iter();
        let item = |(key, Item { stored: value, version })| SavedItem { key, value, version };
        let saved = Saved {
            v: FORMAT,
            version,
            skipped: self.skipped,
            items: items.map(item).collect(),
            records: self.history.records().map(|record| SavedRecord::new(record)).collect(),
        };
        // Texts and numbers: there is nothing that JSON cannot say.
        serde_json::to_vec(&saved).unwrap_or_default().into()
    }

    /// What was saved; `None` if it is nothing of that kind.
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let saved: Saved = serde_json::from_slice(bytes).ok()?;
        if saved.v != FORMAT {
            return None;
        }
        let items = saved.items.into_iter();
        let items: BTreeMap<_, _> = items
            .map(|SavedItem { key, value, version }| (key, Item { stored: value, version }))
            .collect();
        let Saved { version, skipped, .. } = saved;
        let mut set = Self { version, items, skipped, ..Self::default() };
        for SavedRecord { renames, changes, about } in saved.records {
            set.version += 1;
            set.make(changes, renames, about);
        }
        Some(set)
    }
}

impl SavedRecord {
    fn new(record: &Record) -> Self {
        let changes = record.changed.iter().map(|changed| {
            let stored = changed.after.as_ref().map(|item| item.stored.clone());
            Step::put(changed.key.clone(), stored)
        });
        let changes = changes.collect();
        Self { renames: record.renames.clone(), changes, about: record.about.clone() }
    }
}

/// The version of the format.
const FORMAT: u8 = 1;
