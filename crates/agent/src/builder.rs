//! How an agent is described and begun.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rand::RngExt;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    agent::Agent,
    apply::Debounce,
    changes, commands,
    core::Core,
    handler::{Command, Commands, OnChange},
    link,
    sets::Change,
    status::{OnRejection, StartError},
    store::Store,
    wire::IntoOutcome,
};

/// What an agent is to be like.
#[derive(Debug)]
pub struct AgentBuilder {
    options: Options,
    app: String,
    index: String,
    id: Option<String>,
    state_dir: Option<PathBuf>,
    commands: Commands,
    on_change: OnChange,
}

/// What the tasks need to know.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) version: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) sets: Vec<String>,
    pub(crate) debounce: Debounce,
    pub(crate) offline: Offline,
    pub(crate) on_rejection: OnRejection,
}

/// What is applied first if the manager does not tell in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offline {
    /// How long the manager has to tell all sets. Default: 3 s.
    pub patience: Duration,
    /// Whether to begin without sets that the state directory does not have either, as if they were
    /// empty. Default: no, the manager is waited for.
    pub without_state: bool,
}

impl Default for Offline {
    fn default() -> Self {
        Self { patience: Duration::from_secs(3), without_state: false }
    }
}

impl Agent {
    /// Describes an instance of the fleet whose manager is at this address, like
    /// `http://host:port/fleet`; also `https`, `ws`, `wss`.
    pub fn builder(url: impl Into<String>) -> AgentBuilder {
        let options = Options {
            url: url.into(),
            token: None,
            roots: Vec::new(),
            version: None,
            labels: Vec::new(),
            sets: Vec::new(),
            debounce: Debounce::default(),
            offline: Offline::default(),
            on_rejection: OnRejection::default(),
        };
        AgentBuilder {
            options,
            app: String::new(),
            index: "0".to_owned(),
            id: None,
            state_dir: None,
            commands: Commands::default(),
            on_change: OnChange::default(),
        }
    }
}

impl AgentBuilder {
    /// The application that this is an instance of. There is no default.
    #[must_use]
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = app.into();
        self
    }

    /// Which of the copies of the application this is. Default: 0.
    #[must_use]
    pub fn index(mut self, index: impl fmt::Display) -> Self {
        self.index = index.to_string();
        self
    }

    /// What tells this copy from one that it replaces. Default: made up, and kept in the
    /// [state directory](Self::state_dir) if there is one.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// A label by which commands can choose instances.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.labels.push((name.into(), value.into()));
        self
    }

    /// The version of the application, which managers show.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    /// What the manager knows this instance by, where it asks for tokens.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.token = Some(token.into());
        self
    }

    /// Trusts managers that these certificates vouch for, beside those that the system's do; in PEM.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options.roots.push(pem.into());
        self
    }

    /// Watches a set. Of several, the values of later ones win.
    #[must_use]
    pub fn watch(mut self, set: impl Into<String>) -> Self {
        let set = set.into();
        if !self.options.sets.contains(&set) {
            self.options.sets.push(set);
        }
        self
    }

    /// What to do with the first state and whenever another is to be applied. Never runs twice at a
    /// time; changes meanwhile are told together, the latest state alone.
    ///
    /// One that fails or panics harms nothing else; it is called again after 5 s, then 10, 20 and so
    /// on up to 5 minutes, and with the next change.
    #[must_use]
    pub fn on_change<F, T, E>(mut self, handler: F) -> Self
    where
        F: Fn(Change) -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.on_change = OnChange::new(handler);
        self
    }

    /// What to do about commands of this name. Commands are carried out one at a time, in the order in
    /// which the manager accepted them, each once; those of other names are refused.
    ///
    /// A handler that fails or panics makes its command fail and harms nothing else. One that takes
    /// until the command's deadline is dropped.
    #[must_use]
    pub fn on_command<F, T>(mut self, name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Command) -> T + Send + Sync + 'static,
        T: Future<Output: IntoOutcome> + Send + 'static,
    {
        self.commands.add(name.into(), handler);
        self
    }

    /// A directory of this instance's own, for what outlives its process: which commands it carried
    /// out, the last state of its sets (secrets in clear, for the owner's eyes alone), whose fleet it
    /// belongs to. Without one a command that is given again to another process of the same name is
    /// carried out again, and no start is possible without the manager.
    #[must_use]
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(directory.into());
        self
    }

    /// What is applied first if the manager does not tell in time. Default: after 3 s what the state
    /// directory has.
    #[must_use]
    pub const fn offline(mut self, offline: Offline) -> Self {
        self.options.offline = offline;
        self
    }

    /// How changes are collected. Default: 300 ms without any, at most 5 s.
    #[must_use]
    pub const fn debounce(mut self, debounce: Debounce) -> Self {
        self.options.debounce = debounce;
        self
    }

    /// What to do when another process takes the name of this one, or the manager is of another
    /// fleet. Default: stay away for at least a minute.
    #[must_use]
    pub const fn on_rejection(mut self, on_rejection: OnRejection) -> Self {
        self.options.on_rejection = on_rejection;
        self
    }

    /// Starts. Does not wait for the manager, which is looked for as long as the agent lives. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<Agent, StartError> {
        if self.app.is_empty() {
            return Err(StartError::NoApp);
        }
        let Self { options, app, index, id, state_dir, commands, on_change } = self;
        let fresh = format!("{:016x}", rand::rng().random::<u64>());
        let open = move || {
            let store = state_dir.map(|directory| Store::open(&directory)).transpose()?;
            let name = match &store {
                Some(store) => store.instance([&app, &index], id.as_deref(), &fresh)?,
                None => format!("{app}:{index}:{}", id.as_deref().unwrap_or(&fresh)),
            };
            Core::new(options, name, store)
        };
        let opened = tokio::task::spawn_blocking(open).await.map_err(|_| StartError::NoRuntime)?;
        let core = Arc::new(opened?);
        let (queue, queued) = mpsc::channel(commands::QUEUE_MAX);
        let (demand, demands) = mpsc::channel(changes::DEMANDS_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(commands::run(core.clone(), commands.clone(), queued));
        tasks.spawn(changes::run(core.clone(), on_change, demands));
        tasks.spawn(link::run(core.clone(), commands, queue));
        Ok(Agent::new(core, demand, tasks))
    }
}
