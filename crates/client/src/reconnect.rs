//! When to try again after a connection is lost. Decides, and never waits itself.

use std::time::Duration;

use rand::{Rng, RngExt};

/// How often and how soon a lost connection is replaced by a new one.
///
/// It is asked after a loss, never after the first connection has failed: that is the business of
/// whoever called [`connect`](crate::ClientBuilder::connect).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReconnectPolicy {
    /// Not at all: the first loss closes the connection.
    Never,
    /// After each of these waits, each longer by up to a tenth at random, then no more.
    Delays(Vec<Duration>),
    /// For ever: after a wait between half of `first` and all of it, and each time twice as long,
    /// up to `longest`. The chance keeps the clients of a server that restarts from returning in
    /// the same moment.
    Unlimited {
        /// The first wait at most.
        first: Duration,
        /// Any wait at most.
        longest: Duration,
    },
}

impl Default for ReconnectPolicy {
    /// At once, after 2, 10 and 30 seconds, then no more, as the official clients do.
    fn default() -> Self {
        Self::Delays([0, 2, 10, 30].map(Duration::from_secs).into())
    }
}

impl ReconnectPolicy {
    /// Tries for ever, beginning with a second and never waiting longer than half a minute.
    pub const fn unlimited() -> Self {
        Self::Unlimited { first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }

    /// The wait before another attempt, `failed` of them having failed; `None` to give up.
    pub(crate) fn delay(&self, failed: u32, random: &mut impl Rng) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Delays(delays) => {
                let delay = delays.get(failed as usize)?;
                Some(delay.mul_f64(random.random_range(1.0..1.1)))
            }
            Self::Unlimited { first, longest } => {
                let most = first.saturating_mul(1 << failed.min(DOUBLINGS_MAX)).min(*longest);
                Some(most.mul_f64(random.random_range(0.5..1.0)))
            }
        }
    }
}

/// A millisecond doubled this often is more than an hour.
const DOUBLINGS_MAX: u32 = 22;

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn delays(policy: &ReconnectPolicy, count: u32) -> Vec<Option<u64>> {
        let mut random = SmallRng::seed_from_u64(7);
        let seconds = |failed| Some(policy.delay(failed, &mut random)?.as_secs());
        (0..count).map(seconds).collect()
    }

    #[test]
    fn the_default_is_that_of_the_official_clients() {
        let seconds = delays(&ReconnectPolicy::default(), 5);
        assert_eq!(seconds[..2], [Some(0), Some(2)]);
        assert!(matches!(seconds[2..], [Some(10), Some(30..33), None]), "{seconds:?}");
        assert_eq!(delays(&ReconnectPolicy::Never, 1), [None]);
    }

    #[test]
    fn unlimited_attempts_double_their_waits_up_to_the_longest() {
        let policy = ReconnectPolicy::Unlimited {
            first: Duration::from_secs(100),
            longest: Duration::from_secs(1000),
        };
        for (failed, seconds) in delays(&policy, 40).into_iter().enumerate() {
            let most = (100_u64 << failed.min(10)).min(1000);
            let seconds = seconds.unwrap();
            assert!((most / 2..most).contains(&seconds), "{failed}: {seconds}");
        }
    }
}
