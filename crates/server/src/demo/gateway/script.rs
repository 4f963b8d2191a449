//! What is done to the backends, and what the audience sees meanwhile.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::{sleep, timeout};

use super::{POOL, backends::Backends, crowd::Crowd};
use crate::{clock::Moment, failure::Failure, running::Running, terminal};

/// The faults in their order.
pub(super) struct Script<'s> {
    crowd: &'s Crowd,
    gateway: Option<&'s Running>,
    started: Moment,
}

impl<'s> Script<'s> {
    pub(super) fn new(crowd: &'s Crowd, gateway: Option<&'s Running>) -> Self {
        Self { crowd, gateway, started: Moment::now() }
    }

    /// Kills each backend, rolls each, and then kills all of them at once.
    pub(super) async fn play(&self, backends: &mut Backends) -> Result<(), Failure> {
        terminal::print_line("   time     sent  answered  dropped  what happens")?;
        self.tell("all clients are connected")?;
        sleep(BETWEEN).await;
        for index in 0..backends.count() {
            self.kill(backends, index).await?;
        }
        for index in 0..backends.count() {
            self.roll(backends, index).await?;
        }
        self.kill_all(backends).await?;
        self.tell("no more faults; waiting for the last answers")
    }

    async fn kill(&self, backends: &mut Backends, index: usize) -> Result<(), Failure> {
        let (name, sessions) = (index + 1, self.sessions(backends, index));
        let id = backends.process_id(index).unwrap_or_default();
        backends.kill(index).await?;
        self.tell(&format!("kill -9 {id}: backend {name} is gone{sessions}"))?;
        sleep(DOWN).await;
        backends.restart(index).await?;
        self.tell(&format!("backend {name} is back"))?;
        self.rest().await;
        Ok(())
    }

    async fn roll(&self, backends: &mut Backends, index: usize) -> Result<(), Failure> {
        let (name, sessions) = (index + 1, self.sessions(backends, index));
        self.tell(&format!("backend {name} is redeployed{sessions}: SIGTERM, then a new process"))?;
        backends.terminate(index).await?;
        backends.restart(index).await?;
        self.rest().await;
        Ok(())
    }

    async fn kill_all(&self, backends: &mut Backends) -> Result<(), Failure> {
        backends.kill_all().await?;
        self.tell("kill -9 of all backends at once: the clients have nobody to talk to")?;
        sleep(OUTAGE).await;
        for index in 0..backends.count() {
            backends.restart(index).await?;
        }
        self.tell("all backends are back")?;
        self.rest().await;
        Ok(())
    }

    /// A moment for the audience; and, behind a gateway, until as much is answered as was sent
    /// before: a busy machine takes longer to get over a fault, and the next is to be one of its
    /// own.
    async fn rest(&self) {
        let tally = self.crowd.tally();
        let sent = tally.sent.load(Ordering::Relaxed);
        sleep(BETWEEN).await;
        let recovered = async {
            while tally.answered.load(Ordering::Relaxed) < sent {
                sleep(LOOK_EVERY).await;
            }
        };
        if self.gateway.is_some() {
            // What is lost shows at the end.
            let _ = timeout(REST_MAX, recovered).await;
        }
    }

    /// How many sessions a backend has, where a gateway knows.
    fn sessions(&self, backends: &Backends, index: usize) -> String {
        let address = backends.addresses()[index].to_string();
        let pool = self.gateway.and_then(|gateway| gateway.node.pool(POOL));
        let listed = pool.map(|pool| pool.backends()).unwrap_or_default();
        let found = listed.iter().find(|backend| backend.url.to_string().contains(&address));
        let count = |sessions: u32| terminal::count(u64::from(sessions), "session");
        found.map(|found| format!(", with {}", count(found.sessions))).unwrap_or_default()
    }

    fn tell(&self, what: &str) -> Result<(), Failure> {
        let tally = self.crowd.tally();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        terminal::print_line(&format!(
            "{:>6.1}s {:>8} {:>9} {:>8}  {what}",
            self.started.elapsed().as_secs_f64(),
            count(&tally.sent),
            count(&tally.answered),
            count(&tally.dropped),
        ))
    }
}

const BETWEEN: Duration = Duration::from_millis(700);
/// How long the answers to what was sent before are waited for.
const REST_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const DOWN: Duration = Duration::from_millis(400);
/// How long no backend is there.
pub(super) const OUTAGE: Duration = Duration::from_millis(1500);
