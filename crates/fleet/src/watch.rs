//! Who watches a set, and what each of them is to be told when. Pure.
//!
//! A watcher begins *waiting*: for everything, or for what has changed since a [`Cursor`] that it has. It is
//! brought to where the desk is, with a snapshot or with the versions it misses, and is *live* from then
//! on: it is told each version, once and in order, together with everybody else who is live at its
//! [`Pace`]. When something cannot be told it waits again, and the next thing it hears is that there was a gap,
//! and a snapshot. So no watcher hears of a version twice, misses one without being told, or goes back.
//!
//! The desk says what is to be told ([`Tell`]); whoever does it says if that [failed](Desk::failed).

use std::collections::{BTreeMap, BTreeSet};

use everwire_backplane::Version;

use crate::book::Cursor;

/// All watchers of one set on one node, each known by a `W`.
#[derive(Debug)]
pub(crate) struct Desk<W> {
    /// How far everybody has been told who is live; `None` before the set has been read.
    told: Option<Cursor>,
    watchers: BTreeMap<W, Watcher>,
    /// Those that wait to be brought up.
    waiting: BTreeSet<W>,
    /// How many are live at each pace.
    live: BTreeMap<Pace, usize>,
    /// The paces that have something to be told when their time comes, and behind which version.
    held: BTreeMap<Pace, Version>,
}

/// What a watcher has when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seed {
    /// Nothing, or nobody knows what.
    Nothing,
    /// What was there at this place, for certain.
    At(Cursor),
    /// Something that is not enough.
    Missed,
}

/// How soon a watcher wants to hear of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pace {
    /// At once, of each version.
    #[default]
    Each,
    /// After so many milliseconds, of all versions that came meanwhile as one; a power of two, so that
    /// there are few.
    After(u32),
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tell<W> {
    /// The set as it is.
    Snapshot {
        to: Vec<W>,
        /// That something was missed, first.
        gap: bool,
    },
    /// What came after a version, up to where the desk is.
    Since {
        to: Whom<W>,
        after: Version,
        /// As one change, and not version by version.
        as_one: bool,
    },
    /// This watcher is live from now on.
    Joins(W, Pace),
    /// It is not any more.
    Parts(W, Pace),
}

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom<W> {
    /// One watcher.
    One(W),
    /// All that are live at a pace.
    Live(Pace),
}

#[derive(Debug)]
struct Watcher {
    pace: Pace,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting {
        seed: Seed,
        /// How often it was looked for what it has already and the set has not.
        patience: u8,
    },
    Live,
}

/// What the set's history has.
pub(crate) trait Past {
    /// Whether every version after this one is there.
    fn has_since(&self, version: Version) -> bool;
}

impl Pace {
    /// The pace for who asked for so many milliseconds: at least that, at most about a minute.
    pub(crate) fn of_millis(millis: u64) -> Self {
        if millis == 0 {
            return Self::Each;
        }
        let millis = u32::try_from(millis).unwrap_or(u32::MAX).clamp(PACE_MIN, PACE_MAX);
        Self::After(millis.next_power_of_two())
    }
}

