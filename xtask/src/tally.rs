//! What passed, what failed, what was skipped and why.
//!
//! Every task reports here, so that the last line of a run totals everything that was looked at
//! and nothing is skipped without a reason.

use std::process::ExitCode;

/// The count of a run and the sentences that explain it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failures: Vec<String>,
    failed: u64,
    skips: Vec<String>,
    skipped: u64,
}

impl Tally {
    /// Counts checks that held.
    pub(crate) fn pass(&mut self, count: u64) {
        self.passed += count;
    }

    /// Counts one check that did not hold, and says which.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.fail_many(1, what);
    }

    /// Counts several failures that one sentence explains.
    pub(crate) fn fail_many(&mut self, count: u64, what: impl Into<String>) {
        self.failed += count;
        self.failures.push(what.into());
    }

    /// Counts one thing that was not looked at, with its reason.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("skipped: {what}: {why}");
        self.skipped += 1;
        self.skips.push(format!("{what}: {why}"));
    }

    /// A test that counted as passed turned out to have skipped itself.
    pub(crate) fn passed_was_skipped(&mut self, what: &str) {
        self.passed = self.passed.saturating_sub(1);
        self.skipped += 1;
        self.skips.push(what.to_owned());
    }

    /// Counts tests that their own runner left out.
    pub(crate) fn skip_many(&mut self, count: u64, what: &str) {
        if count > 0 {
            self.skipped += count;
            self.skips.push(format!("{what}: {count} ignored"));
        }
    }

    /// Counts one yes-or-no check.
    pub(crate) fn check(&mut self, what: &str, held: bool) {
        if held {
            self.pass(1);
        } else {
            self.fail(what);
        }
    }

    /// Prints every failure, every skip and, last, the total.
    pub(crate) fn close(&self) -> ExitCode {
        println!();
        for what in &self.skips {
            println!("skipped: {what}");
        }
        for what in &self.failures {
            println!("failed: {what}");
        }
        println!("{}", self.total());
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// `N passed, N failed`, and `, N skipped` where something was.
    pub(crate) fn total(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            line.push_str(&format!(", {} skipped", self.skipped));
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_names_skips_only_where_there_are_some() {
        let mut tally = Tally::default();
        tally.pass(3);
        assert_eq!(tally.total(), "3 passed, 0 failed");
        tally.fail("x");
        tally.passed_was_skipped("y");
        assert_eq!(tally.total(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn one_failure_fails_the_run() {
        let mut tally = Tally::default();
        tally.check("holds", true);
        assert_eq!(format!("{:?}", tally.close()), format!("{:?}", ExitCode::SUCCESS));
        tally.check("does not", false);
        assert_eq!(format!("{:?}", tally.close()), format!("{:?}", ExitCode::FAILURE));
    }
}
