//! The checker: from what clients and backends wrote down to what was dropped, lost and doubled.
//!
//! Pure. A message counts as *lost* when one side handed it to its socket and the other side's
//! application never saw it: questions no backend took, and replies a backend had handed over that
//! no client got. A question taken by a backend that died before it replied is *unanswered*: no
//! proxy can know the reply. *Silence* is how long a client that had asked waited for any reply,
//! through a re-dial if there was one.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::record::{Record, What};
use crate::stats::percentile;

/// What a run showed.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// Questions handed to a socket.
    pub(crate) sent: u64,
    /// Sockets that ended while their client wanted them.
    pub(crate) dropped: u64,
    /// Their close codes; 1006 is an end without Close.
    pub(crate) close_codes: BTreeMap<u64, u64>,
    /// Dials that failed.
    pub(crate) refused: u64,
    /// Questions that no backend took.
    pub(crate) lost_up: u64,
    /// Replies handed over by a backend that no client got.
    pub(crate) lost_down: u64,
    /// Questions a backend took, and replies a client got, once more.
    pub(crate) doubled: u64,
    /// Messages that came for the first time after a later one, and steps back within a leg.
    pub(crate) reordered: u64,
    /// Messages whose hash, owner or framing was wrong.
    pub(crate) torn: u64,
    /// Questions taken but not replied to by a backend.
    pub(crate) unanswered: u64,
    /// From a drop to the next reply, sorted.
    pub(crate) recoveries: Millis,
    /// The longest silence of each client, sorted.
    pub(crate) silences: Millis,
}

impl Verdict {
    /// Messages lost either way.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_up + self.lost_down
    }
}

/// Sorted durations, shown as milliseconds.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Millis(Vec<u64>);

impl Millis {
    /// Sorts durations given in nanoseconds.
    pub(crate) fn from_nanos(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// The percentile at `share`, `None` if there are no durations.
    pub(crate) fn at(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| percentile(&self.0, share) as f64 / 1e6)
    }
}

impl Serialize for Millis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)];
        serializer.collect_map(shown.map(|(name, share)| (name, self.at(share))))
    }
}

/// Judges all records of a run, of all processes, in any order.
pub(crate) fn judge(mut records: Vec<Record>) -> Verdict {
    records.sort_by_key(|record| record.at);
    let mut verdict = Verdict::default();
    for record in &records {
        match record.what {
            What::Sent => verdict.sent += 1,
            What::Refused => verdict.refused += 1,
            What::Torn => verdict.torn += 1,
            What::Dropped => {
                verdict.dropped += 1;
                *verdict.close_codes.entry(record.number).or_default() += 1;
            }
            What::Got | What::Took | What::Told | What::Tampered | What::Opened | What::Stored => {}
        }
    }
    judge_questions(&records, &mut verdict);
    judge_replies(&records, &mut verdict);
    judge_waiting(&records, &mut verdict);
    verdict
}

fn judge_questions(records: &[Record], verdict: &mut Verdict) {
    let mut taken = Seen::default();
    for record in records.iter().filter(|record| record.what == What::Took) {
        taken.see(u64::from(record.client), record.leg, record.number, verdict);
    }
    let torn = numbers(records, What::Torn);
    let replied: HashSet<(u32, u64)> = numbers(records, What::Told);
    for question in numbers(records, What::Sent) {
        let arrived = taken.all.contains(&(u64::from(question.0), question.1));
        verdict.lost_up += u64::from(!arrived && !torn.contains(&question));
        verdict.unanswered += u64::from(arrived && !replied.contains(&question));
    }
}

fn judge_replies(records: &[Record], verdict: &mut Verdict) {
    let mut got = Seen::default();
    for record in records.iter().filter(|record| record.what == What::Got) {
        got.see(record.leg, record.leg, record.leg_number, verdict);
    }
    let on_leg = |what: What| {
        let matching = records.iter().filter(move |record| record.what == what);
        matching.map(|record| (record.leg, record.leg_number)).collect::<HashSet<_>>()
    };
    let torn = on_leg(What::Torn);
    let told = on_leg(What::Told);
    let lost = told.iter().filter(|told| !got.all.contains(*told) && !torn.contains(*told));
    verdict.lost_down = lost.count() as u64;
}

/// What has arrived, per stream of numbered messages.
#[derive(Default)]
struct Seen {
    all: HashSet<(u64, u64)>,
    highest: HashMap<u64, u64>,
    last_on_leg: HashMap<u64, u64>,
}

