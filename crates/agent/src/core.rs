//! What the tasks of an agent share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    builder::Options,
    journal::Journal,
    sets::Sets,
    status::Status,
    store::{Store, StoreError},
};

/// Shared by the link, the commands, the changes, and the handles of the application.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: Options,
    /// `app:index:id`.
    pub(crate) name: String,
    store: Option<Arc<Store>>,
    /// The fleet's id, once one is known.
    cluster: Mutex<Option<String>>,
    sets: Mutex<Sets>,
    /// Why the manager refuses to show sets.
    refusals: Mutex<BTreeMap<String, String>>,
    pub(crate) journal: Journal,
    pub(crate) status: watch::Sender<Status>,
    /// The sets have changed.
    pub(crate) news: Notify,
    pub(crate) stop: CancellationToken,
}

impl Core {
    /// Reads what the store has.
    pub(crate) fn new(
        options: Options,
        name: String,
        store: Option<Store>,
    ) -> Result<Self, StoreError> {
        let mut sets = Sets::new(options.sets.clone());
        let (records, file) = match &store {
            Some(store) => {
                let (records, file) = store.commands()?;
                (records, Some(file))
            }
            None => Default::default(),
        };
        for set in options.sets.iter().filter(|_| store.is_some()) {
            let kept = store.as_ref().map(|store| store.snapshot(set)).transpose()?.flatten();
            kept.into_iter().for_each(|kept| sets.restore(kept));
        }
        let cluster = store.as_ref().map(Store::cluster).transpose()?.flatten();
        let first = Status::Away { why: "not connected yet".into(), attempts: 0 };
        Ok(Self {
            options,
            name,
            store: store.map(Arc::new),
            cluster: Mutex::new(cluster),
            sets: Mutex::new(sets),
            refusals: Mutex::default(),
            journal: Journal::new(records, file),
            status: watch::Sender::new(first),
            news: Notify::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Held for a moment only.
    pub(crate) fn sets(&self) -> MutexGuard<'_, Sets> {
        held(&self.sets)
    }

    /// Held for a moment only.
    pub(crate) fn refusals(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        held(&self.refusals)
    }

    /// Takes a manager for that of this agent, if it is the first or the same.
    ///
    /// # Errors
    /// In words, if it belongs to another fleet.
    pub(crate) async fn meet(&self, theirs: &str) -> Result<(), String> {
        let ours = held(&self.cluster).get_or_insert_with(|| theirs.to_owned()).clone();
        if ours == theirs {
            return self.keep_cluster(ours).await;
        }
        let what = match &self.store {
            Some(store) => format!("remove {}", store.cluster_file().display()),
            None => "start it anew".to_owned(),
        };
        Err(format!(
            "the manager belongs to the fleet {theirs}, and {} to the fleet {ours}: nothing of it is \
             taken. Is it the right address? To join the other fleet, {what}",
            self.name
        ))
    }

    /// Whether a command is of the fleet that this agent belongs to.
    pub(crate) fn is_ours(&self, cluster: &str) -> bool {
        held(&self.cluster).as_deref() == Some(cluster)
    }

    /// Keeps the state of all sets for a start without a manager.
    pub(crate) async fn keep_sets(&self) {
        let Some(store) = self.store.clone() else { return };
        let snapshots: Vec<_> = {
            let sets = self.sets();
            self.options.sets.iter().filter_map(|set| sets.snapshot(set)).collect()
        };
        let keep = move || snapshots.iter().try_for_each(|snapshot| store.set_snapshot(snapshot));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(keep).await {
            tracing::error!(%error, "the configuration cannot be kept for a start without a manager");
        }
    }

    async fn keep_cluster(&self, cluster: String) -> Result<(), String> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let keep = move || match store.cluster()? {
            Some(kept) if kept == cluster => Ok(()),
            _ => store.set_cluster(&cluster),
        };
        let kept: Result<Result<(), StoreError>, _> = tokio::task::spawn_blocking(keep).await;
        kept.unwrap_or(Ok(())).map_err(|error| error.to_string())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
