//! Which letters have been read: none is read twice. Pure.
//!
//! A letter is old after half a minute, by the clock of the node that reads it: whoever writes one has
//! asked for that. Of each node that writes, the highest number is kept and
//! which of the 65,536 before it have come, so that memory does not grow with what is said.

use std::collections::HashMap;

/// The nodes that have written of late.
#[derive(Debug, Default)]
pub(super) struct Senders(HashMap<u64, Sender>);

#[derive(Debug)]
struct Sender {
    highest: u64,
    /// Whether a number has come, by its remainder.
    seen: Box<[u64]>,
    /// The latest moment that a letter named.
    last: u64,
}

impl Senders {
    /// Whether a letter is new: of this node's run, with this number, written at this moment, in
    /// milliseconds.
    pub(super) fn admit(&mut self, sender: u64, number: u64, at: u64, now: u64) -> bool {
        if at.abs_diff(now) > SKEW_MAX {
            return false;
        }
        if !self.0.contains_key(&sender) {
            // A letter of theirs that came again would be old.
            self.0.retain(|_, sender| now.saturating_sub(sender.last) <= SKEW_MAX);
            if self.0.len() >= SENDERS_MAX {
                return false;
            }
        }
        let sender = self.0.entry(sender).or_insert_with(|| Sender::new(number));
        sender.last = sender.last.max(at);
        sender.admit(number)
    }
}

impl Sender {
    fn new(highest: u64) -> Self {
        Self { highest, seen: vec![0; WORDS].into(), last: 0 }
    }

    fn admit(&mut self, number: u64) -> bool {
        if number > self.highest {
            let from = (self.highest + 1).max(number.saturating_sub(WIDTH - 1));
            (from..=number).for_each(|skipped| self.mark(skipped, false));
            self.highest = number;
        } else if self.highest - number >= WIDTH || self.has(number) {
            return false;
        }
        self.mark(number, true);
        true
    }

    fn has(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.seen[word] & bit != 0
    }

    fn mark(&mut self, number: u64, seen: bool) {
        let (word, bit) = place(number);
        if seen { self.seen[word] |= bit } else { self.seen[word] &= !bit }
    }
}

const fn place(number: u64) -> (usize, u64) {
    let at = number % WIDTH;
    ((at / 64) as usize, 1 << (at % 64))
}

/// How long a letter may be on its way, in milliseconds, and how far its writer may have lost sight of
/// the reader's clock.
const SKEW_MAX: u64 = 30_000;

/// Letters of one node that may be on their way at once: more than it has sockets.
const WIDTH: u64 = 65_536;

const WORDS: usize = (WIDTH / 64) as usize;

/// Nodes, restarted ones counted again for a minute. Each takes 8 KiB.
const SENDERS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    #[test]
    fn attack_s5_a_letter_that_comes_again_is_not_read() {
        let mut senders = Senders::default();
        for number in [5, 3, 4, 900, 70_000, 10_000] {
            assert!(senders.admit(1, number, NOW, NOW), "{number}");
            assert!(!senders.admit(1, number, NOW, NOW), "{number}");
        }
        assert!(!senders.admit(1, 4_464, NOW, NOW), "too far behind to know");
        assert!(senders.admit(1, 4_465, NOW, NOW));
        for number in [5, 3, 4, 900] {
            assert!(!senders.admit(1, number, NOW, NOW), "{number}");
        }
        assert!(senders.admit(2, 5, NOW, NOW), "another node counts for itself");
        assert!(senders.admit(1, u64::MAX, NOW, NOW));
        assert!(!senders.admit(1, u64::MAX, NOW, NOW));
    }

    #[test]
    fn every_number_of_many_is_read_once() {
        let mut senders = Senders::default();
        for number in (0..200_000).map(|number| number ^ 1) {
            assert!(senders.admit(1, number, NOW, NOW));
        }
        assert!((134_464..200_000).all(|number| !senders.admit(1, number, NOW, NOW)));
    }

    #[test]
    fn a_letter_grows_old() {
        let mut senders = Senders::default();
        assert!(!senders.admit(1, 1, NOW - SKEW_MAX - 1, NOW));
        assert!(!senders.admit(1, 1, NOW + SKEW_MAX + 1, NOW));
        assert!(senders.admit(1, 1, NOW - SKEW_MAX, NOW));
        assert!(senders.admit(1, 2, NOW + SKEW_MAX, NOW));
    }

    #[test]
    fn so_many_nodes_are_known_and_those_that_are_silent_make_room() {
        let mut senders = Senders::default();
        for sender in 0..SENDERS_MAX as u64 {
            assert!(senders.admit(sender, 1, NOW, NOW));
        }
        assert!(!senders.admit(u64::MAX, 1, NOW, NOW));
        assert!(senders.admit(0, 2, NOW + 1, NOW + 1));
        let later = NOW + SKEW_MAX + 1;
        assert!(senders.admit(u64::MAX, 1, later, later));
        assert!(!senders.admit(0, 2, NOW + 1, later), "it has not been forgotten");
        assert!(!senders.admit(1, 1, NOW, later), "it is old");
    }
}
