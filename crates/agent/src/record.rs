//! What an agent knows about commands that it was given, so that none is carried out twice.
//!
//! A command is *started* before its handler runs and *done* after. A command that comes again is
//! answered from here; one that was started by a process that ended is *interrupted*. What is noted
//! is written down line by line by whoever asks for it, and read back at the next start.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::wire::{Outcome, OutcomeKind};

/// All commands that are known.
#[derive(Debug, Default)]
pub(crate) struct Records {
    commands: BTreeMap<String, Record>,
    /// Their ids in the order in which they came.
    order: VecDeque<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    /// Its turn has not come.
    Waiting,
    Started,
    Done {
        outcome: Outcome,
        is_told: bool,
    },
}

/// What to write down. The names of the fields are part of the file's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    /// A handler is about to run.
    Started(String),
    /// What became of it.
    Done(String, Outcome),
    /// The manager knows what became of it.
    Told(String),
}

/// What to do with a command that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new: carry it out.
    Act,
    /// It came before and is not finished.
    Underway,
    /// It came before, and this is what became of it.
    Answer(Outcome),
}

impl Records {
    /// What was written down. A command that was started and nothing else was interrupted.
    pub(crate) fn read(notes: impl IntoIterator<Item = Note>) -> Self {
        let mut records = Self::default();
        notes.into_iter().for_each(|note| records.handle_note(&note));
        for record in records.commands.values_mut() {
            if *record == Record::Started {
                let outcome = Outcome::new(OutcomeKind::Interrupted, INTERRUPTED);
                *record = Record::Done { outcome, is_told: false };
            }
        }
        records
    }

    /// A command comes.
    pub(crate) fn handle_command(&mut self, id: &str) -> Verdict {
        match self.commands.get(id) {
            Some(Record::Waiting | Record::Started) => Verdict::Underway,
            Some(Record::Done { outcome, .. }) => Verdict::Answer(outcome.clone()),
            None => {
                self.put(id, Record::Waiting);
                Verdict::Act
            }
        }
    }

    /// Something is, or was, written down.
    pub(crate) fn handle_note(&mut self, note: &Note) {
        match note {
            Note::Started(id) => self.put(id, Record::Started),
            Note::Done(id, outcome) => {
                self.put(id, Record::Done { outcome: outcome.clone(), is_told: false });
            }
            Note::Told(id) => {
                if let Some(Record::Done { is_told, .. }) = self.commands.get_mut(id) {
                    *is_told = true;
                }
            }
        }
    }

    /// The oldest outcome that the manager may not know.
    pub(crate) fn next_untold(&self) -> Option<(&str, &Outcome)> {
        self.order.iter().find_map(|id| match self.commands.get(id) {
            Some(Record::Done { outcome, is_told: false }) => Some((id.as_str(), outcome)),
            _ => None,
        })
    }

    /// Whether a command has not come to its end.
    pub(crate) fn has_open(&self) -> bool {
        self.commands.values().any(|record| !matches!(record, Record::Done { .. }))
    }

    /// Everything that is worth keeping, as few lines as will say it.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let known = self.order.iter().filter_map(|id| Some((id, self.commands.get(id)?)));
        let notes = known.flat_map(|(id, record)| match record {
            Record::Waiting => vec![],
            Record::Started => vec![Note::Started(id.clone())],
            Record::Done { outcome, is_told } => {
                let told = is_told.then(|| Note::Told(id.clone()));
                [Note::Done(id.clone(), outcome.clone())].into_iter().chain(told).collect()
            }
        });
        notes.collect()
    }

    fn put(&mut self, id: &str, record: Record) {
        if self.commands.insert(id.to_owned(), record).is_none() {
            self.order.push_back(id.to_owned());
            self.forget();
        }
    }

    /// Makes room: by what the manager knows if possible, for it gives no such command again.
    fn forget(&mut self) {
        if self.order.len() <= RECORDS_MAX {
            return;
        }
        let is_told =
            |id: &String| matches!(self.commands.get(id), Some(Record::Done { is_told: true, .. }));
        let is_done = |id: &String| matches!(self.commands.get(id), Some(Record::Done { .. }));
        let oldest = self.order.iter().position(is_told);
        let oldest = oldest.or_else(|| self.order.iter().position(is_done)).unwrap_or(0);
        if let Some(id) = self.order.remove(oldest) {
            self.commands.remove(&id);
        }
    }
}

/// Commands that are remembered: as many as a manager keeps.
pub(crate) const RECORDS_MAX: usize = 1000;
const INTERRUPTED: &str = "the process ended before the command did";

#[cfg(test)]
mod tests {
    use super::*;

    fn started(id: &str) -> Note {
        Note::Started(id.into())
    }

    fn done(id: &str) -> Note {
        Note::Done(id.into(), Outcome::done())
    }

    #[test]
    fn a_command_is_carried_out_once_however_often_it_comes() {
        let mut records = Records::default();
        assert_eq!(records.handle_command("1"), Verdict::Act);
        assert_eq!(records.handle_command("1"), Verdict::Underway);
        records.handle_note(&started("1"));
        assert_eq!(records.handle_command("1"), Verdict::Underway);
        assert!(records.has_open());
        records.handle_note(&done("1"));
        assert_eq!(records.handle_command("1"), Verdict::Answer(Outcome::done()));
        assert_eq!(records.next_untold(), Some(("1", &Outcome::done())));
        records.handle_note(&Note::Told("1".into()));
        assert_eq!((records.next_untold(), records.has_open()), (None, false));
        assert_eq!(records.handle_command("1"), Verdict::Answer(Outcome::done()));
    }

    #[test]
    fn what_was_started_by_a_process_that_ended_is_interrupted_and_not_begun_again() {
        let notes = [started("1"), done("1"), started("2"), Note::Told("1".into())];
        let mut records = Records::read(notes);
        let (id, outcome) = records.next_untold().unwrap();
        assert_eq!((id, outcome.kind), ("2", OutcomeKind::Interrupted));
        assert_eq!(records.handle_command("1"), Verdict::Answer(Outcome::done()));
        let Verdict::Answer(outcome) = records.handle_command("2") else { panic!("begun again") };
        assert_eq!(outcome.kind, OutcomeKind::Interrupted);
        let again = Records::read(records.notes());
        assert_eq!(again.commands, records.commands);
    }

    #[test]
    fn no_more_is_remembered_than_a_manager_keeps_and_what_it_knows_goes_first() {
        let id = |number: usize| format!("{number}");
        let mut records = Records::default();
        for number in 0..RECORDS_MAX {
            records.handle_note(&done(&id(number)));
        }
        records.handle_note(&Note::Told(id(5)));
        records.handle_note(&done("one more"));
        assert_eq!(records.order.len(), RECORDS_MAX);
        assert_eq!(records.handle_command(&id(0)), Verdict::Answer(Outcome::done()));
        records.handle_note(&done("and another"));
        assert_eq!((records.order.len(), records.commands.len()), (RECORDS_MAX, RECORDS_MAX));
        assert_eq!(records.handle_command(&id(0)), Verdict::Act, "nothing but the oldest was left");
    }
}
