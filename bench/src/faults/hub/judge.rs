//! The checker: from what publishers, receivers and nodes wrote down to what was lost, doubled and
//! reordered.
//!
//! Pure. Every message has a *stream*, which is one life of a publisher's connection, and a number
//! in it. A message is *due* to a receiver if its publisher was answered that it is accepted. One
//! that is due and never came is lost: *announced* if somebody was told, *silently* otherwise. Told
//! is the publisher by an error or the end of its connection, the receiver by the end of its own,
//! the operator by a gap that its node announces. Whoever comes back hears what is said from then
//! on, so its absence excuses nothing that is said later, and nothing that lies before what it had
//! heard already.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

/// One message, as its publisher knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) stream: Stream,
    pub(super) number: u64,
    /// When, in nanoseconds since the play began, as everywhere here.
    pub(super) at: u64,
    pub(super) fate: Fate,
}

/// What a publisher was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// No error.
    Accepted,
    /// An error.
    Refused,
    /// Nothing: its connection ended first.
    Unknown,
}

/// One life of a publisher's connection: which publisher, at which node, which life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Stream {
    pub(super) publisher: u16,
    pub(super) node: u16,
    pub(super) life: u32,
}

/// What a receiver writes down.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// What is said from now on is for it. With the node that it is connected to.
    Joined(u16),
    /// Its session is over, and it knows.
    Cut,
    Got(Stream, u64),
    /// It is told that a name is present, or no longer.
    Told(String, bool),
}

/// One receiver's events, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Diary(pub(super) Vec<(u64, Event)>);

/// A gap that a node has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) node: u16,
    pub(super) at: u64,
    /// How many messages are missing at most, where the node knows.
    pub(super) messages_max: Option<u64>,
}

/// All that is known of a play.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// From here on everybody is connected, and everything counts.
    pub(super) opened: u64,
    pub(super) said: Vec<Said>,
    pub(super) diaries: Vec<Diary>,
    pub(super) gaps: Vec<Gap>,
    /// When something was broken.
    pub(super) faults: Vec<u64>,
    /// Names whose holder was killed or taken off, and when.
    pub(super) gone: Vec<(String, u64)>,
}

/// What a play showed.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    /// Messages said.
    pub(super) said: u64,
    /// Deliveries.
    pub(super) heard: u64,
    /// Messages that some receiver should have got and did not, without anybody being told.
    pub(super) silent: u64,
    /// The same, told to the publisher, the receiver or the operator.
    pub(super) announced: u64,
    /// Deliveries of a message that the receiver had.
    pub(super) doubled: u64,
    /// Deliveries behind a later message of the same stream.
    pub(super) reordered: u64,
    /// Sessions of receivers that ended.
    pub(super) dropped: u64,
    /// Milliseconds, the longest from the first fault on, in which a receiver heard nothing of a
    /// publisher that spoke.
    pub(super) recovery_ms: Option<f64>,
    /// The longest silence, in milliseconds, between two messages of a node's own publisher.
    pub(super) local_ms: Option<f64>,
    /// Names said to be gone, or said so again, that are not.
    pub(super) false_leaves: u64,
    /// Names of the gone that some receiver was never told of.
    pub(super) ghosts: u64,
    /// Milliseconds until the last receiver was told that the last of the gone is gone.
    pub(super) ghost_ms: Option<f64>,
}

impl Verdict {
    /// Adds another round: counts are added up, the longest times stand.
    pub(super) fn add(&mut self, other: &Self) {
        self.said += other.said;
        self.heard += other.heard;
        self.silent += other.silent;
        self.announced += other.announced;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.dropped += other.dropped;
        self.false_leaves += other.false_leaves;
        self.ghosts += other.ghosts;
        let longest =
            |one: Option<f64>, two: Option<f64>| one.into_iter().chain(two).reduce(f64::max);
        self.recovery_ms = longest(self.recovery_ms, other.recovery_ms);
        self.local_ms = longest(self.local_ms, other.local_ms);
        self.ghost_ms = longest(self.ghost_ms, other.ghost_ms);
    }
}

/// Judges a play.
pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict { said: evidence.said.len() as u64, ..Verdict::default() };
    let mut lost = Lost::default();
    for diary in &evidence.diaries {
        let heard = Heard::read(diary, &mut verdict);
        lost.judge(evidence, &heard);
    }
    verdict.announced = lost.announced.difference(&lost.silent).count() as u64;
    verdict.silent = lost.silent.len() as u64;
    verdict.recovery_ms = recovery(evidence).map(millis);
    verdict.local_ms = local_silence(evidence).map(millis);
    judge_presence(evidence, &mut verdict);
    verdict
}

/// What one receiver has heard.
#[derive(Default)]
struct Heard {
    all: HashSet<(Stream, u64)>,
    absences: Vec<Absence>,
    /// The nodes it was connected to, and since when.
    nodes: Vec<(u64, u16)>,
}

/// A time in which a receiver was not connected, and knew.
struct Absence {
    until: u64,
    /// The last number of each stream that it had before.
    highest: HashMap<Stream, u64>,
}