impl<W: Ord + Copy> Desk<W> {
    pub(crate) const fn new() -> Self {
        Self {
            told: None,
            watchers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            live: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// How many watch.
    pub(crate) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// Everybody.
    pub(crate) fn watchers(&self) -> impl Iterator<Item = W> {
        self.watchers.keys().copied()
    }

    /// Whether somebody waits who could be told by now, but was not.
    pub(crate) fn is_behind(&self) -> bool {
        let Some(told) = self.told else { return false };
        let is_ahead = |seed: &Seed| matches!(seed, Seed::At(at) if at.epoch == told.epoch && at.version > told.version);
        let seeds = self.waiting.iter().filter_map(|who| match &self.watchers.get(who)?.state {
            State::Waiting { seed, .. } => Some(seed),
            State::Live => None,
        });
        seeds.into_iter().any(|seed| !is_ahead(seed))
    }

    /// The paces that something is held back for.
    pub(crate) fn held(&self) -> impl Iterator<Item = Pace> {
        self.held.keys().copied()
    }

    /// Somebody watches, or says again what it has. Who is live and has what it was told, or only some of
    /// it so far, is on its way to all of it; who then says that it has nothing is told everything.
    pub(crate) fn watch(&mut self, who: W, seed: Seed, pace: Pace) -> Vec<Tell<W>> {
        let there = self.watchers.get(&who);
        let has_all = match seed {
            Seed::At(at) => {
                self.told.is_some_and(|told| told.epoch == at.epoch && told.version >= at.version)
            }
            Seed::Nothing | Seed::Missed => false,
        };
        if has_all && there.is_some_and(|it| it.state == State::Live && it.pace == pace) {
            return Vec::new();
        }
        let parts = self.unwatch(who);
        let state = State::Waiting { seed, patience: 0 };
        self.watchers.insert(who, Watcher { pace, state });
        self.waiting.insert(who);
        parts
    }

    /// Somebody watches no more.
    pub(crate) fn unwatch(&mut self, who: W) -> Vec<Tell<W>> {
        self.waiting.remove(&who);
        match self.watchers.remove(&who) {
            Some(Watcher { pace, state: State::Live }) => {
                self.part(pace);
                vec![Tell::Parts(who, pace)]
            }
            _ => Vec::new(),
        }
    }

    /// The set is here by now: what everybody live is to be told of that, and then who waits.
    pub(crate) fn advance(&mut self, now: Cursor, past: &impl Past) -> Vec<Tell<W>> {
        let mut tells = Vec::new();
        match self.told {
            Some(told) if told == now => {}
            Some(told) if told.epoch == now.epoch && told.version <= now.version => {
                if past.has_since(told.version) {
                    self.go_on(told.version, &mut tells);
                } else {
                    self.lose(|_| true, &mut tells);
                }
            }
            // It begins anew, and nobody knows what of it is what it was.
            Some(_) => self.lose(|_| true, &mut tells),
            None => {}
        }
        self.told = Some(now);
        self.bring_up(past, &mut tells);
        tells
    }

    /// What was held back for a pace is told.
    pub(crate) fn flush(&mut self, pace: Pace, past: &impl Past) -> Vec<Tell<W>> {
        let mut tells = Vec::new();
        let Some(after) = self.held.remove(&pace) else { return tells };
        if past.has_since(after) {
            tells.push(Tell::Since { to: Whom::Live(pace), after, as_one: true });
        } else {
            self.lose(|there| there == pace, &mut tells);
        }
        tells
    }

    /// Some time has passed. Who says that it has what the set does not have yet is not waited for any
    /// longer after a few times: it is mistaken, or the set was lost.
    pub(crate) fn grow_impatient(&mut self) {
        for who in &self.waiting {
            if let Some(Watcher { state: State::Waiting { seed, patience }, .. }) =
                self.watchers.get_mut(who)
            {
                *patience += 1;
                if *patience >= PATIENCE {
                    *seed = Seed::Missed;
                }
            }
        }
    }

    /// Something could not be told, or not to all: those that it was for begin again. What this gives is to
    /// be told behind all else that is to be told now.
    pub(crate) fn failed(&mut self, tell: &Tell<W>) -> Vec<Tell<W>> {
        let mut tells = Vec::new();
        match tell {
            Tell::Snapshot { to, gap } => {
                let seed = if *gap { Seed::Missed } else { Seed::Nothing };
                to.iter().for_each(|who| self.put_back(*who, seed, &mut tells));
            }
            Tell::Since { to: Whom::One(who), .. } => {
                self.put_back(*who, Seed::Missed, &mut tells);
            }
            Tell::Since { to: Whom::Live(pace), .. } => {
                self.lose(|there| there == *pace, &mut tells)
            }
            Tell::Joins(who, _) => self.put_back(*who, Seed::Missed, &mut tells),
            Tell::Parts(..) => {}
        }
        tells
    }

    /// Everybody live is told what came after a version, now or when its time comes.
    fn go_on(&mut self, after: Version, tells: &mut Vec<Tell<W>>) {
        for pace in self.live.keys() {
            match pace {
                Pace::Each => {
                    tells.push(Tell::Since { to: Whom::Live(*pace), after, as_one: false });
                }
                Pace::After(_) => drop(self.held.entry(*pace).or_insert(after)),
            }
        }
    }

    /// Those that are live at some paces have missed something.
    fn lose(&mut self, which: impl Fn(Pace) -> bool, tells: &mut Vec<Tell<W>>) {
        let lost = self.watchers.iter().filter(|(_, it)| it.state == State::Live && which(it.pace));
        let lost: Vec<_> = lost.map(|(who, _)| *who).collect();
        lost.into_iter().for_each(|who| self.put_back(who, Seed::Missed, tells));
        self.held.retain(|pace, _| !which(*pace));
    }

    fn put_back(&mut self, who: W, seed: Seed, tells: &mut Vec<Tell<W>>) {
        let Some(watcher) = self.watchers.get_mut(&who) else { return };
        let (was, pace) = (watcher.state, watcher.pace);
        watcher.state = State::Waiting { seed, patience: 0 };
        self.waiting.insert(who);
        if was == State::Live {
            self.part(pace);
            tells.push(Tell::Parts(who, pace));
        }
    }

    fn part(&mut self, pace: Pace) {
        if let Some(count) = self.live.get_mut(&pace) {
            *count -= 1;
            if *count == 0 {
                self.live.remove(&pace);
                self.held.remove(&pace);
            }
        }
    }

    /// Who waits is brought to where the desk is.
    fn bring_up(&mut self, past: &impl Past, tells: &mut Vec<Tell<W>>) {
        let Some(told) = self.told else { return };
        let ready = self.waiting.iter().filter_map(|who| {
            let Watcher { pace, state: State::Waiting { seed, .. } } = self.watchers.get(who)?
            else {
                return None;
            };
            Some((*who, *pace, seed.way(told, past)?))
        });
        let ready: Vec<_> = ready.collect();
        // Who joins has everything up to here: what is held back for the others is told before.
        let paces: BTreeSet<_> = ready.iter().map(|(_, pace, _)| *pace).collect();
        for pace in paces {
            tells.extend(self.flush(pace, past));
        }
        for gap in [false, true] {
            let to = ready.iter().filter(|(_, _, way)| *way == Way::Snapshot { gap });
            let to: Vec<_> = to.map(|(who, ..)| *who).collect();
            if !to.is_empty() {
                tells.push(Tell::Snapshot { to, gap });
            }
        }
        for (who, pace, way) in ready {
            if let Way::Versions(after) = way
                && after < told.version
            {
                let (to, as_one) = (Whom::One(who), pace != Pace::Each);
                tells.push(Tell::Since { to, after, as_one });
            }
            self.join(who, pace, tells);
        }
    }

    fn join(&mut self, who: W, pace: Pace, tells: &mut Vec<Tell<W>>) {
        self.waiting.remove(&who);
        if let Some(watcher) = self.watchers.get_mut(&who) {
            watcher.state = State::Live;
            *self.live.entry(pace).or_default() += 1;
            tells.push(Tell::Joins(who, pace));
        }
    }
}

impl Seed {
    /// How whoever has this is brought to where the desk is; `None` if the desk is not yet where it is.
    fn way(self, told: Cursor, past: &impl Past) -> Option<Way> {
        match self {
            Self::Nothing => Some(Way::Snapshot { gap: false }),
            // Another node has told it what this one has yet to read.
            Self::At(at) if at.epoch == told.epoch && at.version > told.version => None,
            Self::At(at) if at.epoch == told.epoch && past.has_since(at.version) => {
                Some(Way::Versions(at.version))
            }
            Self::At(_) | Self::Missed => Some(Way::Snapshot { gap: true }),
        }
    }
}

/// How a watcher is brought to where the desk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Snapshot {
        gap: bool,
    },
    /// By what came after this version.
    Versions(Version),
}

/// Milliseconds of the fastest pace that merges: shorter than anybody notices.
const PACE_MIN: u32 = 16;

/// Milliseconds of the slowest pace.
pub(crate) const PACE_MAX: u32 = 1 << 16;

/// How often it is looked for what a watcher says it has before it is told that it is mistaken.
const PATIENCE: u8 = 2;

#[cfg(test)]
mod tests;
