//! The table.

use serde::Serialize;

use super::judge::Verdict;
use crate::table;

/// One row of the table.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Of the matrix of faults.
    pub(super) row: &'static str,
    pub(super) fault: &'static str,
    pub(super) who: &'static str,
    #[serde(flatten)]
    pub(super) verdict: Verdict,
    pub(super) notes: Vec<String>,
    /// What was promised and not kept, or not found by a control.
    pub(super) broken: Vec<String>,
}

/// Everything that a run has to say.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) controls: Vec<Row>,
    pub(super) rows: Vec<Row>,
    /// Rows that this machine cannot play.
    pub(super) left_out: Vec<&'static str>,
}

impl Row {
    pub(super) fn new(
        row: &'static str,
        fault: &'static str,
        who: &'static str,
        verdict: Verdict,
    ) -> Self {
        Self { row, fault, who, verdict, notes: Vec::new(), broken: Vec::new() }
    }

    #[must_use]
    pub(super) fn with(self, notes: Vec<String>, broken: Vec<String>) -> Self {
        Self { notes, broken, ..self }
    }

    fn cells(&self) -> Vec<String> {
        let verdict = &self.verdict;
        let counts = [
            verdict.said,
            verdict.silent,
            verdict.announced,
            verdict.doubled,
            verdict.reordered,
            verdict.dropped,
        ];
        let mut cells: Vec<String> = [self.row, self.fault, self.who].map(String::from).to_vec();
        cells.extend(counts.map(|count| count.to_string()));
        let times = [verdict.recovery_ms, verdict.local_ms, verdict.ghost_ms];
        cells
            .extend(times.map(|time| time.map_or_else(|| "-".into(), |time| format!("{time:.0}"))));
        let broken = self.broken.iter().map(|broken| format!("BROKEN: {broken}"));
        cells.push(self.notes.iter().cloned().chain(broken).collect::<Vec<_>>().join("; "));
        cells
    }
}

/// Adds another round: counts are added up, the longest times stand.
pub(super) fn add(sum: &mut Option<Row>, row: Row) {
    let Some(sum) = sum else {
        *sum = Some(row);
        return;
    };
    sum.verdict.add(&row.verdict);
    sum.notes.extend(row.notes);
    sum.broken.extend(row.broken);
}

impl Outcome {
    /// A control did not fail as it must.
    pub(super) fn is_void(&self) -> bool {
        self.controls.iter().any(|row| !row.broken.is_empty())
    }

    pub(super) fn is_broken(&self) -> bool {
        self.rows.iter().any(|row| !row.broken.is_empty())
    }

    pub(super) fn show(&self) -> String {
        let heading = [
            "row",
            "fault",
            "who",
            "said",
            "lost silently",
            "announced",
            "doubled",
            "reordered",
            "dropped",
            "recovery ms",
            "local ms",
            "ghosts ms",
            "",
        ];
        let mut cells = vec![heading.map(String::from).to_vec()];
        cells.extend(self.controls.iter().chain(&self.rows).map(Row::cells));
        let mut text = table::render(&cells);
        for line in self.left_out.iter().chain(NOT_PLAYED) {
            text.push_str(&format!("not played: {line}\n"));
        }
        if self.is_void() {
            text.push_str("VOID: a control did not fail as it must.\n");
        }
        text
    }
}

/// What of the matrix is not there to be played.
const NOT_PLAYED: &[&str] = &[
    "B4 by Sentinel, which is not supported",
    "B5, NATS, which is not supported",
    "B10 by a change of transports, which is a new session to a client that falls back",
];
