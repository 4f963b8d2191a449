//! What a `PATCH` of a set asks for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use everwire_fleet::set::{Change, Key, NotAValue, Renamed, Value as SetValue};
use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;

/// The body: keys with their new values or `null`, which of them are secret, which are called otherwise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default)]
    changes: BTreeMap<String, Value>,
    #[serde(default)]
    secret: BTreeSet<String>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
    /// Why.
    pub(super) note: Option<String>,
}

impl Patch {
    /// The same for the fleet: first keys get their new names, then values are set and deleted.
    pub(super) fn changes(&self) -> Result<Vec<Change>, Problem> {
        if let Some(key) = self.secret.iter().find(|key| !self.changes.contains_key(*key)) {
            let what = format!("secret: there is no {key:?} in changes that could be secret");
            return Err(Problem::bad_request(what));
        }
        let rename = |(from, to): (&String, &String)| {
            Ok(Change::Rename(Renamed { from: key(from)?, to: key(to)? }))
        };
        let renames = self.rename.iter().map(rename);
        let change = |(name, new): (&String, &Value)| {
            let key = key(name)?;
            Ok(match text(name, new)? {
                Some(text) => Change::Set {
                    key,
                    value: SetValue::new(&text).map_err(|error| wrong(name, &error))?,
                    secret: self.secret.contains(name),
                },
                None => Change::Delete { key },
            })
        };
        let changes: Vec<_> =
            renames.chain(self.changes.iter().map(change)).collect::<Result<_, Problem>>()?;
        if changes.is_empty() {
            let what = "changes: nothing to change; write {\"changes\": {\"KEY\": \"value\"}}, null deletes";
            return Err(Problem::bad_request(what));
        }
        Ok(changes)
    }
}

fn key(name: &str) -> Result<Key, Problem> {
    name.parse().map_err(|error: NotAValue| Problem::bad_request(format!("changes: {error}")))
}

/// Values are texts; a number or a truth value is kept as it is written.
fn text(name: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let what = "is neither a text nor null; write what is more as JSON within a text";
            Err(Problem::bad_request(format!("changes.{name}: {what}")))
        }
    }
}

fn wrong(name: &str, error: &NotAValue) -> Problem {
    Problem::bad_request(format!("changes.{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Vec<Change>, String> {
        let patch: Patch = serde_json::from_value(body).map_err(|error| error.to_string())?;
        patch.changes().map_err(|problem| format!("{problem:?}"))
    }

    fn key(name: &str) -> Key {
        name.parse().unwrap()
    }

    #[test]
    fn names_change_first_then_values() {
        let changes = read(json!({
            "changes": { "B": "2", "A": 1, "C": null, "S": "s", "T": true },
            "secret": ["S"],
            "rename": { "X": "Y" },
            "note": "why",
        }));
        let set = |name, value, secret| {
            let value = SetValue::new(value).unwrap();
            Change::Set { key: key(name), value, secret }
        };
        let wanted = [
            Change::Rename(Renamed { from: key("X"), to: key("Y") }),
            set("A", "1", false),
            set("B", "2", false),
            Change::Delete { key: key("C") },
            set("S", "s", true),
            set("T", "true", false),
        ];
        assert_eq!(changes.unwrap(), wanted);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_no_value_is_repeated() {
        for (body, wanted) in [
            (json!({}), "nothing to change"),
            (json!({ "changes": {}, "note": "x" }), "nothing to change"),
            (json!({ "change": { "A": "1" } }), "unknown field"),
            (json!({ "changes": { "A": ["hunter2"] } }), "changes.A: is neither a text nor null"),
            (json!({ "changes": { "A=B": "hunter2" } }), "is not a key"),
            (json!({ "changes": { "A": "hunter2\0" } }), "zero byte"),
            (
                json!({ "changes": { "A": "1" }, "secret": ["B"] }),
                "there is no \\\"B\\\" in changes",
            ),
            (json!({ "rename": { "A": "" } }), "is not a key"),
        ] {
            let told = read(body).unwrap_err();
            assert!(told.contains(wanted) && !told.contains("hunter2"), "{told}\n{wanted}");
        }
    }
}
