//! The checker: compares what the clients heard with what they said.

use std::time::Duration;

use super::crowd::{self, Report};
use crate::demo;

/// The counts of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    clients: usize,
    messages: u64,
    cuts: u64,
    lost_sessions: u64,
    lost: u64,
    doubled: u64,
    reordered: u64,
    damaged: u64,
    slowest: Duration,
}

impl Verdict {
    /// Counts. A message is *lost* for each client of the room that never heard it.
    pub(super) fn reach(report: &Report, cuts: u64) -> Self {
        let mut verdict = Self {
            clients: report.heard.len(),
            messages: report.sent.iter().sum(),
            cuts,
            lost_sessions: report.lost_sessions,
            ..Self::default()
        };
        for (id, heard) in report.heard.iter().enumerate() {
            let others = report.sent.iter().enumerate();
            for (sender, sent) in
                others.filter(|(sender, _)| crowd::room(*sender) == crowd::room(id))
            {
                verdict.lost += sent.saturating_sub(heard.count_of(sender));
            }
            verdict.doubled += heard.doubled;
            verdict.reordered += heard.reordered;
            verdict.damaged += heard.damaged;
            verdict.slowest = verdict.slowest.max(heard.slowest);
        }
        verdict
    }

    /// Whether nothing happened that should not, though sockets were cut.
    pub(super) fn is_clean(&self) -> bool {
        [self.lost_sessions, self.lost, self.doubled, self.reordered, self.damaged] == [0; 5]
            && self.messages > 0
            && self.cuts > 0
    }

    pub(super) fn render(&self) -> String {
        let rows = [
            ("lost sessions", self.lost_sessions.to_string()),
            ("lost messages", self.lost.to_string()),
            ("doubled messages", self.doubled.to_string()),
            ("reordered, damaged", (self.reordered + self.damaged).to_string()),
            ("slowest message", format!("{} ms", self.slowest.as_millis())),
        ];
        format!(
            "\n  {} clients, {} messages, each to {} clients; {} sockets were cut\n\n{}",
            self.clients,
            self.messages,
            crowd::ROOM,
            self.cuts,
            demo::counts(&rows),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{hub::crowd::Heard, message};

    /// Two clients of one room; the first has said `sent` messages, the second has heard these.
    fn verdict(sent: u64, heard: &[u64]) -> Verdict {
        let (mut first, mut second) = (Heard::default(), Heard::default());
        (1..=sent).for_each(|number| first.take(0, &message::write(0, number), Duration::ZERO));
        let texts = heard.iter().map(|number| message::write(0, *number));
        texts.for_each(|text| second.take(1, &text, Duration::ZERO));
        let report = Report { sent: vec![sent, 0], heard: vec![first, second], lost_sessions: 0 };
        Verdict::reach(&report, 1)
    }

    #[test]
    fn a_clean_run_is_clean() {
        assert!(verdict(3, &[1, 2, 3]).is_clean());
        assert!(!verdict(0, &[]).is_clean(), "a run without messages proves nothing");
        assert!(
            !Verdict { cuts: 0, ..verdict(3, &[1, 2, 3]) }.is_clean(),
            "nor one without faults"
        );
    }

    #[test]
    fn the_checker_finds_what_it_is_there_for() {
        assert_eq!(verdict(3, &[1, 3]).lost, 1);
        assert_eq!(verdict(3, &[1, 2, 2, 3]).doubled, 1);
        assert_eq!(verdict(3, &[1, 3, 2]).reordered, 1);
        let mut heard = Heard::default();
        heard.take(0, &message::write(0, 1)[1..], Duration::ZERO);
        heard.take(0, &message::write(crowd::ROOM, 1), Duration::ZERO);
        assert_eq!(heard.damaged, 2, "torn, and of another room");
    }
}
