//! When to try again to reach a manager. Decides, and never waits itself.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The wait before the next attempt, `failed` of them having failed for `away` by now.
///
/// Everything up to twice the middle is as likely, so that the agents of a manager that went away,
/// which all lost it in the same moment, come back one by one.
pub(crate) fn delay(failed: u32, away: Duration, random: &mut impl Rng) -> Duration {
    let cap = if away < FIRST { CAP_AT_FIRST } else { CAP };
    let most = BEGIN.saturating_mul(1 << failed.min(DOUBLINGS_MAX)).min(cap);
    let least = if failed == 0 { 0.0 } else { 0.5 };
    most.mul_f64(random.random_range(least..1.0))
}

/// How long to stay away from a manager that prefers another instance of this name, or that is not
/// the one of this agent: long enough that two who fight for a name do not disturb it.
pub(crate) fn stay_away(random: &mut impl Rng) -> Duration {
    STAY_AWAY.mul_f64(random.random_range(1.0..1.5))
}

const BEGIN: Duration = Duration::from_secs(1);
/// While a manager that restarts is likely to be back.
const FIRST: Duration = Duration::from_secs(60);
const CAP_AT_FIRST: Duration = Duration::from_secs(5);
const CAP: Duration = Duration::from_secs(30);
const DOUBLINGS_MAX: u32 = 6;
const STAY_AWAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn a_manager_is_looked_for_within_5_s_at_first_and_30_s_later() {
        let mut random = SmallRng::seed_from_u64(1);
        let (soon, late) = (Duration::from_secs(59), Duration::from_secs(60));
        for failed in 3..100 {
            let wait = delay(failed, soon, &mut random).as_secs_f64();
            assert!((2.5..=5.0).contains(&wait), "{failed}: {wait}");
            let wait = delay(failed.max(5), late, &mut random).as_secs_f64();
            assert!((15.0..=30.0).contains(&wait), "{failed}: {wait}");
        }
        assert!((0..100).all(|_| stay_away(&mut random) >= Duration::from_secs(60)));
    }

    #[test]
    fn pred_m9_agents_that_lose_a_manager_together_do_not_return_together() {
        let mut random = SmallRng::seed_from_u64(2);
        // Ten thousand agents in the first tenths of seconds after a manager went away.
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let wait = delay(0, Duration::ZERO, &mut random);
            tenths[(wait.as_millis() / 100) as usize] += 1;
        }
        assert!(tenths.iter().all(|agents| (800..1200).contains(agents)), "{tenths:?}");
    }
}
