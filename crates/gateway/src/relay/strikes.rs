//! Which messages were there when backends died, and so may be the cause.
//!
//! Every complete, unconfirmed message on a leg that ends without a Close gets a strike. Messages
//! are confirmed in order, so an older message never has fewer strikes than a younger one, and two
//! numbers tell who has how many. From the second strike on a message is sent alone; what happens
//! then happens to the oldest message only.

use serde::{Deserialize, Serialize};

/// From this many strikes on a message is sent alone.
pub(super) const SUSPECT: u8 = 2;

/// The strikes of the messages that are unconfirmed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Strikes {
    /// Messages up to here have at least one.
    once: u64,
    /// Messages up to here have at least two.
    twice: u64,
    /// Strikes of the oldest message beyond two.
    beyond: u8,
}

impl Strikes {
    /// A leg ended without a Close; messages `first..=written` were on it unconfirmed.
    pub(super) fn strike(&mut self, first: u64, written: u64) {
        if written < first {
            return;
        }
        if self.of(first) >= SUSPECT {
            self.beyond = self.beyond.saturating_add(1);
        }
        self.twice = self.twice.max(self.once.min(written));
        self.once = self.once.max(written);
    }

    /// The oldest message was confirmed; another takes its place.
    pub(super) const fn absolve(&mut self) {
        self.beyond = 0;
    }

    /// The strikes of the oldest unconfirmed message.
    pub(super) const fn of(&self, first: u64) -> u8 {
        if first <= self.twice {
            SUSPECT.saturating_add(self.beyond)
        } else {
            (first <= self.once) as u8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_poison_is_found_among_the_innocent() {
        let mut strikes = Strikes::default();
        strikes.strike(5, 9);
        assert_eq!((strikes.of(5), strikes.of(9), strikes.of(10)), (1, 1, 0));
        strikes.strike(5, 12);
        assert_eq!((strikes.of(5), strikes.of(9), strikes.of(12)), (2, 2, 1));
        strikes.absolve();
        assert_eq!(strikes.of(6), 2);
        strikes.strike(7, 7);
        assert_eq!(strikes.of(7), 3);
        strikes.absolve();
        assert_eq!((strikes.of(8), strikes.of(10), strikes.of(13)), (2, 1, 0));
    }

    #[test]
    fn a_leg_without_unconfirmed_messages_strikes_nobody() {
        let mut strikes = Strikes::default();
        strikes.strike(4, 3);
        assert_eq!(strikes.of(4), 0);
    }
}
