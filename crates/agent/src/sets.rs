//! The sets that an agent watches: how far it has come in each, and what is to be applied.
//!
//! A manager sends a snapshot and then each change with its version. What is not newer than what is
//! held is dropped; a change that fits on nothing makes the agent ask for a snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::wire::{Changed, Epoch, Snapshot};

/// All that is held.
#[derive(Debug)]
pub(crate) struct Sets {
    /// In the order in which they were asked for: later ones win.
    watched: Vec<Watched>,
    /// What the process was told besides, which wins over all sets: a value, or none.
    overrides: BTreeMap<String, Option<String>>,
    applied: Applied,
    /// What is being applied, and becomes `applied` if that succeeds.
    applying: Option<Applied>,
}

#[derive(Debug)]
struct Watched {
    name: String,
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    epoch: Epoch,
    version: u64,
    values: BTreeMap<String, String>,
    source: Source,
}

/// Where a state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Earlier: the state directory, or a manager that has forgotten. There may be newer.
    Disk,
    Manager,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Applied {
    values: Arc<BTreeMap<String, String>>,
    sets: BTreeMap<String, (u64, BTreeMap<String, String>)>,
    /// Whether it is a state that something was applied from.
    is_set: bool,
}

/// A state to apply, and what is different in it from the one that was applied before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The sets that differ, in the order in which they are watched; none if the state is applied
    /// because somebody asked for it.
    pub sets: Vec<SetChange>,
    /// All values: of all sets, later ones winning, and over them what single commands have set.
    pub values: Arc<BTreeMap<String, String>>,
    /// Whether nothing was applied before.
    pub is_first: bool,
    /// Whether it is what the state directory had, because no manager has told all sets yet.
    pub is_offline: bool,
}

/// What is different in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// The set.
    pub set: String,
    /// Its version; 0 if it has none yet.
    pub version: u64,
    /// The keys that were added, given another value or deleted.
    pub keys: Vec<String>,
}

/// What became of something that a manager said of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something is different.
    News,
    /// Nothing that was not known, or not wanted.
    Nothing,
    /// It does not fit on what is held: a snapshot is needed.
    Unfit,
}

