//! The handle by which an application uses its agent.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    changes::Demand,
    core::Core,
    sets::Completeness,
    status::{EndReason, Status},
};

/// An instance of a fleet. Clones are the same instance; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Agent {
    core: Arc<Core>,
    demand: mpsc::Sender<Demand>,
    _tasks: Arc<JoinSet<()>>,
}

/// Why a state was not applied that somebody asked to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The handler of changes failed, or panicked.
    #[error("{0}")]
    Failed(String),
    /// The agent has ended.
    #[error("the agent has ended")]
    Ended,
}

impl Agent {
    pub(crate) fn new(core: Arc<Core>, demand: mpsc::Sender<Demand>, tasks: JoinSet<()>) -> Self {
        Self { core, demand, _tasks: Arc::new(tasks) }
    }

    /// The name of the instance, `app:index:id`.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Where the agent stands, now and whenever that changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.core.status.subscribe()
    }

    /// All values as they are known: of all sets, later ones winning, and overrides over them. They may
    /// not have been applied yet.
    pub fn values(&self) -> BTreeMap<String, String> {
        self.core.sets().values()
    }

    /// The version of each set that is known.
    pub fn versions(&self) -> BTreeMap<String, u64> {
        self.core.sets().versions()
    }

    /// The sets that nothing is known of, and what the manager said if it refuses to show them.
    pub fn missing(&self) -> BTreeMap<String, Option<String>> {
        let versions = self.versions();
        let refusals = self.core.refusals();
        let missing = self.core.options.sets.iter().filter(|set| !versions.contains_key(*set));
        missing.map(|set| (set.clone(), refusals.get(set).cloned())).collect()
    }

    /// Whether the manager has told all sets since this agent started.
    pub fn is_up_to_date(&self) -> bool {
        self.core.sets().is_complete(Completeness::Manager)
    }

    /// Sets a value over those of all sets, or with `None` leaves the key to the sets again, until the
    /// agent ends. Applied like a change.
    pub fn set_override(&self, key: &str, value: Option<&str>) {
        let value = value.map(|value| Some(value.to_owned()));
        self.core.sets().handle_override(key, value);
        self.core.news.notify_one();
    }

    /// Has the state applied, whether it has changed or not, and waits until it is.
    ///
    /// # Errors
    /// See [`RefreshError`].
    pub async fn refresh(&self) -> Result<(), RefreshError> {
        let (done, is_done) = oneshot::channel();
        self.demand.send(Demand(done)).await.map_err(|_| RefreshError::Ended)?;
        is_done.await.map_err(|_| RefreshError::Ended)?.map_err(RefreshError::Failed)
    }

    /// Waits until every command that was given has come to its end and the manager knows it, but no
    /// longer than `patience`.
    pub async fn settle(&self, patience: Duration) {
        // Who has no time left has been told enough.
        let _ = tokio::time::timeout(patience, self.core.journal.settled()).await;
    }

    /// Says goodbye to the manager, at most 5 s long, and ends.
    pub async fn stop(&self) {
        self.core.stop.cancel();
        self.ended().await;
    }

    /// Waits until the agent has ended, and tells why.
    pub async fn ended(&self) -> Arc<EndReason> {
        let mut status = self.core.status.subscribe();
        let ended = status.wait_for(|status| matches!(status, Status::Ended { .. })).await;
        match ended.as_deref() {
            Ok(Status::Ended { why }) => why.clone(),
            _ => Arc::new(EndReason::Stopped),
        }
    }
}
