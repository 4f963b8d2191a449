//! Which backend is next.

use std::time::Duration;

use everwire_proto::time::Time;

use super::{
    Backends, Choice, DIALS_MAX, State, Wish,
    entry::{Entry, Standing},
};
use crate::pool::config::Balance;

/// Groups of backends, the best first; a worse one is used only if all better ones are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Well, or failing and not looked at for long.
    Normal,
    /// Failing, a probe is due.
    Probe,
    /// Has ended a leg not long ago.
    Leaving,
    /// Has ended a leg a moment ago. Without its sessions it is the least loaded of all that have
    /// ended one: where several are replaced in turn, all would go to the one that is dead.
    Ending,
    /// Down, says the active check.
    Down,
    /// Failing, no probe is due.
    Waiting,
}

impl Backends {
    /// Chooses a backend for one dial, and counts the dial.
    pub fn choose(&mut self, now: Time, wish: &Wish<'_>) -> Choice {
        let candidates: Vec<(usize, Tier)> = (self.entries.iter().enumerate())
            .filter(|(_, entry)| is_eligible(entry, wish))
            .map(|(at, entry)| (at, tier(entry.standing(now))))
            .collect();
        let Some(best) = candidates.iter().map(|(_, tier)| *tier).min() else {
            return self.nobody(now, wish);
        };
        let in_best = candidates.iter().filter(|(_, tier)| *tier == best).map(|(at, _)| *at);
        if best == Tier::Waiting {
            return Choice::Wait(self.earliest_probe(now, in_best));
        }
        let free: Vec<usize> = in_best.filter(|at| self.entries[*at].dials < DIALS_MAX).collect();
        let Some(chosen) = self.pick(&free, wish.key) else {
            return Choice::Wait(now + PLACE_WAIT);
        };
        self.choices += 1;
        let well = |at: usize| self.entries[at].standing(now) == Standing::Well;
        let alternatives = free.iter().any(|at| *at != chosen && well(*at));
        let entry = &mut self.entries[chosen];
        entry.chosen = self.choices;
        Choice::Dial(entry.ticket(alternatives))
    }

    /// The answer when no backend may be dialled, now or soon.
    fn nobody(&self, now: Time, wish: &Wish<'_>) -> Choice {
        let mut ready = self.entries.iter().filter(|entry| entry.state == State::Ready).peekable();
        if ready.peek().is_some() && ready.all(|entry| wish.avoid.contains(&entry.id)) {
            Choice::Exhausted
        } else {
            // One may be added, or end a session.
            Choice::Wait(now + MEMBER_WAIT)
        }
    }

    fn earliest_probe(&self, now: Time, waiting: impl Iterator<Item = usize>) -> Time {
        let times = waiting.filter_map(|at| match self.entries[at].standing(now) {
            Standing::NotBefore(time) => Some(time),
            _ => None,
        });
        times.min().unwrap_or(now + PLACE_WAIT)
    }

    fn pick(&mut self, free: &[usize], key: Option<u64>) -> Option<usize> {
        match (self.balance, key) {
            (Balance::RoundRobin, _) => self.pick_in_turn(free),
            (Balance::Hash, Some(key)) => self.pick_by_key(free, key),
            (Balance::LeastSessions | Balance::Hash, _) => self.pick_least_loaded(free),
        }
    }

    /// Smooth weighted round-robin, as in nginx: everybody's claim grows by its weight, the
    /// largest wins and pays what all have gained.
    fn pick_in_turn(&mut self, free: &[usize]) -> Option<usize> {
        let mut gained = 0;
        for at in free {
            let weight = i64::from(self.entries[*at].weight());
            self.entries[*at].claim += weight;
            gained += weight;
        }
        let chosen = free.iter().copied().max_by_key(|at| {
            let entry = &self.entries[*at];
            (entry.claim, std::cmp::Reverse(entry.chosen))
        })?;
        self.entries[chosen].claim -= gained;
        Some(chosen)
    }

    fn pick_least_loaded(&self, free: &[usize]) -> Option<usize> {
        free.iter().copied().min_by(|a, b| {
            let (a, b) = (&self.entries[*a], &self.entries[*b]);
            // Compares load / weight without dividing.
            let load_a = u64::from(a.load()) * u64::from(b.weight());
            let load_b = u64::from(b.load()) * u64::from(a.weight());
            load_a.cmp(&load_b).then(a.chosen.cmp(&b.chosen))
        })
    }

    /// Weighted rendezvous hashing: each backend draws a lot for the key, the best lot wins. A
    /// backend that goes takes only its own keys with it.
    fn pick_by_key(&self, free: &[usize], key: u64) -> Option<usize> {
        free.iter().copied().max_by(|a, b| {
            let lot = |at: usize| {
                let entry = &self.entries[at];
                lot(key, entry.id.0, entry.weight())
            };
            lot(*a).total_cmp(&lot(*b))
        })
    }
}

fn is_eligible(entry: &Entry, wish: &Wish<'_>) -> bool {
    entry.state == State::Ready
        && entry.config.sessions_max.is_none_or(|most| entry.load() < most)
        && !wish.avoid.contains(&entry.id)
}

fn tier(standing: Standing) -> Tier {
    match standing {
        Standing::Well | Standing::Due { recheck: true } => Tier::Normal,
        Standing::Due { recheck: false } => Tier::Probe,
        Standing::Leaving => Tier::Leaving,
        Standing::Ending => Tier::Ending,
        Standing::Down => Tier::Down,
        Standing::NotBefore(_) => Tier::Waiting,
    }
}

/// A number that grows with weight and is otherwise as good as random (Mosharaf and others,
/// "weighted rendezvous hashing": -weight / ln of a uniform number).
fn lot(key: u64, backend: u64, weight: u32) -> f64 {
    let mixed = mix(key ^ mix(backend));
    let uniform = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.max(f64::MIN_POSITIVE).ln()
}

/// The finaliser of SplitMix64: every bit of the input reaches every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// How long to wait for a place if nobody tells that one is free.
const PLACE_WAIT: Duration = Duration::from_millis(50);

/// How long to wait for a backend if nobody tells that there is one.
const MEMBER_WAIT: Duration = Duration::from_millis(500);
