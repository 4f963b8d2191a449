//! Counts what a proxy did to numbered streams: lost, doubled, reordered, torn, and sockets dropped.
//!
//! One checker looks at one place (all backends together, or one client): it is told what was sent
//! and what arrived there, in the order in which it arrived. The rules:
//!
//! - *lost*: sent, never arrived.
//! - *doubled*: every arrival after the first. A replay to the next backend may double; within one
//!   leg it never may, so an arrival there that is not beyond the leg's last is also *reordered*.
//! - *reordered*: arrived for the first time after a later message of its stream had.
//! - *torn*: arrived changed (hash, opcode, merged, split), or is not a message of ours at all.
//! - *foreign*: belongs to a stream, or bears a number, that nobody sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::message::Mark;

/// What was counted; everything but `sent` and `arrived` should be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages sent.
    pub sent: u64,
    /// Different messages that arrived.
    pub arrived: u64,
    /// Sockets that ended without anybody asking.
    pub dropped: u64,
    /// Sent, never arrived.
    pub lost: u64,
    /// Arrivals after the first.
    pub doubled: u64,
    /// First arrivals after a later message, and steps back within a leg.
    pub reordered: u64,
    /// Arrived changed.
    pub torn: u64,
    /// Never sent.
    pub foreign: u64,
}

impl Tally {
    /// Nothing dropped, lost, reordered, torn or invented. Doubles are for the caller to judge.
    pub fn is_unbroken(&self) -> bool {
        self.dropped + self.lost + self.reordered + self.torn + self.foreign == 0
    }

    /// Unbroken, and nothing doubled.
    pub fn is_exact(&self) -> bool {
        self.is_unbroken() && self.doubled == 0
    }

    /// Fails the test unless the tally is unbroken; doubles are allowed.
    #[track_caller]
    pub fn assert_unbroken(&self, what: &str) {
        assert!(self.is_unbroken(), "{what}: {self}");
    }

    /// Fails the test unless every message arrived exactly once, in order.
    #[track_caller]
    pub fn assert_exact(&self, what: &str) {
        assert!(self.is_exact(), "{what}: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, arrived, dropped, lost, doubled, reordered, torn, foreign } = self;
        write!(
            f,
            "sent {sent}, arrived {arrived}, dropped {dropped}, lost {lost}, doubled {doubled}, \
             reordered {reordered}, torn {torn}, foreign {foreign}"
        )
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Checker {
    streams: BTreeMap<String, Stream>,
    legs: BTreeMap<(String, String), u64>,
    dropped: u64,
    torn: u64,
}

#[derive(Debug, Default)]
struct Stream {
    sent: u64,
    arrived: BTreeSet<u64>,
    doubled: u64,
    reordered: u64,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `stream` has sent its messages 1 to `count`.
    pub fn sent(&mut self, stream: &str, count: u64) {
        let stream = self.streams.entry(stream.to_owned()).or_default();
        stream.sent = stream.sent.max(count);
    }

    /// Something arrived where no legs can be told apart: at a client.
    pub fn arrived(&mut self, mark: Option<&Mark>) {
        let Some(mark) = mark.filter(|mark| mark.whole) else {
            self.torn += 1;
            return;
        };
        let stream = self.streams.entry(mark.stream.clone()).or_default();
        let latest = stream.arrived.last().copied().unwrap_or(0);
        if !stream.arrived.insert(mark.sequence) {
            stream.doubled += 1;
        } else if mark.sequence < latest {
            stream.reordered += 1;
        }
    }

    /// Something arrived on `leg` of a backend, where each leg must only ever step forward.
    pub fn arrived_on(&mut self, leg: &str, mark: Option<&Mark>) {
        self.arrived(mark);
        let Some(mark) = mark.filter(|mark| mark.whole) else { return };
        let key = (leg.to_owned(), mark.stream.clone());
        let last = self.legs.insert(key, mark.sequence).unwrap_or(0);
        if mark.sequence <= last
            && let Some(stream) = self.streams.get_mut(&mark.stream)
        {
            stream.reordered += 1;
        }
    }

    /// A socket ended without anybody asking for it.
    pub fn dropped(&mut self) {
        self.dropped += 1;
    }

    /// The sums over all streams.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally { dropped: self.dropped, torn: self.torn, ..Tally::default() };
        for stream in self.streams.values() {
            let known = stream.arrived.range(..=stream.sent).count() as u64;
            tally.sent += stream.sent;
            tally.arrived += stream.arrived.len() as u64;
            tally.lost += stream.sent - known;
            tally.doubled += stream.doubled;
            tally.reordered += stream.reordered;
            tally.foreign += stream.arrived.len() as u64 - known;
        }
        tally
    }

    /// The streams that lost something, with the numbers lost: for the message of a failing test.
    pub fn losses(&self) -> Vec<(String, Vec<u64>)> {
        let missing = |stream: &Stream| -> Vec<u64> {
            (1..=stream.sent).filter(|sequence| !stream.arrived.contains(sequence)).collect()
        };
        let all = self.streams.iter().map(|(name, stream)| (name.clone(), missing(stream)));
        all.filter(|(_, missing)| !missing.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests;
