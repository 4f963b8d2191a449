//! How many messages are due by now.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::scene::Scene;
use crate::clock;

/// A steady pace, which begins when it is made.
pub(super) struct Pace {
    began: std::time::Instant,
    rate: u64,
    said: u64,
    ticks: Interval,
}

impl Pace {
    /// So many a second.
    pub(super) fn new(rate: u64) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { began: clock::now(), rate, said: 0, ticks }
    }

    /// Waits until something is due, and says how many messages. After a pause of the machine or a
    /// silence of the play it does not catch up with everything at once.
    pub(super) async fn due(&mut self, scene: &Scene) -> u64 {
        loop {
            self.ticks.tick().await;
            let due = self.began.elapsed().as_micros() as u64 * self.rate / 1_000_000;
            if scene.is_quiet() {
                self.said = due;
            }
            let more = (due - self.said).min(self.rate / 10 + 1);
            self.said += more;
            if more > 0 {
                return more;
            }
        }
    }
}

/// How often it looks.
const TICK: Duration = Duration::from_millis(2);
