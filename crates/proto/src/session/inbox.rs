//! The receiver's side: what has been seen, what is new, what is missing.

use serde::{Deserialize, Serialize};

/// Tracks the numbers of one sender's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    received: u64,
    acknowledged: u64,
}

/// What a numbered message is to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The next in order: take it.
    New,
    /// Seen before: drop it.
    Doubled,
    /// Everything before this number that was not seen is missing: say so before taking it.
    Gap {
        /// The first number that is missing.
        missing_from: u64,
    },
}

impl Inbox {
    /// An inbox that has everything up to and including `received`.
    pub const fn resumed(received: u64) -> Self {
        Self { received, acknowledged: received }
    }

    /// Number of the last message taken; 0 before the first.
    pub const fn received(self) -> u64 {
        self.received
    }

    /// Judges the message with this number and, unless it is doubled, counts it as taken.
    pub const fn accept(&mut self, number: u64) -> Arrival {
        if number <= self.received {
            return Arrival::Doubled;
        }
        let missing_from = self.received + 1;
        self.received = number;
        if number == missing_from { Arrival::New } else { Arrival::Gap { missing_from } }
    }

    /// How many messages have been taken since the last acknowledgement.
    pub const fn unacknowledged(self) -> u64 {
        self.received - self.acknowledged
    }

    /// The number to acknowledge, if it has not been yet.
    pub const fn acknowledge(&mut self) -> Option<u64> {
        if self.acknowledged == self.received {
            return None;
        }
        self.acknowledged = self.received;
        Some(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_each_number_once_and_announces_holes() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.accept(1), Arrival::New);
        assert_eq!(inbox.accept(1), Arrival::Doubled);
        assert_eq!(inbox.accept(2), Arrival::New);
        assert_eq!(inbox.accept(5), Arrival::Gap { missing_from: 3 });
        assert_eq!(inbox.accept(4), Arrival::Doubled);
        assert_eq!(inbox.received(), 5);
    }

    #[test]
    fn acknowledges_each_number_once() {
        let mut inbox = Inbox::resumed(7);
        assert_eq!(inbox.acknowledge(), None);
        inbox.accept(8);
        inbox.accept(9);
        assert_eq!(inbox.unacknowledged(), 2);
        assert_eq!(inbox.acknowledge(), Some(9));
        assert_eq!(inbox.acknowledge(), None);
    }
}