impl Sets {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let watched = names.into_iter().map(|name| Watched { name, held: None }).collect();
        let applied = Applied::default();
        Self { watched, overrides: BTreeMap::new(), applied, applying: None }
    }

    /// What was kept of a set when the process last knew it.
    pub(crate) fn restore(&mut self, kept: Snapshot) {
        if let Some(watched) = self.find(&kept.set).filter(|watched| watched.held.is_none()) {
            watched.held = Some(Held::of(kept, Source::Disk));
        }
    }

    /// The manager tells all of a set.
    pub(crate) fn handle_snapshot(&mut self, snapshot: Snapshot) -> Heard {
        let Some(watched) = self.find(&snapshot.set) else { return Heard::Nothing };
        let known = watched.held.as_ref().filter(|held| held.source == Source::Manager);
        if known.is_some_and(|held| held.has(&snapshot.epoch, snapshot.version)) {
            return Heard::Nothing;
        }
        watched.held = Some(Held::of(snapshot, Source::Manager));
        Heard::News
    }

    /// The manager tells what became different.
    pub(crate) fn handle_changed(&mut self, changed: Changed) -> Heard {
        let Some(watched) = self.find(&changed.set) else { return Heard::Nothing };
        let held = watched.held.as_mut().filter(|held| held.source == Source::Manager);
        let Some(held) = held.filter(|held| held.epoch == changed.epoch) else {
            return Heard::Unfit;
        };
        if changed.version <= held.version {
            return Heard::Nothing;
        }
        held.version = changed.version;
        for change in changed.changes {
            match change.value {
                Some(value) => held.values.insert(change.key, value),
                None => held.values.remove(&change.key),
            };
        }
        Heard::News
    }

    /// The manager cannot tell what was missed, and tells all again.
    pub(crate) fn handle_gap(&mut self, set: &str) {
        if let Some(held) = self.find(set).and_then(|watched| watched.held.as_mut()) {
            held.source = Source::Disk;
        }
    }

    /// Sets a value over those of all sets, takes a key away from them, or, with `None`, leaves a key
    /// to the sets again.
    pub(crate) fn handle_override(&mut self, key: &str, value: Option<Option<String>>) {
        match value {
            Some(value) => self.overrides.insert(key.to_owned(), value),
            None => self.overrides.remove(key),
        };
    }

    /// All sets that are watched, and how far each is known from the manager.
    pub(crate) fn cursors(&self) -> Vec<(String, Option<(Epoch, u64)>)> {
        let cursor = |watched: &Watched| {
            let held = watched.held.as_ref().filter(|held| held.source == Source::Manager);
            (watched.name.clone(), held.map(|held| (held.epoch.clone(), held.version)))
        };
        self.watched.iter().map(cursor).collect()
    }

    /// Whether everything that is watched is known: from the manager, or at least from before.
    pub(crate) fn is_complete(&self, from: Completeness) -> bool {
        self.watched.iter().all(|watched| match (&watched.held, from) {
            (_, Completeness::None) => true,
            (None, _) => false,
            (Some(held), Completeness::Manager) => held.source == Source::Manager,
            (Some(_), Completeness::Disk) => true,
        })
    }

    /// What is held of a set, to be kept.
    pub(crate) fn snapshot(&self, set: &str) -> Option<Snapshot> {
        let watched = self.watched.iter().find(|watched| watched.name == set)?;
        let Held { epoch, version, values, .. } = watched.held.clone()?;
        Some(Snapshot { set: set.to_owned(), epoch, version, values })
    }

    /// The version of each set that is known.
    pub(crate) fn versions(&self) -> BTreeMap<String, u64> {
        let version = |watched: &Watched| {
            watched.held.as_ref().map(|held| (watched.name.clone(), held.version))
        };
        self.watched.iter().filter_map(version).collect()
    }

    /// All values.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for held in self.watched.iter().filter_map(|watched| watched.held.as_ref()) {
            values.extend(held.values.clone());
        }
        for (key, value) in &self.overrides {
            match value {
                Some(value) => values.insert(key.clone(), value.clone()),
                None => values.remove(key),
            };
        }
        values
    }

    /// The state to apply, which counts as applied once [`applied`](Self::applied) says so. `None` if
    /// nothing is different and nobody asked.
    pub(crate) fn begin(&mut self, is_asked_for: bool) -> Option<Change> {
        let state = self.state();
        let is_same = state.values == self.applied.values && self.applied.is_set;
        let sets = self.differing(&state);
        if is_same && !is_asked_for {
            // A version that gives the same values is nothing to tell a program.
            self.applied = state;
            return None;
        }
        let change = Change {
            sets,
            values: state.values.clone(),
            is_first: !self.applied.is_set,
            is_offline: !self.is_complete(Completeness::Manager),
        };
        self.applying = Some(state);
        Some(change)
    }

    /// What was begun has succeeded.
    pub(crate) fn applied(&mut self) {
        if let Some(state) = self.applying.take() {
            self.applied = state;
        }
    }

    fn state(&self) -> Applied {
        let sets = self.watched.iter().filter_map(|watched| {
            let held = watched.held.as_ref()?;
            Some((watched.name.clone(), (held.version, held.values.clone())))
        });
        Applied { values: Arc::new(self.values()), sets: sets.collect(), is_set: true }
    }

    fn differing(&self, state: &Applied) -> Vec<SetChange> {
        let nothing = (0, BTreeMap::new());
        let differs = |watched: &Watched| {
            let (version, new) = state.sets.get(&watched.name)?;
            let (_, old) = self.applied.sets.get(&watched.name).unwrap_or(&nothing);
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let is_other = |key: &&&String| old.get(**key) != new.get(**key);
            let keys: Vec<String> = keys.iter().filter(is_other).map(|&key| key.clone()).collect();
            let change = SetChange { set: watched.name.clone(), version: *version, keys };
            (!change.keys.is_empty()).then_some(change)
        };
        self.watched.iter().filter_map(differs).collect()
    }

    fn find(&mut self, set: &str) -> Option<&mut Watched> {
        self.watched.iter_mut().find(|watched| watched.name == set)
    }
}

/// What everything that is watched must be known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completeness {
    /// The manager, in this process' time.
    Manager,
    /// The manager, or the state directory.
    Disk,
    /// It need not be known.
    None,
}

impl Held {
    fn of(snapshot: Snapshot, source: Source) -> Self {
        let Snapshot { epoch, version, values, .. } = snapshot;
        Self { epoch, version, values, source }
    }