impl Heard {
    fn read(diary: &Diary, verdict: &mut Verdict) -> Self {
        let mut heard = Self::default();
        let mut highest: HashMap<Stream, u64> = HashMap::new();
        for (at, event) in &diary.0 {
            match event {
                Event::Joined(node) => {
                    heard.nodes.push((*at, *node));
                    if let Some(absence) = heard.absences.last_mut() {
                        absence.until = absence.until.min(*at);
                    }
                }
                Event::Cut => {
                    verdict.dropped += 1;
                    let highest = highest.clone();
                    heard.absences.push(Absence { until: u64::MAX, highest });
                }
                Event::Got(stream, number) => {
                    verdict.heard += 1;
                    let before = highest.entry(*stream).or_default();
                    if !heard.all.insert((*stream, *number)) {
                        verdict.doubled += 1;
                    } else if *number < *before {
                        verdict.reordered += 1;
                    }
                    *before = (*before).max(*number);
                }
                Event::Told(..) => {}
            }
        }
        heard
    }

    /// Whether the receiver knows that it may have missed this.
    fn was_absent(&self, said: &Said) -> bool {
        self.absences.iter().any(|absence| {
            let had = absence.highest.get(&said.stream).copied().unwrap_or(0);
            said.at < absence.until && said.number > had
        })
    }

    /// Whether it was connected to the node at this time.
    fn was_at(&self, node: u16, at: u64) -> bool {
        let then = self.nodes.iter().rev().find(|(since, _)| *since <= at);
        then.is_some_and(|(_, then)| *then == node)
    }
}

/// Messages that somebody has not got.
#[derive(Default)]
struct Lost {
    silent: BTreeSet<(Stream, u64)>,
    announced: BTreeSet<(Stream, u64)>,
}

impl Lost {
    fn judge(&mut self, evidence: &Evidence, heard: &Heard) {
        let mut missing = Vec::new();
        for said in evidence.said.iter().filter(|said| said.at >= evidence.opened) {
            let key = (said.stream, said.number);
            if heard.all.contains(&key) {
                continue;
            }
            if said.fate != Fate::Accepted || heard.was_absent(said) {
                self.announced.insert(key);
            } else {
                missing.push(said);
            }
        }
        for gap in evidence.gaps.iter().filter(|gap| heard.was_at(gap.node, gap.at)) {
            let mut left = gap.messages_max.unwrap_or(u64::MAX);
            missing.retain(|said| {
                let is_told = said.at < gap.at && left > 0;
                if is_told {
                    left -= 1;
                    self.announced.insert((said.stream, said.number));
                }
                !is_told
            });
        }
        self.silent.extend(missing.iter().map(|said| (said.stream, said.number)));
    }
}

/// The longest time, from the first fault on, in which a receiver heard nothing of a publisher.
fn recovery(evidence: &Evidence) -> Option<u64> {
    let fault = *evidence.faults.first()?;
    let mut spoke: HashMap<u16, u64> = HashMap::new();
    for said in evidence.said.iter().filter(|said| said.fate == Fate::Accepted) {
        let last = spoke.entry(said.stream.publisher).or_default();
        *last = (*last).max(said.at);
    }
    let silences = evidence.diaries.iter().flat_map(|diary| {
        let spoke = &spoke;
        spoke.iter().map(move |(publisher, until)| silence(diary, *publisher, fault, *until))
    });
    silences.max()
}

/// The longest time in which this receiver heard nothing of a publisher that spoke until then.
fn silence(diary: &Diary, publisher: u16, from: u64, until: u64) -> u64 {
    let (mut last, mut longest) = (from, 0);
    for (at, event) in &diary.0 {
        let is_its = matches!(event, Event::Got(stream, _) if stream.publisher == publisher);
        if is_its && *at > last {
            longest = longest.max(at - last);
            last = *at;
        }
    }
    longest.max(until.saturating_sub(last))
}

/// What a receiver waits between two messages that do not need to leave its node.
fn local_silence(evidence: &Evidence) -> Option<u64> {
    let mut longest = None;
    for diary in &evidence.diaries {
        let (mut node, mut last) = (None, None);
        for (at, event) in &diary.0 {
            match event {
                Event::Joined(joined) => (node, last) = (Some(*joined), None),
                Event::Cut => node = None,
                Event::Got(stream, _) if Some(stream.node) == node => {
                    let silence =
                        last.map(|(before, last)| (before == *stream).then_some(at - last));
                    if *at >= evidence.opened {
                        longest = longest.max(silence.flatten());
                    }
                    last = Some((*stream, *at));
                }
                Event::Got(..) | Event::Told(..) => {}
            }
        }
    }
    longest
}

fn judge_presence(evidence: &Evidence, verdict: &mut Verdict) {
    for diary in &evidence.diaries {
        let mut left: HashMap<&str, u64> = HashMap::new();
        for (at, event) in &diary.0 {
            let Event::Told(name, false) = event else { continue };
            let gone = evidence.gone.iter().find(|(gone, since)| gone == name && since <= at);
            if gone.is_none() || left.insert(name, *at).is_some() {
                verdict.false_leaves += 1;
            }
        }
        for (name, since) in &evidence.gone {
            match left.get(name.as_str()) {
                Some(at) => {
                    let took = millis(at.saturating_sub(*since));
                    let slowest = verdict.ghost_ms.unwrap_or_default().max(took);
                    verdict.ghost_ms = Some(slowest);
                }
                None if knew(diary, name) => verdict.ghosts += 1,
                None => {}
            }
        }
    }
}

/// Whether the last thing that the receiver was told of the name on its present connection is that it
/// is there.
fn knew(diary: &Diary, name: &str) -> bool {
    let mut knew = false;
    for (_, event) in &diary.0 {
        match event {
            Event::Cut => knew = false,
            Event::Told(told, is_there) if told == name => knew = *is_there,
            _ => {}
        }
    }
    knew
}

fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests;
