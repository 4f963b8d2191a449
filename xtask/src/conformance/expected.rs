//! The committed outcome of each Autobahn case, and the comparison with a run.
//!
//! A file per leg, `conformance/expected/{client,backend,hub}.json`: case → outcome. An outcome is
//! Autobahn's word for the behaviour, with the closing's where that is not `OK`; alternatives, for
//! cases that race by nature, are parted by ` | `.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::root;

/// Case → outcome of a run.
pub(super) type Results = BTreeMap<String, String>;

/// The committed outcomes of one leg.
pub(super) struct Expected {
    file: PathBuf,
    outcomes: Results,
}

/// How a run compares with what is committed.
#[derive(Debug, PartialEq)]
pub(super) struct Compared {
    /// Cases with a committed outcome.
    pub(super) same: u64,
    /// One sentence for each of the others.
    pub(super) differing: Vec<String>,
}

impl Expected {
    /// Reads the committed outcomes of a leg; none if there is no file yet.
    pub(super) fn load(leg: &str) -> Result<Self> {
        let file = root::path(&format!("conformance/expected/{leg}.json"));
        let text = if file.is_file() { fs::read_to_string(&file)? } else { "{}".to_owned() };
        let outcomes = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        Ok(Self { file, outcomes })
    }

    /// Writes outcomes down as the expected ones.
    pub(super) fn record(mut self, results: &Results) -> Result<()> {
        self.outcomes.extend(results.clone());
        let mut cases: Vec<_> = self.outcomes.iter().collect();
        cases.sort_by_key(|(case, _)| place(case));
        let lines: Vec<String> =
            cases.iter().map(|(case, outcome)| format!("  {case:?}: {outcome:?}")).collect();
        fs::write(&self.file, format!("{{\n{}\n}}\n", lines.join(",\n")))?;
        Ok(())
    }

    /// Compares a run of the cases that belong to it: each must have run, and as committed.
    pub(super) fn compare(&self, results: &Results, belongs: impl Fn(&str) -> bool) -> Compared {
        let mut compared = Compared { same: 0, differing: Vec::new() };
        let wanted = self.outcomes.iter().filter(|(case, _)| belongs(case));
        for (case, wanted) in wanted {
            match results.get(case) {
                Some(found) if wanted.split(" | ").any(|one| one == found) => compared.same += 1,
                Some(found) => compared.differing.push(format!("{case} is {found}, not {wanted}")),
                None => compared.differing.push(format!("{case} did not run")),
            }
        }
        let unknown = results.keys().filter(|case| !self.outcomes.contains_key(*case));
        compared.differing.extend(unknown.map(|case| format!("{case} has no committed outcome")));
        if compared.same == 0 && compared.differing.is_empty() {
            compared.differing.push("no case ran".to_owned());
        }
        compared
    }
}

/// Reads the outcomes from the index that Autobahn writes for one agent.
pub(super) fn read_index(index: &str) -> Result<Results> {
    let index: Value = serde_json::from_str(index)?;
    let agents = index.as_object().context("the index is not an object")?;
    ensure!(agents.len() == 1, "the index has {} agents, not one", agents.len());
    let cases = agents.values().next().and_then(Value::as_object).context("no cases")?;
    Ok(cases.iter().map(|(case, result)| (case.clone(), outcome(result))).collect())
}

fn outcome(result: &Value) -> String {
    let word = |key: &str| result[key].as_str().unwrap_or("?").to_owned();
    let (behavior, closing) = (word("behavior"), word("behaviorClose"));
    if closing == "OK" || closing == behavior {
        behavior
    } else {
        format!("{behavior}, closing {closing}")
    }
}

/// `7.7.10` after `7.7.9`.
fn place(case: &str) -> Vec<u32> {
    case.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(pairs: &[(&str, &str)]) -> Results {
        pairs.iter().map(|(case, outcome)| ((*case).to_owned(), (*outcome).to_owned())).collect()
    }

    fn compare(found: &[(&str, &str)]) -> Compared {
        let committed = [("1.1.1", "OK"), ("3.2", "OK | NON-STRICT"), ("9.1.1", "OK")];
        let expected = Expected { file: PathBuf::new(), outcomes: results(&committed) };
        expected.compare(&results(found), |case| !case.starts_with("9."))
    }

    #[test]
    fn a_run_as_committed_passes() {
        let compared = compare(&[("1.1.1", "OK"), ("3.2", "NON-STRICT")]);
        assert_eq!(compared, Compared { same: 2, differing: Vec::new() });
    }

    #[test]
    fn another_outcome_a_missing_case_and_a_new_one_differ() {
        let compared = compare(&[("1.1.1", "FAILED"), ("4.1", "OK")]);
        assert_eq!(compared.same, 0);
        assert_eq!(
            compared.differing,
            ["1.1.1 is FAILED, not OK", "3.2 did not run", "4.1 has no committed outcome"]
        );
    }

    #[test]
    fn the_index_of_autobahn_is_read() {
        let index = r#"{"everwire": {
            "1.1.1": {"behavior": "OK", "behaviorClose": "OK"},
            "7.1.1": {"behavior": "OK", "behaviorClose": "UNCLEAN"},
            "7.1.6": {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}}}"#;
        let wanted =
            [("1.1.1", "OK"), ("7.1.1", "OK, closing UNCLEAN"), ("7.1.6", "INFORMATIONAL")];
        assert_eq!(read_index(index).unwrap(), results(&wanted));
    }
}
