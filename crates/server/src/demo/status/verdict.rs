//! The checker: compares the rosters that tabs see with who is there.

use std::{collections::BTreeSet, time::Duration};

use crate::demo;

/// The counts of one run.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) tabs: usize,
    /// Times that all rosters were looked at.
    pub(super) looks: usize,
    pub(super) kills: usize,
    /// Lines that were wrong when all of them had to be right.
    pub(super) wrong: usize,
    /// The longest that it took until all were right.
    pub(super) slowest: Duration,
    /// How many nodes have answered `GET /api`, of how many.
    pub(super) answering: (usize, usize),
}

impl Verdict {
    /// Whether all rosters were right each time, though nodes were killed.
    pub(super) const fn is_clean(&self) -> bool {
        let (answering, nodes) = self.answering;
        self.wrong == 0 && self.kills > 0 && self.looks > self.kills && answering == nodes
    }

    pub(super) fn render(&self) -> String {
        let (answering, nodes) = self.answering;
        let rows = [
            ("wrong lines", self.wrong.to_string()),
            ("slowest to be right", format!("{} ms", self.slowest.as_millis())),
            ("nodes that answer", format!("{answering}/{nodes}")),
        ];
        format!(
            "\n  {} tabs, {nodes} nodes, {} of them killed; all rosters looked at {} times\n\n{}",
            self.tabs,
            self.kills,
            self.looks,
            demo::counts(&rows),
        )
    }
}

/// How many lines of a roster are wrong: each tab has to be in it once, with what it says, on a node
/// that lives, and nothing else.
pub(super) fn wrong_lines(
    sees: &BTreeSet<String>,
    says: &[String],
    living: &BTreeSet<&str>,
) -> usize {
    let right = |line: &String| {
        let (node, rest) = line.split_once(' ')?;
        let (_, what) = rest.split_once(' ')?;
        let is_said = says.iter().any(|says| says == what);
        (is_said && living.contains(node)).then(|| what.to_owned())
    };
    let right: BTreeSet<String> = sees.iter().filter_map(right).collect();
    (sees.len() - right.len()) + (says.len() - right.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(sees: &[&str]) -> usize {
        let sees = sees.iter().map(|line| (*line).to_owned()).collect();
        let says = ["tab0 here".to_owned(), "tab1 away for lunch".to_owned()];
        wrong_lines(&sees, &says, &BTreeSet::from(["a", "b"]))
    }

    #[test]
    fn a_roster_with_each_tab_once_is_right() {
        assert_eq!(wrong(&["a 1 tab0 here", "b 2 tab1 away for lunch"]), 0);
        assert_eq!(wrong(&["b 1 tab0 here", "b 2 tab1 away for lunch"]), 0);
    }

    #[test]
    fn the_checker_finds_what_it_is_there_for() {
        assert_eq!(wrong(&[]), 2, "nobody is seen");
        assert_eq!(wrong(&["a 1 tab0 here"]), 1, "one is missing");
        let (one, other) = ("a 1 tab0 here", "b 2 tab1 away for lunch");
        assert_eq!(wrong(&[one, other, "b 3 tab0 here"]), 1, "one is there twice");
        assert_eq!(wrong(&[one, other, "b 3 tab7 here"]), 1, "somebody has gone");
        assert_eq!(wrong(&[one, "b 2 tab1 here"]), 2, "one says something else");
        assert_eq!(wrong(&[one, "c 2 tab1 away for lunch"]), 2, "one is on a dead node");
        assert_eq!(wrong(&[one, other, ""]), 1, "nothing is a line too");
    }

    #[test]
    fn a_run_without_faults_proves_nothing() {
        let run = |kills, wrong, answering| {
            let verdict = Verdict { kills, looks: 4, wrong, answering, ..Verdict::default() };
            verdict.is_clean()
        };
        assert!(run(3, 0, (3, 3)));
        assert!(!run(0, 0, (3, 3)) && !run(3, 1, (3, 3)) && !run(3, 0, (2, 3)));
    }
}
