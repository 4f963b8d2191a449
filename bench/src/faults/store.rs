//! What durable backends have taken: one log per session, shared by all of them like a database.
//!
//! A log is only ever appended to, and where two processes write at once its order decides. The
//! entry of a leg fences: a message behind the entry of a later leg is not stored, even if the
//! process that wrote it was stopped and woken in between. There is no lock that a process could
//! hold while it is stopped.

use std::fs;
use std::io;
use std::path::Path;

use super::message::{Question, hash};
use super::record::{self, Record, Recorder, What};

/// One session, seen by one leg.
pub(super) struct Session {
    stream: u64,
    log: Recorder,
    /// The name of the connection, for the records.
    name: u64,
    /// Which leg of the session this is.
    leg: u64,
    entries: usize,
    account: Account,
}

impl Session {
    /// Begins leg `leg` of a session; legs before it store nothing from here on.
    pub(super) fn open(store: &Path, id: &str, name: u64, leg: u64) -> io::Result<Self> {
        fs::create_dir_all(store)?;
        let stream = hash(id.as_bytes());
        let log = Recorder::open(&store.join(format!("{stream:016x}")))?;
        let account = Account::default();
        let mut session = Self { stream, log, name, leg, entries: 0, account };
        session.append(What::Opened, Question { client: 0, number: 0 })?;
        Ok(session)
    }

    /// The name of the session's stream of replies, the same on every leg.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// How many messages are stored.
    pub(super) fn received(&self) -> usize {
        self.account.stored.len()
    }

    /// The stored messages behind the first `count`, in order.
    pub(super) fn questions_after(&self, count: u64) -> Vec<Question> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let missing = self.account.stored.iter().skip(count);
        missing.map(|record| Question { client: record.client, number: record.number }).collect()
    }

    /// Stores a message together with its number, which is its place; `false` once a later leg has
    /// the session.
    pub(super) fn store(&mut self, question: Question) -> io::Result<bool> {
        self.append(What::Stored, question)?;
        Ok(self.account.leg == self.leg)
    }

    fn append(&mut self, what: What, question: Question) -> io::Result<()> {
        let record = Record::new(what, question.client, question.number);
        self.log.write(record.on_leg(self.name, self.leg))?;
        // Only reading says what was written before it, and so whether it counts.
        for record in self.log.read_after(self.entries)? {
            self.entries += 1;
            self.account.enter(record);
        }
        Ok(())
    }
}

/// What the entries of a log come to.
#[derive(Default)]
struct Account {
    /// The highest leg so far.
    leg: u64,
    stored: Vec<Record>,
}

impl Account {
    fn enter(&mut self, record: Record) {
        if record.what == What::Opened {
            self.leg = self.leg.max(record.leg_number);
        } else if record.leg_number == self.leg {
            self.stored.push(record);
        }
    }
}

/// Every message of every session that is stored, as one that a backend took.
pub(super) fn read_all(store: &Path) -> io::Result<Vec<Record>> {
    let mut taken = Vec::new();
    for log in fs::read_dir(store)? {
        let mut account = Account::default();
        record::read(&log?.path())?.into_iter().for_each(|record| account.enter(record));
        taken
            .extend(account.stored.into_iter().map(|stored| Record { what: What::Took, ..stored }));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Workplace;

    fn question(number: u64) -> Question {
        Question { client: 1, number }
    }

    fn numbers(store: &Path) -> Vec<u64> {
        read_all(store).unwrap().iter().map(|record| record.number).collect()
    }

    #[test]
    fn the_next_leg_knows_what_is_stored() {
        let place = Workplace::create().unwrap();
        let store = place.file("store");
        let mut first = Session::open(&store, "s", 1, 1).unwrap();
        assert!(first.store(question(1)).unwrap() && first.store(question(2)).unwrap());
        assert_eq!(Session::open(&store, "other", 2, 1).unwrap().received(), 0);
        let second = Session::open(&store, "s", 3, 2).unwrap();
        assert_eq!(second.received(), 2);
        assert_eq!(second.questions_after(1), [question(2)]);
        assert_eq!(second.questions_after(u64::MAX), []);
        assert_eq!(second.stream(), first.stream());
    }

    #[test]
    fn a_leg_that_is_superseded_stores_nothing() {
        let place = Workplace::create().unwrap();
        let store = place.file("store");
        let mut first = Session::open(&store, "s", 1, 1).unwrap();
        let mut second = Session::open(&store, "s", 2, 2).unwrap();
        assert!(!first.store(question(1)).unwrap());
        assert!(second.store(question(2)).unwrap());
        assert!(!first.store(question(3)).unwrap());
        assert_eq!((second.received(), numbers(&store)), (1, vec![2]));
    }

    #[test]
    fn what_is_stored_twice_is_seen_twice() {
        let place = Workplace::create().unwrap();
        let store = place.file("store");
        let mut session = Session::open(&store, "s", 1, 1).unwrap();
        assert!(session.store(question(1)).unwrap() && session.store(question(1)).unwrap());
        assert_eq!(numbers(&store), [1, 1]);
    }
}