    fn has(&self, epoch: &Epoch, version: u64) -> bool {
        self.epoch == *epoch && self.version >= version
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn snapshot(set: &str, version: u64, values: &serde_json::Value) -> Snapshot {
        let snapshot = json!({"set": set, "epoch": 1, "version": version, "values": values});
        from_value(snapshot).unwrap()
    }

    fn changed(epoch: u64, version: u64, key: &str, value: Option<&str>) -> Changed {
        let changes = json!([{"key": key, "value": value}]);
        let changed = json!({"set": "s", "epoch": epoch, "version": version, "changes": changes});
        from_value(changed).unwrap()
    }

    fn watching(names: &[&str]) -> Sets {
        Sets::new(names.iter().map(|name| (*name).to_owned()))
    }

    fn applied(sets: &mut Sets) -> Option<Change> {
        let change = sets.begin(false);
        sets.applied();
        change
    }

    #[test]
    fn each_change_counts_once_and_an_older_one_never() {
        let mut sets = watching(&["s"]);
        assert_eq!(sets.handle_changed(changed(1, 2, "A", Some("2"))), Heard::Unfit);
        assert_eq!(sets.handle_snapshot(snapshot("s", 2, &json!({"A": "2"}))), Heard::News);
        assert_eq!(sets.handle_changed(changed(1, 2, "A", Some("old"))), Heard::Nothing);
        assert_eq!(sets.handle_changed(changed(1, 4, "A", Some("4"))), Heard::News);
        assert_eq!(sets.handle_changed(changed(1, 3, "A", Some("late"))), Heard::Nothing);
        assert_eq!(sets.handle_changed(changed(2, 5, "A", Some("other"))), Heard::Unfit);
        assert_eq!(sets.handle_snapshot(snapshot("s", 3, &json!({}))), Heard::Nothing);
        assert_eq!(sets.values()["A"], "4");
        assert_eq!(sets.cursors()[0].1.as_ref().map(|(_, version)| *version), Some(4));
        assert_eq!(sets.handle_snapshot(snapshot("not watched", 9, &json!({}))), Heard::Nothing);
    }

    #[test]
    fn what_is_told_is_the_difference_to_what_was_applied() {
        let mut sets = watching(&["s"]);
        sets.handle_snapshot(snapshot("s", 1, &json!({"A": "1", "B": "1"})));
        let first = applied(&mut sets).unwrap();
        assert!(first.is_first && first.sets[0].keys == ["A", "B"]);
        assert_eq!(applied(&mut sets), None);
        sets.handle_changed(changed(1, 2, "A", None));
        sets.handle_changed(changed(1, 3, "C", Some("3")));
        let change = applied(&mut sets).unwrap();
        assert_eq!(
            (change.sets[0].version, &*change.sets[0].keys),
            (3, &["A", "C"].map(String::from)[..])
        );
        assert!(!change.is_first && !change.values.contains_key("A"));
        sets.handle_changed(changed(1, 4, "C", Some("4")));
        sets.handle_changed(changed(1, 5, "C", Some("3")));
        assert_eq!(applied(&mut sets), None, "there and back is no change");
        let asked = sets.begin(true).unwrap();
        assert!(asked.sets.is_empty() && !asked.is_first);
    }

    #[test]
    fn what_failed_to_be_applied_is_told_again() {
        let mut sets = watching(&["s"]);
        sets.handle_snapshot(snapshot("s", 1, &json!({"A": "1"})));
        assert!(sets.begin(false).is_some());
        sets.handle_changed(changed(1, 2, "B", Some("2")));
        let again = sets.begin(false).unwrap();
        assert!(again.is_first && again.sets[0].keys == ["A", "B"]);
    }

    #[test]
    fn after_a_gap_any_snapshot_counts() {
        let mut sets = watching(&["s"]);
        sets.handle_snapshot(snapshot("s", 9, &json!({"A": "9"})));
        sets.handle_gap("s");
        assert_eq!(sets.handle_changed(changed(1, 10, "A", None)), Heard::Unfit);
        assert_eq!(sets.handle_snapshot(snapshot("s", 3, &json!({"A": "3"}))), Heard::News);
        assert_eq!(sets.values()["A"], "3");
    }

    #[test]
    fn later_sets_win_and_overrides_win_over_all() {
        let mut sets = watching(&["s", "t"]);
        sets.handle_snapshot(snapshot("t", 1, &json!({"A": "t"})));
        assert!(!sets.is_complete(Completeness::Manager));
        sets.handle_snapshot(snapshot("s", 1, &json!({"A": "s", "B": "s"})));
        assert!(sets.is_complete(Completeness::Manager));
        assert_eq!(sets.values()["A"], "t");
        sets.handle_override("A", Some(Some("mine".into())));
        sets.handle_override("B", Some(None));
        assert_eq!(sets.values(), BTreeMap::from([("A".into(), "mine".into())]));
        sets.handle_override("A", None);
        assert_eq!(sets.values()["A"], "t");
    }

    #[test]
    fn what_was_kept_is_a_state_but_no_cursor() {
        let mut sets = watching(&["s"]);
        assert!(!sets.is_complete(Completeness::Disk) && sets.is_complete(Completeness::None));
        sets.restore(snapshot("s", 7, &json!({"A": "7"})));
        assert!(sets.is_complete(Completeness::Disk) && !sets.is_complete(Completeness::Manager));
        assert_eq!(sets.cursors(), [("s".to_owned(), None)]);
        assert_eq!(sets.handle_changed(changed(1, 8, "A", Some("8"))), Heard::Unfit);
        assert!(applied(&mut sets).unwrap().is_first);
        assert_eq!(sets.handle_snapshot(snapshot("s", 7, &json!({"A": "7"}))), Heard::News);
        assert_eq!(applied(&mut sets), None, "the same values are no change");
        assert!(sets.is_complete(Completeness::Manager));
    }
}
