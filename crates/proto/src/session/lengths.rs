//! The lengths of the messages that are kept, in the least room: one, the usual case, costs none.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A queue of lengths.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Lengths {
    /// The oldest; there is none where the queue is empty.
    first: Option<u32>,
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Rest(VecDeque<u32>);

impl Lengths {
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.0.len())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Memory held beside the queue itself, in bytes.
    pub(super) fn charged(&self) -> usize {
        let rest = self.rest.as_ref();
        rest.map_or(0, |rest| size_of::<Rest>() + rest.0.capacity() * size_of::<u32>())
    }

    pub(super) fn get(&self, index: usize) -> Option<u32> {
        match index.checked_sub(1) {
            None => self.first,
            Some(index) => self.rest.as_ref()?.0.get(index).copied(),
        }
    }

    pub(super) fn push(&mut self, length: u32) {
        if self.first.is_none() {
            self.first = Some(length);
        } else {
            let rest = &mut self.rest.get_or_insert_default().0;
            if rest.len() == rest.capacity() {
                rest.reserve_exact(rest.len().clamp(GROWTH_MIN, GROWTH_MAX));
            }
            rest.push_back(length);
        }
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        let popped = self.first.take();
        self.first = self.rest.as_mut().and_then(|rest| rest.0.pop_front());
        if self.first.is_none() {
            self.rest = None;
        }
        popped
    }
}

/// Lengths that room is made for at first: a few messages wait together or none does.
const GROWTH_MIN: usize = 4;
/// Lengths that room is made for at once, 16 KiB: doubling without a bound would take a buffer
/// full of tiny messages far beyond its limit.
const GROWTH_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_queue_that_holds_nothing_for_one() {
        let mut lengths = Lengths::default();
        lengths.push(7);
        assert_eq!((lengths.len(), lengths.charged(), lengths.get(0)), (1, 0, Some(7)));
        for length in 8..100 {
            lengths.push(length);
        }
        assert!(lengths.charged() >= 92 * size_of::<u32>());
        assert_eq!((lengths.get(50), lengths.get(93)), (Some(57), None));
        for length in 7..100 {
            assert_eq!(lengths.pop(), Some(length));
        }
        assert_eq!((lengths.pop(), lengths.charged(), lengths.is_empty()), (None, 0, true));
    }

    #[test]
    fn makes_room_for_a_bounded_number_of_further_lengths() {
        let mut lengths = Lengths::default();
        for length in 0..1_000_000 {
            lengths.push(length);
            let room = (lengths.len() + GROWTH_MAX) * size_of::<u32>() + size_of::<Rest>();
            assert!(lengths.charged() <= room, "{} for {}", lengths.charged(), lengths.len());
        }
    }
}
