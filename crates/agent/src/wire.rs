//! What an agent and its manager say to each other: the fleet's calls, as JSON.
//!
//! The manager calls `Welcome`, `Command`, `Snapshot`, `ConfigurationChanged` and `Gap`; the agent
//! invokes `Watch` after each connect, and `Report` for each outcome.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The first thing that a manager says: whose fleet it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Welcome {
    /// The fleet's random id, which is that of its memory.
    pub(crate) cluster: String,
    /// The name under which the agent is known, `app:index:id`.
    pub(crate) instance: String,
}

/// A command as it comes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) args: Value,
    /// Wall time in milliseconds since 1970 after which nobody waits for an outcome.
    #[serde(default)]
    pub(crate) deadline: Option<u64>,
    #[serde(default)]
    pub(crate) cluster: Option<String>,
}

/// All of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) set: String,
    pub(crate) epoch: Epoch,
    pub(crate) version: u64,
    pub(crate) values: BTreeMap<String, String>,
}

/// What became different in a set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Changed {
    pub(crate) set: String,
    pub(crate) epoch: Epoch,
    pub(crate) version: u64,
    pub(crate) changes: Vec<KeyChange>,
}

/// A key that got a value, or lost it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct KeyChange {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: Option<String>,
}

/// A set whose missed versions cannot be told; a snapshot follows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Gap {
    pub(crate) set: String,
}

/// Which history of a set a version belongs to. Managers write it as a number or as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Epoch(String);

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        Ok(Self(match Form::deserialize(from)? {
            Form::Number(number) => number.to_string(),
            Form::Text(text) => text,
        }))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It was carried out.
    Done,
    /// It was tried and did not work.
    Failed,
    /// It was not tried.
    Refused,
    /// It was begun by a process that ended meanwhile; nobody knows how far it came, and it is not
    /// begun again.
    Interrupted,
}

/// What became of a command, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What became of it.
    #[serde(rename = "outcome")]
    pub kind: OutcomeKind,
    /// In words, at most [`DETAIL_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Outcome {
    /// It was carried out, and there is nothing to add.
    pub const fn done() -> Self {
        Self { kind: OutcomeKind::Done, detail: None }
    }

    /// An outcome in words, of which no more than [`DETAIL_MAX`] bytes are kept.
    pub fn new(kind: OutcomeKind, detail: impl fmt::Display) -> Self {
        let mut detail = detail.to_string();
        if detail.len() > DETAIL_MAX {
            let room = DETAIL_MAX - CUT.len();
            detail.truncate(detail.floor_char_boundary(room));
            detail.push_str(CUT);
        }
        Self { kind, detail: Some(detail) }
    }

    /// It was tried and did not work.
    pub fn failed(detail: impl fmt::Display) -> Self {
        Self::new(OutcomeKind::Failed, detail)
    }

    /// It was not tried.
    pub fn refused(detail: impl fmt::Display) -> Self {
        Self::new(OutcomeKind::Refused, detail)
    }
}

/// What a handler of commands may give: `()`, words about what was done, an [`Outcome`], or a
/// `Result` of these, whose error makes the command fail.
pub trait IntoOutcome {
    /// The outcome for the manager.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::done()
    }
}

impl IntoOutcome for String {
    fn into_outcome(self) -> Outcome {
        Outcome::new(OutcomeKind::Done, self)
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl<A: IntoOutcome, E: fmt::Display> IntoOutcome for Result<A, E> {
    fn into_outcome(self) -> Outcome {
        self.map_or_else(Outcome::failed, IntoOutcome::into_outcome)
    }
}

/// How far an agent has come in a set, as the manager reads it.
pub(crate) fn cursor(epoch: &Epoch, version: u64) -> String {
    format!("{epoch}-{version}")
}

/// What a client answers that will report later.
pub(crate) const PENDING: &str = "pending";
/// What a manager says as it closes the connection of an instance whose name another one took.
pub(crate) const TAKEN_OVER: &str = "taken over by a newer connection";
/// Bytes of an outcome's detail; more is cut.
pub const DETAIL_MAX: usize = 4096;
const CUT: &str = "… (cut)";

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_a_manager_says_is_read() {
        let snapshot = json!({"set":"s","version":3,"epoch":17,"values":{"A":"1"},"more":true});
        let snapshot: Snapshot = from_value(snapshot).unwrap();
        assert_eq!(cursor(&snapshot.epoch, snapshot.version), "17-3");
        let changed =
            json!({"set":"s","version":4,"epoch":"17","changes":[{"key":"A","value":null}]});
        let changed: Changed = from_value(changed).unwrap();
        assert_eq!(changed.epoch, snapshot.epoch);
        assert_eq!(changed.changes, [KeyChange { key: "A".into(), value: None }]);
        let order: Order = from_value(json!({"id":"1","name":"refresh"})).unwrap();
        assert_eq!((order.args, order.deadline), (Value::Null, None));
    }

    #[test]
    fn a_long_detail_is_cut_and_says_so() {
        let outcome = Outcome::failed("ä".repeat(DETAIL_MAX));
        let detail = outcome.detail.unwrap();
        assert!(detail.len() <= DETAIL_MAX && detail.ends_with("ä… (cut)"), "{}", detail.len());
        let whole = "x".repeat(DETAIL_MAX);
        assert_eq!(Outcome::failed(&whole).detail.unwrap(), whole);
        let words: Result<String, &str> = Ok("two files".into());
        let said = serde_json::to_value(words.into_outcome()).unwrap();
        assert_eq!(said, json!({"outcome": "done", "detail": "two files"}));
    }
}
