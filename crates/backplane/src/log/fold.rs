//! All logs of a process as plain data: what is asked of them is judged here, and becomes changes.
//!
//! Memory applies a change at once, the journal writes it first. Time is milliseconds of whatever clock
//! the caller has, and never goes back.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Append, Channel, Entry, Expected, Keep, LogUnreachable, PAYLOAD_MAX, Page, READ_MAX, Refusal,
    Snapshot, Version,
};

/// All logs, and the bytes that they cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    logs: HashMap<Channel, Entries>,
    bytes: usize,
    /// When the first of them is to be forgotten, or before.
    next_end: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    entries: VecDeque<Dated>,
    last: Version,
    snapshot: Option<Snapshot>,
    /// When it is to be forgotten.
    ends: Option<u64>,
}

#[derive(Clone, Debug)]
struct Dated {
    entry: Entry,
    /// When it was appended.
    at: u64,
}

/// What is asked of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Append(Expected, Bytes),
    Keep(Snapshot),
    Trim(Keep),
    Remove(Duration),
}

/// What happens to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) log: Channel,
    pub(crate) at: u64,
    pub(crate) what: What,
}

/// The kinds of it. Applied in their order to the same logs, changes lead to the same logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// This entry comes next.
    Append(Entry),
    /// This snapshot is the latest.
    Keep(Snapshot),
    /// Entries up to here go.
    Trim(Version),
    /// The log is forgotten then.
    Remove(u64),
    /// The log begins with what follows this version.
    Begin(Version),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done, and what was appended has this version.
    Done(Version),
    /// Somebody else has written: the log's version is this.
    Conflict(Version),
    Refused(Refusal),
    /// It may be done.
    Unknown,
}

/// A change that cannot come where it does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Logs {
    /// What is to happen so that a request is granted at this time, or what becomes of it without.
    pub(crate) fn judge(
        &self,
        log: &Channel,
        request: Request,
        now: u64,
    ) -> Result<Change, Outcome> {
        let found = self.logs.get(log).filter(|log| !log.is_over(now));
        let last = found.map(|log| log.last).unwrap_or_default();
        let what = match request {
            Request::Append(expected, payload) => {
                if expected != Expected::Any && expected != Expected::At(last) {
                    return Err(Outcome::Conflict(last));
                }
                if payload.len() > PAYLOAD_MAX {
                    return Err(Outcome::Refused(Refusal::TooLarge));
                }
                What::Append(Entry { version: Version(last.0 + 1), payload })
            }
            Request::Keep(snapshot) => {
                let kept = found.and_then(|log| log.snapshot.as_ref());
                if kept.is_some_and(|kept| kept.version > snapshot.version) {
                    return Err(Outcome::Done(last));
                }
                What::Keep(snapshot)
            }
            Request::Trim(keep) => match found.and_then(|log| log.first_to_stay(keep, now)) {
                Some(until) => What::Trim(until),
                None => return Err(Outcome::Done(last)),
            },
            Request::Remove(after) if found.is_some() => {
                What::Remove(now.saturating_add(after.as_millis() as u64))
            }
            Request::Remove(_) => return Err(Outcome::Done(last)),
        };
        let added = what.cost() + if found.is_none() { log_cost(log) } else { 0 };
        match what {
            What::Append(_) | What::Keep(_) if self.bytes + added > BYTES_MAX => {
                Err(Outcome::Refused(Refusal::Full))
            }
            what => Ok(Change { log: log.clone(), at: now, what }),
        }
    }

    /// Does what was judged, or was written.
    pub(crate) fn apply(&mut self, change: Change) -> Result<(), OutOfOrder> {
        self.forget_ended(change.at);
        let Change { log: name, at, what } = change;
        let added = what.cost();
        if !self.logs.contains_key(&name) {
            self.bytes += log_cost(&name);
        }
        let log = self.logs.entry(name).or_default();
        match what {
            What::Append(entry) => {
                if entry.version.0 != log.last.0 + 1 {
                    return Err(OutOfOrder);
                }
                log.last = entry.version;
                log.entries.push_back(Dated { entry, at });
                self.bytes += added;
            }
            What::Keep(snapshot) => {
                let before = log.snapshot.replace(snapshot);
                self.bytes += added;
                self.bytes -= before.map_or(0, |before| ENTRY_COST + before.payload.len());
            }
            What::Trim(until) => {
                while log.entries.front().is_some_and(|oldest| oldest.entry.version <= until) {
                    let gone = log.entries.pop_front();
                    self.bytes -= gone.map_or(0, |gone| gone.cost());
                }
            }
            What::Remove(ends) => {
                log.ends = Some(ends);
                self.next_end = Some(self.next_end.map_or(ends, |next| next.min(ends)));
                self.forget_ended(at);
            }
            What::Begin(after) => {
                if log.last != Version(0) {
                    return Err(OutOfOrder);
                }
                log.last = after;
            }
        }
        Ok(())
    }

    pub(crate) fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
        now: u64,
        epoch: u64,
    ) -> Page {
        let Some(log) = self.logs.get(log).filter(|log| !log.is_over(now)) else {
            return Page { epoch, ..Page::default() };
        };
        // Versions have no holes.
        let skipped = after.0.saturating_sub(log.trimmed().0);
        let later = log.entries.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX));
        let entries = later.take(limit.min(READ_MAX)).map(|dated| dated.entry.clone()).collect();
        Page { epoch, trimmed: log.trimmed(), last: log.last, entries }
    }

    pub(crate) fn snapshot(&self, log: &Channel, now: u64) -> Option<Snapshot> {
        let log = self.logs.get(log).filter(|log| !log.is_over(now))?;
        log.snapshot.clone()
    }

    /// The changes that lead from nothing to these logs.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.logs.iter().flat_map(|(name, log)| {
            let change = |at, what| Change { log: name.clone(), at, what };
            let begin = change(0, What::Begin(log.trimmed()));
            let kept = log.snapshot.clone().map(|snapshot| change(0, What::Keep(snapshot)));
            let entry = move |dated: &Dated| change(dated.at, What::Append(dated.entry.clone()));
            let ends = log.ends.map(|ends| change(0, What::Remove(ends)));
            [begin].into_iter().chain(kept).chain(log.entries.iter().map(entry)).chain(ends)
        })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.logs.values().map(|log| log.entries.len()).sum()
    }

    /// Their bytes, and what each costs beside them.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets what was to be removed by then.
    pub(crate) fn forget_ended(&mut self, now: u64) {
        if self.next_end.is_none_or(|next| next > now) {
            return;
        }
        for (name, gone) in self.logs.extract_if(|_, log| log.is_over(now)) {
            let snapshot = gone.snapshot.map_or(0, |kept| ENTRY_COST + kept.payload.len());
            let entries = gone.entries.iter().map(Dated::cost).sum::<usize>();
            self.bytes -= log_cost(&name) + snapshot + entries;
        }
        self.next_end = self.logs.values().filter_map(|log| log.ends).min();
    }
}

