//! The checker: compares what the fleet was told with what its instances have done.

use super::crew::Counts;
use crate::demo;

/// The counts of one run.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The commands that were accepted, and for how many instances.
    pub(super) orders: Vec<(String, usize)>,
    /// The changes of the set, and how many instances were to be told.
    pub(super) changes: Vec<(String, usize)>,
    /// Outcomes *done* that the manager knows at the end.
    pub(super) done: usize,
    pub(super) kills: usize,
    lost_commands: usize,
    doubled_commands: usize,
    lost_changes: usize,
    doubled_changes: usize,
}

impl Verdict {
    /// Takes in what the instances have done.
    pub(super) fn count(&mut self, crew: &[Counts]) {
        for (id, expected) in &self.orders {
            let times = crew.iter().filter_map(|counts| counts.commands.get(id));
            let (lost, doubled) = lost_and_doubled(times.copied(), *expected);
            self.lost_commands += lost;
            self.doubled_commands += doubled;
        }
        for (change, expected) in &self.changes {
            let times = crew.iter().filter_map(|counts| counts.changes.get(change));
            let (lost, doubled) = lost_and_doubled(times.copied(), *expected);
            self.lost_changes += lost;
            self.doubled_changes += doubled;
        }
    }

    /// Outcomes that were to be known, and those that are not.
    fn outcomes(&self) -> (usize, usize) {
        let expected = self.orders.iter().map(|(_, expected)| expected).sum::<usize>();
        (expected, expected.saturating_sub(self.done))
    }

    /// Whether everything was done once and is known, though the manager was killed.
    pub(super) fn is_clean(&self) -> bool {
        let (expected, lost_outcomes) = self.outcomes();
        let wrong = self.lost_commands + self.doubled_commands + self.lost_changes;
        let is_tried = self.kills > 0 && expected > 0 && !self.changes.is_empty();
        is_tried && wrong + self.doubled_changes + lost_outcomes == 0
    }

    pub(super) fn render(&self, instances: usize) -> String {
        let (expected, lost_outcomes) = self.outcomes();
        let rows = [
            ("lost commands", self.lost_commands.to_string()),
            ("doubled commands", self.doubled_commands.to_string()),
            ("lost outcomes", lost_outcomes.to_string()),
            ("lost changes", self.lost_changes.to_string()),
            ("doubled changes", self.doubled_changes.to_string()),
        ];
        format!(
            "\n  {instances} instances, {} commands with {expected} outcomes, {} changes; the manager was \
             killed {} times\n\n{}",
            self.orders.len(),
            self.changes.len(),
            self.kills,
            demo::counts(&rows),
        )
    }
}

/// How many of those who were to do something once have not, and how often it was done once more.
fn lost_and_doubled(times: impl Iterator<Item = u64>, expected: usize) -> (usize, usize) {
    let (mut who, mut more) = (0, 0);
    for times in times {
        who += 1;
        more += usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
    }
    (expected.saturating_sub(who), more + who.saturating_sub(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(crew: &[(&str, u64, u64)], done: usize, kills: usize) -> Verdict {
        let mut verdict = Verdict {
            orders: vec![("a".to_owned(), 2)],
            changes: vec![("a=1".to_owned(), 2)],
            done,
            kills,
            ..Verdict::default()
        };
        let counts = |(id, commands, changes): &(&str, u64, u64)| Counts {
            commands: [((*id).to_owned(), *commands)].into(),
            changes: [("a=1".to_owned(), *changes)].into(),
        };
        verdict.count(&crew.iter().map(counts).collect::<Vec<_>>());
        verdict
    }

    #[test]
    fn everything_once_is_clean_if_the_manager_was_killed() {
        let crew = [("a", 1, 1), ("a", 1, 1)];
        assert!(verdict(&crew, 2, 1).is_clean());
        assert!(!verdict(&crew, 2, 0).is_clean(), "nothing was proved");
        assert!(!verdict(&crew, 1, 1).is_clean(), "an outcome is lost");
        assert!(!Verdict { kills: 1, ..Verdict::default() }.is_clean(), "nothing was told");
    }

    #[test]
    fn the_checker_finds_what_it_is_there_for() {
        for (crew, wanted) in [
            ([("a", 1, 1), ("b", 1, 1)], "lost commands               1"),
            ([("a", 1, 1), ("a", 2, 1)], "doubled commands            1"),
            ([("a", 1, 3), ("a", 1, 1)], "doubled changes             2"),
        ] {
            let verdict = verdict(&crew, 2, 1);
            let told = verdict.render(2);
            assert!(!verdict.is_clean() && told.contains(wanted), "{told}");
        }
        let one = verdict(&[("a", 1, 1)], 1, 1).render(2);
        for wanted in [
            "lost commands               1",
            "lost changes                1",
            "lost outcomes               1",
        ] {
            assert!(one.contains(wanted), "{one}");
        }
    }
}
