//! The active check: asks each backend of a pool for a page, over and over.
//!
//! It decides only where new legs are dialled. A backend that is down keeps the sessions it has,
//! and if all are down, all are tried.

use std::{collections::HashMap, time::Duration};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    clock,
    dial::ask_status,
    pool::{BackendId, Health, Pool, config::HealthCheck},
};

/// Checks the backends of `pool` until it is dropped; ends at once if the pool has no check.
///
/// The caller owns the task: one for each pool, on any runtime. Two failures in a row take a
/// backend down, one success brings it up.
pub async fn watch(pool: Pool) {
    let Some(check) = pool.health_check().cloned() else { return };
    let mut turn = interval(check.interval.max(INTERVAL_MIN));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked: HashMap<BackendId, Record> = HashMap::new();
    let mut answers = JoinSet::new();
    loop {
        // An answer that is there is noted before the next questions are asked.
        tokio::select! {
            biased;
            Some(answer) = answers.join_next() => {
                if let Ok((id, up)) = answer {
                    note(&pool, &mut asked, id, up);
                }
            }
            _ = turn.tick() => ask_all(&pool, &check, &mut asked, &mut answers),
        }
    }
}

/// What is known of one backend between questions.
#[derive(Debug, Default)]
struct Record {
    /// Whether it has not answered the last question yet.
    waiting: bool,
    /// Failures in a row.
    failures: u32,
}

fn ask_all(
    pool: &Pool,
    check: &HealthCheck,
    asked: &mut HashMap<BackendId, Record>,
    answers: &mut JoinSet<(BackendId, bool)>,
) {
    let members: Vec<BackendId> = pool.backends().iter().map(|backend| backend.id).collect();
    asked.retain(|id, _| members.contains(id));
    for id in members {
        let record = asked.entry(id).or_default();
        let Some(endpoint) = pool.endpoint(id).filter(|_| !record.waiting) else { continue };
        record.waiting = true;
        let HealthCheck { path, interval } = check.clone();
        let interval = interval.max(INTERVAL_MIN);
        // Spread over a tenth of the interval, so that a machine is not asked about all at once.
        let delay = interval.mul_f64(f64::from(rand::random::<u16>()) / f64::from(u16::MAX) / 10.0);
        answers.spawn(async move {
            tokio::time::sleep(delay).await;
            let deadline = clock::instant_at(clock::now() + interval);
            let status = ask_status(&endpoint, &path, deadline).await;
            (id, matches!(status, Ok(200..300)))
        });
    }
}

fn note(pool: &Pool, asked: &mut HashMap<BackendId, Record>, id: BackendId, up: bool) {
    let Some(record) = asked.get_mut(&id) else { return };
    record.waiting = false;
    record.failures = if up { 0 } else { record.failures.saturating_add(1) };
    match record.failures {
        0 => pool.set_health(id, Health::Up),
        1 => {}
        _ => pool.set_health(id, Health::Down),
    }
}

/// The shortest time between two questions: a check must not become a load.
const INTERVAL_MIN: Duration = Duration::from_millis(50);
