//! What watchers are told, in the words of the wire: encoded once, however many hear it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    book::Cursor,
    name::SetName,
    seal::Sealer,
    set::{Item, Key, Record, Set, Stored, Value},
    watch::Tell,
};

/// A message to watchers: a call of one of their methods, or an event of a stream.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Message {
    Snapshot { set: SetName, version: u64, epoch: String, values: BTreeMap<Key, Value> },
    Changed { set: SetName, version: u64, epoch: String, changes: Vec<ChangedKey> },
    Gap { set: SetName },
}

/// What a key has now.
#[derive(Debug, Serialize)]
pub(super) struct ChangedKey {
    key: Key,
    value: Option<Value>,
}

/// What is there of a set at one moment, as far as it is to be told.
pub(super) struct Matter {
    pub(super) at: Cursor,
    items: Option<BTreeMap<Key, Item>>,
    records: Vec<Arc<Record>>,
}

/// Who makes messages out of what is there.
pub(super) struct Teller {
    pub(super) set: SetName,
    pub(super) sealer: Arc<Sealer>,
}

impl Matter {
    /// What these tells need.
    pub(super) fn of<W>(tells: &[Tell<W>], set: &Set, at: Cursor) -> Self {
        let is_snapshot = tells.iter().any(|tell| matches!(tell, Tell::Snapshot { .. }));
        let afters = tells.iter().filter_map(|tell| match tell {
            Tell::Since { after, .. } => Some(after.0),
            _ => None,
        });
        let records = afters.min().and_then(|after| set.since(after));
        Self {
            at,
            items: is_snapshot.then(|| set.items().clone()),
            records: records.into_iter().flatten().cloned().collect(),
        }
    }

    fn since(&self, after: u64) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter().filter(move |record| record.version > after)
    }
}

impl Teller {
    pub(super) fn gap(&self) -> Message {
        Message::Gap { set: self.set.clone() }
    }

    pub(super) fn snapshot(&self, matter: &Matter) -> Message {
        let items = matter.items.iter().flatten();
        let values =
            items.filter_map(|(key, item)| Some((key.clone(), self.open(key, &item.stored)?)));
        let Cursor { epoch, version } = matter.at;
        let (epoch, version) = (epoch_text(epoch), version.0);
        Message::Snapshot { set: self.set.clone(), version, epoch, values: values.collect() }
    }

    /// A message for each version after one, or one message for all of them.
    pub(super) fn changes(&self, matter: &Matter, after: u64, as_one: bool) -> Vec<Message> {
        let epoch = matter.at.epoch;
        if !as_one {
            let each = matter.since(after).map(|record| {
                let changed = record.changed.iter();
                let after = changed.map(|changed| (&changed.key, changed.after.as_ref()));
                self.changed(epoch, record.version, after)
            });
            return each.collect();
        }
        // The last word on each key.
        let all = matter.since(after).flat_map(|record| &record.changed);
        let last: BTreeMap<_, _> = all.map(|it| (&it.key, it.after.as_ref())).collect();
        vec![self.changed(epoch, matter.at.version.0, last.into_iter())]
    }

    fn changed<'a>(
        &self,
        epoch: u64,
        version: u64,
        changes: impl Iterator<Item = (&'a Key, Option<&'a Item>)>,
    ) -> Message {
        let changes = changes.filter_map(|(key, item)| {
            let value = match item {
                Some(item) => Some(self.open(key, &item.stored)?),
                None => None,
            };
            Some(ChangedKey { key: key.clone(), value })
        });
        let (changes, epoch) = (changes.collect(), epoch_text(epoch));
        Message::Changed { set: self.set.clone(), version, epoch, changes }
    }

    /// A value. One that cannot be read is left out, and an operator told how to mend that.
    fn open(&self, key: &Key, stored: &Stored) -> Option<Value> {
        let opened = stored.open(&self.sealer, &self.set, key);
        let report = |error: &_| tracing::error!(set = %self.set, %key, %error, "not told");
        opened.inspect_err(report).ok()
    }
}

impl Message {
    /// The client's method.
    pub(super) const fn target(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => "Snapshot",
            Self::Changed { .. } => "ConfigurationChanged",
            Self::Gap { .. } => "Gap",
        }
    }

    /// The event of a stream. The id of one that says something of the set is where to go on from.
    pub(super) fn event(&self) -> Bytes {
        let (name, id) = match self {
            Self::Snapshot { version, epoch, .. } => ("snapshot", Some((epoch, version))),
            Self::Changed { version, epoch, .. } => ("changed", Some((epoch, version))),
            Self::Gap { .. } => ("gap", None),
        };
        let id = id.map(|(epoch, version)| format!("id: {epoch}-{version}\n"));
        // Texts and numbers: there is nothing that JSON cannot say.
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("{}event: {name}\ndata: {data}\n\n", id.unwrap_or_default()).into()
    }
}

/// An epoch as it is in a cursor; as a number it would be too large for JavaScript.
pub(crate) fn epoch_text(epoch: u64) -> String {
    format!("{epoch:x}")
}
