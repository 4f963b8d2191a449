//! One history within a process, and all of them. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use everwire_proto::time::Time;

use super::{Cursor, Recorded, Retention, STRETCH_BYTES_MAX, Stretch};
use crate::{Channel, Origin, READ_MAX};

/// Messages in one order, bounded by what is to be kept.
#[derive(Debug)]
pub(crate) struct Reel {
    epoch: u64,
    last: u64,
    entries: VecDeque<(Recorded, Time)>,
    bytes: usize,
}

/// All histories. Beyond the bounds those go first that were not used for longest.
#[derive(Debug, Default)]
pub(crate) struct Reels {
    reels: HashMap<Channel, (Reel, u64)>,
    /// By when they were used last.
    order: BTreeMap<u64, Channel>,
    used: u64,
    bytes: usize,
}

impl Reel {
    pub(crate) const fn new(epoch: u64) -> Self {
        Self { epoch, last: 0, entries: VecDeque::new(), bytes: 0 }
    }

    /// Appends a message and lets go of what is not to be kept any more.
    pub(crate) fn push(
        &mut self,
        origin: Origin,
        payload: Bytes,
        retention: &Retention,
        now: Time,
    ) -> Cursor {
        self.last += 1;
        self.bytes += payload.len();
        self.entries.push_back((Recorded { offset: self.last, origin, payload }, now));
        self.trim(retention, now);
        Cursor { epoch: self.epoch, offset: self.last }
    }

    pub(crate) fn read(
        &mut self,
        after: u64,
        limit: usize,
        retention: &Retention,
        now: Time,
    ) -> Stretch {
        self.trim(retention, now);
        let first = self.entries.front().map_or(self.last + 1, |(oldest, _)| oldest.offset);
        let skipped =
            usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |entry: &&(Recorded, Time)| {
            let has_room = bytes < STRETCH_BYTES_MAX;
            bytes += entry.0.payload.len();
            has_room
        };
        let later = self.entries.iter().skip(skipped).take(limit.min(READ_MAX));
        let entries = later.take_while(fits).map(|(entry, _)| entry.clone()).collect();
        Stretch { epoch: self.epoch, first, last: self.last, entries }
    }

    fn trim(&mut self, retention: &Retention, now: Time) {
        while let Some((oldest, recorded)) = self.entries.front() {
            let count = self.last - oldest.offset + 1;
            let stays = count <= retention.count_max
                && self.bytes <= retention.bytes_max
                && now.saturating_since(*recorded) <= retention.age_max;
            if stays {
                return;
            }
            self.bytes -= oldest.payload.len();
            self.entries.pop_front();
        }
    }
}

impl Reels {
    /// Does something with one of them; one that is not there begins with `epoch`.
    pub(crate) fn with<T>(
        &mut self,
        name: &Channel,
        epoch: u64,
        what: impl FnOnce(&mut Reel) -> T,
    ) -> T {
        self.used += 1;
        let fresh = || (Reel::new(epoch), 0);
        let (reel, used) = self.reels.entry(name.clone()).or_insert_with(fresh);
        self.order.remove(used);
        self.order.insert(self.used, name.clone());
        *used = self.used;
        let before = reel.bytes;
        let done = what(reel);
        self.bytes = self.bytes + reel.bytes - before;
        self.make_room();
        done
    }

    fn make_room(&mut self) {
        while self.reels.len() > REELS_MAX || self.bytes > REELS_BYTES_MAX {
            let Some((_, name)) = self.order.pop_first() else { return };
            let Some((reel, _)) = self.reels.remove(&name) else { continue };
            self.bytes -= reel.bytes;
        }
    }
}

/// Histories of one process: as many groups as it has clients.
const REELS_MAX: usize = 65_536;

/// Bytes of all histories of one process.
const REELS_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Incarnation, Member, NodeId};

    const RETENTION: Retention =
        Retention { count_max: 5, age_max: Duration::from_secs(10), bytes_max: 100 };

    fn origin(sequence: u64) -> Origin {
        let member = Member { node: NodeId::from([1; 12]), incarnation: Incarnation(1) };
        Origin { member, sequence }
    }

    fn push(reel: &mut Reel, bytes: usize, seconds: u64) -> Cursor {
        let now = Time::from_millis(seconds * 1000);
        reel.push(origin(reel.last + 1), vec![0; bytes].into(), &RETENTION, now)
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_end_without_a_hole_and_within_every_bound(
            steps in prop::collection::vec((0..60_usize, 0..5_u64), 1..60),
            after in 0..70_u64,
            limit in 0..8_usize,
        ) {
            let (mut reel, mut seconds) = (Reel::new(7), 0);
            for (number, (bytes, pause)) in (1..).zip(&steps) {
                seconds += pause;
                let cursor = push(&mut reel, *bytes, seconds);
                prop_assert_eq!(cursor, Cursor { epoch: 7, offset: number });
                prop_assert!(reel.entries.len() <= 5 && reel.bytes <= 100);
            }
            let now = Time::from_millis(seconds * 1000);
            let stretch = reel.read(after, limit, &RETENTION, now);
            prop_assert_eq!(stretch.last, steps.len() as u64);
            let from = stretch.first.max(after + 1);
            let expected: Vec<u64> = (from..=stretch.last).take(limit).collect();
            let offsets: Vec<u64> = stretch.entries.iter().map(|entry| entry.offset).collect();
            prop_assert_eq!(offsets, expected);
            let whole = reel.read(0, 100, &RETENTION, now);
            let bytes: usize = whole.entries.iter().map(|entry| entry.payload.len()).sum();
            prop_assert_eq!(bytes, reel.bytes);
            let cursor = Cursor { epoch: 7, offset: after };
            let is_there = after <= stretch.last && after + 1 >= stretch.first;
            prop_assert_eq!(stretch.continues(cursor), is_there);
            let other = Cursor { epoch: 8, offset: after };
            prop_assert!(!stretch.continues(other));
        }
    }

    #[test]
    fn a_history_that_nobody_used_for_longest_goes_first_and_comes_back_as_another() {
        let mut reels = Reels::default();
        let large = Retention { bytes_max: REELS_BYTES_MAX, count_max: 9, ..RETENTION };
        let name = |text: &str| Channel::new(text).unwrap();
        let now = Time::from_millis(0);
        let third = Bytes::from(vec![0; REELS_BYTES_MAX / 3]);
        let mut push = |text: &str, epoch| {
            let payload = third.clone();
            reels.with(&name(text), epoch, |reel| reel.push(origin(1), payload, &large, now))
        };
        for (number, text) in ["a", "b", "c", "a"].into_iter().enumerate() {
            push(text, number as u64 + 1);
        }
        assert_eq!(push("a", 9), Cursor { epoch: 1, offset: 3 });
        assert_eq!(push("b", 9), Cursor { epoch: 9, offset: 1 });
        assert!(reels.bytes <= REELS_BYTES_MAX);
        for number in 0..=REELS_MAX {
            reels.with(&name(&format!("n{number}")), 1, |_| ());
        }
        assert_eq!((reels.reels.len(), reels.order.len()), (REELS_MAX, REELS_MAX));
    }
}
