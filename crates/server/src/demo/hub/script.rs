//! What is done to the sockets, and what the audience sees meanwhile.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;

use super::{crowd::Crowd, link::Link};
use crate::{clock::Moment, failure::Failure, terminal};

/// The faults in their order.
pub(super) struct Script<'s> {
    crowd: &'s Crowd,
    link: &'s Link,
    started: Moment,
}

impl<'s> Script<'s> {
    pub(super) fn new(crowd: &'s Crowd, link: &'s Link) -> Self {
        Self { crowd, link, started: Moment::now() }
    }

    /// Cuts all sockets after each of some silences, then random ones for a while.
    pub(super) async fn play(&self) -> Result<(), Failure> {
        terminal::print_line("   time     said     heard  sessions lost  what happens")?;
        self.tell("all clients are in their rooms")?;
        sleep(BETWEEN).await;
        for silence in SILENCES {
            self.cut_all(silence).await?;
        }
        self.storm().await?;
        self.cut_all(BETWEEN).await?;
        self.tell("no more faults; waiting for the last messages")
    }

    async fn cut_all(&self, silence: Duration) -> Result<(), Failure> {
        let struck = self.link.strike(1.0);
        sleep(silence).await;
        let count = struck.cut();
        let millis = silence.as_millis();
        self.tell(&format!("{count} sockets are cut, after {millis} ms in which nothing arrived"))?;
        sleep(BETWEEN).await;
        Ok(())
    }

    async fn storm(&self) -> Result<(), Failure> {
        self.tell("a bad network: a random tenth of the sockets breaks, again and again")?;
        let mut count = 0;
        for _ in 0..GUSTS {
            let struck = self.link.strike(0.1);
            sleep(GUST).await;
            count += struck.cut();
        }
        self.tell(&format!("the storm is over, which cut {count} sockets"))?;
        sleep(BETWEEN).await;
        Ok(())
    }

    fn tell(&self, what: &str) -> Result<(), Failure> {
        let counts = self.crowd.counts();
        terminal::print_line(&format!(
            "{:>6.1}s {:>8} {:>9} {:>14}  {what}",
            self.started.elapsed().as_secs_f64(),
            counts.sent(),
            counts.heard.load(Ordering::Relaxed),
            counts.lost_sessions.load(Ordering::Relaxed),
        ))
    }
}

const BETWEEN: Duration = Duration::from_millis(700);
const SILENCES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];
const GUSTS: usize = 30;
const GUST: Duration = Duration::from_millis(100);
