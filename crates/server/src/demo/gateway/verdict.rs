//! The checker: compares what the clients saw with what the service took.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use anyhow::Context;

use super::{crowd::Report, journal, script::OUTAGE};
use crate::{
    demo::{self, message},
    failure::Failure,
};

/// The counts of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    clients: usize,
    messages: u64,
    dropped: u64,
    lost: u64,
    doubled: u64,
    reordered: u64,
    damaged: u64,
    slowest: Duration,
}

/// What the service did with one client's messages.
#[derive(Default)]
struct Taken {
    seen: BTreeSet<u64>,
    last: u64,
    doubled: u64,
    reordered: u64,
}

impl Verdict {
    /// Counts. A message is *lost* if the service never took it or its answer never came, and
    /// *doubled* if the service took it, or the client got its answer, more than once.
    pub(super) fn reach(reports: &[Report], store: &Path) -> Result<Self, Failure> {
        let sessions = journal::read_all(store).context("cannot read what the service took")?;
        Ok(Self::count(reports, &sessions))
    }

    fn count(reports: &[Report], sessions: &[Vec<Vec<u8>>]) -> Self {
        let mut verdict = Self { clients: reports.len(), ..Self::default() };
        let mut taken: BTreeMap<usize, Taken> = BTreeMap::new();
        for taken_message in sessions.iter().flatten() {
            match message::read(taken_message) {
                Some((client, number)) => taken.entry(client).or_default().add(number),
                None => verdict.damaged += 1,
            }
        }
        for report in reports {
            let taken = taken.remove(&report.client).unwrap_or_default();
            let never_taken = report.sent.saturating_sub(taken.seen.len() as u64);
            verdict.messages += report.sent;
            verdict.dropped += report.dropped;
            verdict.lost += report.unanswered.max(never_taken);
            verdict.doubled += report.doubled.max(taken.doubled);
            verdict.reordered += report.reordered.max(taken.reordered);
            verdict.damaged += report.damaged;
            verdict.slowest = verdict.slowest.max(report.slowest);
        }
        verdict
    }

    /// Whether nothing happened that should not.
    pub(super) fn is_clean(&self) -> bool {
        [self.dropped, self.lost, self.doubled, self.reordered, self.damaged] == [0; 5]
            && self.messages > 0
    }

    pub(super) fn render(&self) -> String {
        let rows = [
            ("dropped sockets", self.dropped.to_string()),
            ("lost messages", self.lost.to_string()),
            ("doubled messages", self.doubled.to_string()),
            ("reordered, damaged", (self.reordered + self.damaged).to_string()),
            ("slowest answer", format!("{} ms", self.slowest.as_millis())),
        ];
        let table = demo::counts(&rows);
        let outage = OUTAGE.as_millis();
        format!(
            "\n  {} clients, {} messages; no backend at all for {outage} ms of it\n\n{table}",
            self.clients, self.messages,
        )
    }
}

impl Taken {
    fn add(&mut self, number: u64) {
        if !self.seen.insert(number) {
            self.doubled += 1;
        } else if number < self.last {
            self.reordered += 1;
        }
        self.last = self.last.max(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(sent: u64, unanswered: u64, taken: &[u64]) -> Verdict {
        let report = Report { client: 7, sent, unanswered, ..Report::default() };
        let messages = taken.iter().map(|number| message::write(7, *number).into_bytes());
        Verdict::count(&[report], &[messages.collect()])
    }

    #[test]
    fn a_clean_run_is_clean() {
        assert!(verdict(3, 0, &[1, 2, 3]).is_clean());
    }

    #[test]
    fn the_checker_finds_what_it_is_there_for() {
        assert_eq!(verdict(3, 0, &[1, 3]).lost, 1, "never taken");
        assert_eq!(verdict(3, 1, &[1, 2, 3]).lost, 1, "never answered");
        assert_eq!(verdict(3, 0, &[1, 2, 2, 3]).doubled, 1);
        assert_eq!(verdict(3, 0, &[1, 3, 2]).reordered, 1);
        assert!(!verdict(0, 0, &[]).is_clean(), "a run without messages proves nothing");
    }

    #[test]
    fn half_a_message_is_damaged() {
        let half = message::write(7, 1).into_bytes()[..5].to_vec();
        assert_eq!(Verdict::count(&[], &[vec![half]]).damaged, 1);
    }
}
