//! What became of a command, in a few words and by name.

use std::fmt;

use serde_json::Value;

use crate::{
    commands::status::text,
    terminal::{self, Table},
};

/// How many instances have which outcome, in the order in which people ask.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(Vec<(String, u64)>);

impl Counts {
    /// Those of a command as the admin API gives it.
    pub(super) fn of(command: &Value) -> Self {
        let counts = &command["counts"];
        let known = OUTCOMES.iter().map(|name| (*name).to_owned());
        let unknown = counts.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        let unknown = unknown.filter(|name| !OUTCOMES.contains(&name.as_str()));
        let number = |name: String| Some(name.clone()).zip(counts[name].as_u64());
        Self(known.chain(unknown).filter_map(number).filter(|(_, count)| *count > 0).collect())
    }

    /// How many have this outcome.
    pub(super) fn with(&self, outcome: &str) -> u64 {
        self.0.iter().find(|(name, _)| name == outcome).map_or(0, |(_, count)| *count)
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// How many have an outcome that is not what was asked for.
    pub(super) fn bad(&self) -> u64 {
        self.total() - self.with(DONE) - self.with(OPEN)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nobody");
        }
        let count = |(name, count): &(String, u64)| format!("{count} {}", name.replace('_', " "));
        f.write_str(&self.0.iter().map(count).collect::<Vec<_>>().join(", "))
    }
}

/// A table of everybody who has not done it, and why.
pub(super) fn not_done(command: &Value) -> Option<String> {
    let mut table = Table::new(&["INSTANCE", "OUTCOME", "DETAIL"]);
    let outcomes = command["outcomes"].as_array().into_iter().flatten();
    let mut rows = 0;
    for item in outcomes.filter(|item| item["outcome"] != DONE && item["outcome"] != OPEN) {
        let [instance, outcome, detail] =
            ["instance", "outcome", "detail"].map(|key| text(&item[key]));
        table.row([instance, outcome.replace('_', " "), detail]);
        rows += 1;
    }
    for item in command["missing"].as_array().into_iter().flatten() {
        table.row([text(&item["instance"]), "missing".to_owned(), where_missing(item).to_owned()]);
        rows += 1;
    }
    (rows > 0).then(|| table.render())
}

/// Where somebody is who has not said anything.
pub(super) fn where_missing(item: &Value) -> &'static str {
    match (item["present"].as_bool(), item["released"].as_bool()) {
        (_, Some(false)) => "its turn has not come",
        (Some(true), _) => "here, and has not answered",
        _ => "away",
    }
}

/// What a command has come to.
pub(super) fn end(command: &Value) -> String {
    let counts = Counts::of(command);
    let total = terminal::count(counts.total(), "instance");
    format!("{total}: {counts}")
}

pub(super) const DONE: &str = "done";
pub(super) const OPEN: &str = "open";

const OUTCOMES: [&str; 8] =
    [DONE, OPEN, "failed", "refused", "timed_out", "gone", "interrupted", "withheld"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command() -> Value {
        json!({
            "counts": { "timed_out": 1, "done": 2, "failed": 1, "open": 1, "odd": 1, "gone": 0 },
            "missing": [{ "instance": "shop:4:d", "present": false, "released": true }],
            "outcomes": [
                { "instance": "shop:1:a", "outcome": "done" },
                { "instance": "shop:2:b", "outcome": "failed", "detail": "disk full" },
                { "instance": "shop:3:c", "outcome": "timed_out" },
            ],
        })
    }

    #[test]
    fn counts_are_told_in_one_order_and_zeros_are_not() {
        let counts = Counts::of(&command());
        assert_eq!(counts.to_string(), "2 done, 1 open, 1 failed, 1 timed out, 1 odd");
        assert_eq!((counts.total(), counts.bad(), counts.with("gone")), (6, 3, 0));
        assert_eq!(Counts::of(&json!({})).to_string(), "nobody");
    }

    #[test]
    fn who_has_not_done_it_is_told_by_name() {
        let table = not_done(&command()).unwrap();
        assert_eq!(
            table,
            "INSTANCE  OUTCOME    DETAIL\nshop:2:b  failed     disk full\n\
             shop:3:c  timed out  -\nshop:4:d  missing    away\n"
        );
        assert_eq!(not_done(&json!({ "outcomes": [{ "outcome": "done" }] })), None);
        assert_eq!(end(&command()), "6 instances: 2 done, 1 open, 1 failed, 1 timed out, 1 odd");
    }
}
