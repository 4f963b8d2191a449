//! The instances: agents of this process, which count what they are told to do and to be.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use everwire_agent::{Agent, Debounce};
use tokio::time::sleep;

use super::{APP, SET, manager::Manager};
use crate::failure::Failure;

/// All instances.
pub(super) struct Crew {
    agents: Vec<Agent>,
    counts: Vec<Arc<Mutex<Counts>>>,
}

/// What one instance has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// How often each command was carried out, by its id.
    pub(super) commands: BTreeMap<String, u64>,
    /// How often each change of the set was told, as `key=value`.
    pub(super) changes: BTreeMap<String, u64>,
}

impl Crew {
    /// Starts so many instances.
    pub(super) async fn start(count: usize, manager: &Manager) -> Result<Self, Failure> {
        let mut crew = Self { agents: Vec::new(), counts: Vec::new() };
        for index in 0..count {
            let counts = Arc::<Mutex<Counts>>::default();
            let (of_commands, of_changes) = (Arc::clone(&counts), Arc::clone(&counts));
            let agent = Agent::builder(manager.url())
                .app(APP)
                .index(index)
                .id("demo")
                .label("zone", if index % 2 == 0 { "a" } else { "b" })
                .version(env!("CARGO_PKG_VERSION"))
                .watch(SET)
                .debounce(Debounce { quiet: Duration::ZERO, longest: Duration::ZERO })
                .on_change(move |change| {
                    let mut counts = locked(&of_changes);
                    for key in change.sets.iter().flat_map(|set| &set.keys) {
                        let value = change.values.get(key).map_or("", String::as_str);
                        *counts.changes.entry(format!("{key}={value}")).or_default() += 1;
                    }
                    async { Ok::<(), std::convert::Infallible>(()) }
                });
            let agent = COMMANDS.into_iter().fold(agent, |agent, name| {
                let counts = Arc::clone(&of_commands);
                agent.on_command(name, move |command| {
                    *locked(&counts).commands.entry(command.id).or_default() += 1;
                    // What a real one would do takes a while, not the same everywhere.
                    sleep(rand::random_range(WORK.0..WORK.1))
                })
            });
            crew.agents.push(agent.start().await.map_err(Failure::failed)?);
            crew.counts.push(counts);
        }
        Ok(crew)
    }

    pub(super) fn count(&self) -> usize {
        self.agents.len()
    }

    /// What each has done so far.
    pub(super) fn counts(&self) -> Vec<Counts> {
        self.counts.iter().map(|counts| locked(counts).clone()).collect()
    }

    /// How many have been told of a change.
    pub(super) fn told(&self, change: &str) -> usize {
        self.counts.iter().filter(|counts| locked(counts).changes.contains_key(change)).count()
    }
}

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What instances can be told to do, by hand too.
pub(super) const COMMANDS: [&str; 3] = ["refresh", "clear-cache", "rotate-logs"];

/// How long they work on it.
const WORK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));