impl Seen {
    /// A replay on a new leg may step back and double; on one leg numbers only ever go up.
    fn see(&mut self, stream: u64, leg: u64, number: u64, verdict: &mut Verdict) {
        let highest = self.highest.entry(stream).or_default();
        let is_new = self.all.insert((stream, number));
        let before = self.last_on_leg.insert(leg, number).unwrap_or(0);
        verdict.doubled += u64::from(!is_new);
        verdict.reordered += u64::from((is_new && number < *highest) || number < before);
        *highest = (*highest).max(number);
    }
}

fn numbers(records: &[Record], what: What) -> HashSet<(u32, u64)> {
    let matching = records.iter().filter(|record| record.what == what);
    matching.map(|record| (record.client, record.number)).collect()
}

fn judge_waiting(records: &[Record], verdict: &mut Verdict) {
    let mut recoveries = Vec::new();
    let mut longest: HashMap<u32, u64> = HashMap::new();
    for wait in waits(records) {
        let silence = longest.entry(wait.client).or_default();
        *silence = (*silence).max(wait.until - wait.since);
        recoveries.extend(wait.dropped.map(|dropped| wait.until - dropped));
    }
    verdict.recoveries = Millis::from_nanos(recoveries);
    verdict.silences = Millis::from_nanos(longest.into_values().collect());
}

/// A time during which a client had asked and nothing came.
struct Wait {
    client: u32,
    since: u64,
    until: u64,
    /// When its socket ended in this time, if it did.
    dropped: Option<u64>,
}

/// All waits, of all clients, of records in order of time. One that never ended is counted up to
/// the client's last question: what was asked last may simply have been lost.
fn waits(records: &[Record]) -> Vec<Wait> {
    let mut waits = Vec::new();
    let mut clients: HashMap<u32, Waiting> = HashMap::new();
    for record in records {
        let client = clients.entry(record.client).or_default();
        match record.what {
            What::Sent => {
                client.since.get_or_insert(record.at);
                client.asked = record.number;
                client.asked_at = record.at;
            }
            What::Dropped => {
                client.since.get_or_insert(record.at);
                client.dropped.get_or_insert(record.at);
            }
            What::Got => {
                waits.extend(client.ended(record.client, record.at));
                client.since = (record.number < client.asked).then_some(record.at);
            }
            What::Refused
            | What::Torn
            | What::Took
            | What::Told
            | What::Tampered
            | What::Opened
            | What::Stored => {}
        }
    }
    for (number, client) in &mut clients {
        let last = client.asked_at;
        waits.extend(client.ended(*number, last));
    }
    waits
}

#[derive(Default)]
struct Waiting {
    since: Option<u64>,
    dropped: Option<u64>,
    asked: u64,
    asked_at: u64,
}

impl Waiting {
    fn ended(&mut self, client: u32, until: u64) -> Option<Wait> {
        let dropped = self.dropped.take();
        self.since.take().map(|since| Wait { client, since, until: until.max(since), dropped })
    }
}

/// The silence of every client that was on `backend` when it ended at `at`: the longest wait that
/// lasted then, or began before the last of them was back.
///
/// A client is back with its first reply from another leg, and given up after `back_max`
/// nanoseconds. What stalls the machine later has nothing to do with the backend's end.
pub(crate) fn silences_after(
    records: &mut [Record],
    backend: u64,
    at: u64,
    back_max: u64,
) -> Vec<u64> {
    records.sort_by_key(|record| record.at);
    let mut on: HashMap<u32, u64> = HashMap::new();
    for record in records.iter().filter(|record| record.what == What::Got && record.at < at) {
        on.insert(record.client, record.leg);
    }
    on.retain(|_, leg| *leg >> BACKEND_SHIFT == backend);
    let all_back = all_back(records, &on, at).min(at + back_max);
    let mut silences: HashMap<u32, u64> = HashMap::new();
    for wait in waits(records) {
        if wait.until >= at && wait.since <= all_back && on.contains_key(&wait.client) {
            let silence = silences.entry(wait.client).or_default();
            *silence = (*silence).max(wait.until - wait.since);
        }
    }
    silences.into_values().collect()
}

/// When the last of these clients had a reply that is not from the leg it was on before `at`.
fn all_back(records: &[Record], on: &HashMap<u32, u64>, at: u64) -> u64 {
    let mut away = on.clone();
    for record in records.iter().filter(|record| record.what == What::Got && record.at >= at) {
        if away.get(&record.client).is_some_and(|leg| *leg != record.leg) {
            away.remove(&record.client);
            if away.is_empty() {
                return record.at;
            }
        }
    }
    u64::MAX
}

/// A leg's name begins with its backend's number: `backend << 48 | life << 32 | count`.
pub(crate) const BACKEND_SHIFT: u32 = 48;
/// The life of the backend process within a leg's name.
pub(crate) const LIFE_SHIFT: u32 = 32;

#[cfg(test)]
mod tests;
