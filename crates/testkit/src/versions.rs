//! Judges what the watcher of a configuration set was told: every version once, in order, or a whole
//! state in place of those that it missed.

use std::collections::BTreeMap;

use serde_json::Value;

/// One thing that a watcher was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The whole set.
    Snapshot(u64, Values),
    /// What a version changed; nothing is a key that is gone.
    Changed(u64, BTreeMap<String, Option<String>>),
    /// That something was missed, and a snapshot follows.
    Gap,
}

/// A set: its keys and their values.
pub type Values = BTreeMap<String, String>;

/// What a watcher was told of a set, held against the versions that the set had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Versions that were told as changes.
    pub changes: u64,
    /// Snapshots after the first.
    pub snapshots: u64,
    /// Versions told again after they, or later ones, were.
    pub doubled: u64,
    /// Versions that nothing accounts for.
    pub lost: u64,
    /// States that the set has never had.
    pub wrong: u64,
}

impl Verdict {
    /// Whether every version was told once.
    pub fn is_clean(&self) -> bool {
        (self.doubled, self.lost, self.wrong) == (0, 0, 0)
    }
}

/// Reads what a watcher was told from an event's name and its data.
pub fn told(name: &str, data: &Value) -> Option<Told> {
    let version = || data["version"].as_u64().unwrap_or_else(|| panic!("no version: {data}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match name.to_ascii_lowercase().as_str() {
        "snapshot" => {
            let values = data["values"].as_object().expect("a snapshot has values");
            let value = |(key, value): (&String, &Value)| Some((key.clone(), text(value)?));
            Some(Told::Snapshot(version(), values.iter().filter_map(value).collect()))
        }
        "configurationchanged" | "changed" => {
            let changes = data["changes"].as_array().expect("a change has changes");
            let change = |change: &Value| Some((text(&change["key"])?, text(&change["value"])));
            Some(Told::Changed(version(), changes.iter().filter_map(change).collect()))
        }
        "gap" => Some(Told::Gap),
        _ => None,
    }
}

/// Holds what was told against the states that the set had, by version; the last one must be reached.
pub fn judge(told: &[Told], history: &BTreeMap<u64, Values>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut state: Option<(u64, Values)> = None;
    for one in told {
        match one {
            Told::Gap => {}
            Told::Snapshot(version, values) => {
                verdict.snapshots += u64::from(state.is_some());
                verdict.doubled += u64::from(state.as_ref().is_some_and(|(at, _)| version < at));
                state = Some((*version, values.clone()));
            }
            Told::Changed(version, changes) => {
                verdict.changes += 1;
                let Some((at, values)) = &mut state else {
                    verdict.wrong += 1;
                    continue;
                };
                verdict.doubled += u64::from(*version <= *at);
                verdict.lost += version.saturating_sub(*at + 1);
                *at = (*version).max(*at);
                for (key, value) in changes {
                    match value {
                        Some(value) => values.insert(key.clone(), value.clone()),
                        None => values.remove(key),
                    };
                }
            }
        }
        if let Some((at, values)) = &state {
            verdict.wrong += u64::from(history.get(at) != Some(values));
        }
    }
    let reached = state.map_or(0, |(at, _)| at);
    let last = history.last_key_value().map_or(0, |(version, _)| *version);
    verdict.lost += last.saturating_sub(reached);
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(number: u64) -> Values {
        Values::from([("N".to_owned(), number.to_string())])
    }

    fn history() -> BTreeMap<u64, Values> {
        (0..=5).map(|version| (version, values(version))).collect()
    }

    fn changed(version: u64) -> Told {
        let data = json!({ "version": version, "changes": [{ "key": "N", "value": version.to_string() }] });
        told("ConfigurationChanged", &data).unwrap()
    }

    fn snapshot(version: u64) -> Told {
        told("snapshot", &json!({ "version": version, "values": values(version) })).unwrap()
    }

    #[test]
    fn each_version_once_and_in_order_is_clean() {
        let all = [snapshot(1), changed(2), changed(3), changed(4), changed(5)];
        let verdict = judge(&all, &history());
        assert_eq!(verdict, Verdict { changes: 4, ..Verdict::default() });
        let with_a_gap = [snapshot(1), changed(2), Told::Gap, snapshot(4), changed(5)];
        let verdict = judge(&with_a_gap, &history());
        assert_eq!(verdict, Verdict { changes: 2, snapshots: 1, ..Verdict::default() });
    }

    #[test]
    fn what_is_left_out_told_again_stepped_back_or_made_up_is_found() {
        let verdict = |told: &[Told]| judge(told, &history());
        assert_eq!(verdict(&[snapshot(1), changed(2), changed(4), changed(5)]).lost, 1);
        assert_eq!(verdict(&[snapshot(1), changed(2), changed(3)]).lost, 2, "the end is missing");
        assert_eq!(verdict(&[]).lost, 5);
        let again = verdict(&[snapshot(4), changed(5), changed(5)]);
        assert_eq!((again.doubled, again.lost), (1, 0));
        let back = verdict(&[snapshot(4), changed(5), snapshot(4), changed(5)]);
        assert_eq!(back.doubled, 1);
        let other =
            told("changed", &json!({ "version": 5, "changes": [{ "key": "N", "value": "x" }] }));
        assert_eq!(verdict(&[snapshot(4), other.unwrap()]).wrong, 1);
        assert_eq!(verdict(&[changed(5), snapshot(5)]).wrong, 1, "a change of nothing");
    }
}
