//! How much a client says in a given time: a bucket of tokens, one for each message. Pure.

use std::num::NonZeroU32;

use everwire_proto::time::Time;

/// What a client may still say at once.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Thousandths of messages, so that what a millisecond adds is a whole number.
    left: u64,
    filled: Time,
}

/// A client says more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast;

impl Rate {
    /// A client that has said nothing.
    pub(crate) const fn new(now: Time, per_second: Option<NonZeroU32>) -> Self {
        Self { left: full(per_second), filled: now }
    }

    /// Takes note of one message; without a number per second any may be said.
    pub(crate) fn spend(
        &mut self,
        now: Time,
        per_second: Option<NonZeroU32>,
    ) -> Result<(), TooFast> {
        let Some(rate) = per_second else { return Ok(()) };
        if now > self.filled {
            let passed = u64::try_from(now.saturating_since(self.filled).as_millis());
            let gained = passed.unwrap_or(u64::MAX).saturating_mul(u64::from(rate.get()));
            self.left = self.left.saturating_add(gained).min(full(per_second));
            self.filled = now;
        }
        self.left = self.left.checked_sub(MESSAGE).ok_or(TooFast)?;
        Ok(())
    }
}

/// What a client may say at once that was silent before.
const fn full(per_second: Option<NonZeroU32>) -> u64 {
    match per_second {
        Some(rate) => rate.get() as u64 * BURST_SECONDS * MESSAGE,
        None => 0,
    }
}

/// Seconds over which the rate is looked at: a stream that is uploaded at once, or what a client has
/// kept for a session that it resumes, is no flood.
const BURST_SECONDS: u64 = 10;

/// One message, in the unit that is counted in.
const MESSAGE: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: Option<NonZeroU32> = NonZeroU32::new(3);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    /// How many messages in a row may be said.
    fn burst(rate: &mut Rate, now: Time) -> usize {
        (0..1000).take_while(|_| rate.spend(now, PER_SECOND).is_ok()).count()
    }

    #[test]
    fn attack_f13_ten_seconds_worth_at_once_and_no_more_than_the_rate_after_that() {
        let mut rate = Rate::new(at(0), PER_SECOND);
        assert_eq!(burst(&mut rate, at(0)), 30);
        assert_eq!(burst(&mut rate, at(333)), 0);
        assert_eq!(burst(&mut rate, at(334)), 1);
        assert_eq!(burst(&mut rate, at(1334)), 3);
        assert_eq!(burst(&mut rate, at(1000)), 0, "time does not go back");
        assert_eq!(burst(&mut rate, at(1_000_000)), 30);
    }

    #[test]
    fn fractions_of_a_message_add_up() {
        let mut rate = Rate::new(at(0), PER_SECOND);
        burst(&mut rate, at(0));
        let said = (1..=10_000).filter(|now| rate.spend(at(*now), PER_SECOND).is_ok()).count();
        assert_eq!(said, 30);
    }

    #[test]
    fn without_a_rate_anything_may_be_said() {
        let mut rate = Rate::new(at(0), None);
        assert!((0..1000).all(|_| rate.spend(at(0), None).is_ok()));
    }
}
