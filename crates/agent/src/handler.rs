//! What an application does about commands and changes: closures, of which a failure stays their own.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use serde_json::Value;

use crate::{
    sets::Change,
    wire::{IntoOutcome, Outcome},
};

/// A command that is to be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its id, the same however often it is given.
    pub id: String,
    /// What is to be done.
    pub name: String,
    /// With what: as a rule a list, or null.
    pub args: Value,
    /// Wall time in milliseconds since 1970 after which nobody waits for the outcome.
    pub deadline: Option<u64>,
}

/// Closures by the names of commands.
#[derive(Clone, Default)]
pub(crate) struct Commands(HashMap<String, Arc<dyn Fn(Command) -> Doing<Outcome> + Send + Sync>>);

/// What is done when the configuration changes.
#[derive(Clone)]
pub(crate) struct OnChange(Arc<dyn Fn(Change) -> Doing<Result<(), String>> + Send + Sync>);

/// A handler at work.
pub(crate) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Commands {
    pub(crate) fn add<F, T>(&mut self, name: String, handler: F)
    where
        F: Fn(Command) -> T + Send + Sync + 'static,
        T: Future<Output: IntoOutcome> + Send + 'static,
    {
        let erased = move |command| {
            let doing = handler(command);
            Box::pin(async move { doing.await.into_outcome() }) as Doing<Outcome>
        };
        self.0.insert(name, Arc::new(erased));
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Begins with a command, if it is known; what panics does so within the future.
    pub(crate) fn begin(&self, command: Command) -> Option<Doing<Outcome>> {
        let handler = Arc::clone(self.0.get(&command.name)?);
        Some(Box::pin(async move { handler(command).await }))
    }
}

impl OnChange {
    pub(crate) fn new<F, T, E>(handler: F) -> Self
    where
        F: Fn(Change) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        Self(Arc::new(move |change| {
            let doing = handler(change);
            Box::pin(async move { doing.await.map_err(|error| error.to_string()) })
        }))
    }

    pub(crate) fn begin(&self, change: Change) -> Doing<Result<(), String>> {
        let handler = Arc::clone(&self.0);
        Box::pin(async move { handler(change).await })
    }
}

impl Default for OnChange {
    fn default() -> Self {
        Self::new(|_| async { Ok::<_, String>(()) })
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for OnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnChange(..)")
    }
}