impl Change {
    /// What its request has come to once it is done.
    pub(crate) const fn outcome(&self) -> Outcome {
        match &self.what {
            What::Append(entry) => Outcome::Done(entry.version),
            _ => Outcome::Done(Version(0)),
        }
    }
}

impl Outcome {
    /// Of an append.
    pub(crate) const fn appended(self) -> Append {
        match self {
            Self::Done(version) => Append::Committed(version),
            Self::Conflict(version) => Append::Conflict(version),
            Self::Refused(why) => Append::NotStored(why),
            Self::Unknown => Append::Unknown,
        }
    }

    /// Of anything else.
    pub(crate) fn done(self) -> Result<(), LogUnreachable> {
        match self {
            Self::Done(_) | Self::Conflict(_) => Ok(()),
            Self::Refused(why) => Err(LogUnreachable(why.to_string())),
            Self::Unknown => Err(LogUnreachable("nobody knows whether it was done".into())),
        }
    }
}

impl Entries {
    fn trimmed(&self) -> Version {
        self.entries.front().map_or(self.last, |oldest| Version(oldest.entry.version.0 - 1))
    }

    fn is_over(&self, now: u64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// The version up to which entries go; nothing if all stay.
    fn first_to_stay(&self, keep: Keep, now: u64) -> Option<Version> {
        let until = match keep {
            Keep::After(version) => version.min(self.last),
            Keep::Last(count) => Version(self.last.0.saturating_sub(count)),
            Keep::Younger(age) => {
                let oldest = now.saturating_sub(age.as_millis() as u64);
                let gone = self.entries.iter().take_while(|dated| dated.at < oldest).count();
                Version(self.trimmed().0 + gone as u64)
            }
        };
        (until > self.trimmed()).then_some(until)
    }
}

impl Dated {
    fn cost(&self) -> usize {
        ENTRY_COST + self.entry.payload.len()
    }
}

impl What {
    const fn cost(&self) -> usize {
        match self {
            Self::Append(Entry { payload, .. }) | Self::Keep(Snapshot { payload, .. }) => {
                ENTRY_COST + payload.len()
            }
            Self::Trim(_) | Self::Remove(_) | Self::Begin(_) => 0,
        }
    }
}

fn log_cost(log: &Channel) -> usize {
    LOG_COST + log.as_str().len()
}

/// What an entry costs beside its payload.
const ENTRY_COST: usize = 64;

/// What a log costs beside its name and its entries.
const LOG_COST: usize = 256;

/// Bytes of all entries and snapshots of a process; beyond them nothing is appended until something is
/// trimmed. What many nodes remember together belongs into a Redis long before.
const BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests;
