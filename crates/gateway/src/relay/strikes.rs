//! Which messages were there when backends died, and so may be the cause.
//!
//! Every complete, unconfirmed message on a leg that ends without a Close gets a strike. Messages
//! are confirmed in order, so an older message never has fewer strikes than a younger one, and two
//! numbers tell who has how many. From the second strike on a message is sent alone; what happens
//! then happens to the oldest message only.

use serde::{Deserialize, Serialize};

/// From this many strikes on a message is sent alone.
pub(super) const SUSPECT: u8 = 2;

/// The strikes of the messages that are unconfirmed; most pipes never see one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Strikes(Option<Box<Counts>>);

/// Who has how many.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Counts {
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
        let suspected = self.of(first) >= SUSPECT;
        let counts = self.0.get_or_insert_default();
        if suspected {
            counts.beyond = counts.beyond.saturating_add(1);
        }
        counts.twice = counts.twice.max(counts.once.min(written));
        counts.once = counts.once.max(written);
    }

    /// Messages up to `number` were confirmed; another takes the oldest one's place.
    pub(super) fn absolve(&mut self, number: u64) {
        if let Some(counts) = &mut self.0 {
            counts.beyond = 0;
        }
        self.0.take_if(|counts| counts.once <= number);
    }

    /// The strikes of the oldest unconfirmed message.
    pub(super) fn of(&self, first: u64) -> u8 {
        match &self.0 {
            Some(counts) if first <= counts.twice => SUSPECT.saturating_add(counts.beyond),
            Some(counts) => u8::from(first <= counts.once),
            None => 0,
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
        strikes.absolve(5);
        assert_eq!(strikes.of(6), 2);
        strikes.strike(7, 7);
        assert_eq!(strikes.of(7), 3);
        strikes.absolve(7);
        assert_eq!((strikes.of(8), strikes.of(10), strikes.of(13)), (2, 1, 0));
        strikes.absolve(12);
        assert!(strikes.0.is_none(), "who has none holds nothing");
    }

    #[test]
    fn a_leg_without_unconfirmed_messages_strikes_nobody() {
        let mut strikes = Strikes::default();
        strikes.strike(4, 3);
        assert_eq!(strikes.of(4), 0);
    }
}
