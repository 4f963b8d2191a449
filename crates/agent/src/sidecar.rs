//! Any program as an instance of a fleet: the agent beside it gives it its environment, tells it of
//! changes, and passes on what becomes of it.
//!
//! The program is started with the first state. Commands that an operator can give, as in Spring Cloud
//! Bus:
//!
//! | command | what is done |
//! |---|---|
//! | `refresh` | the action runs, whether anything has changed or not |
//! | `environment KEY=VALUE…` | sets values over those of the sets until the agent ends, then the action runs; `{"name", "value"}` does the same, and without a value leaves the key to the sets again |
//! | `restart` | the program is ended and started anew |
//! | `shutdown` | the program is ended, and then its agent |
//!
//! All others are refused.

mod override_of;

use std::{ffi::OsString, fmt, io, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use self::override_of::overrides;
use crate::{
    action::Action,
    agent::Agent,
    builder::AgentBuilder,
    environment::merge,
    handler::Command,
    sets::Change,
    status::{EndReason, Rejection, StartError, Status},
    supervise::{Child, Environment, Program, Supervisor},
    wire::Outcome,
};

/// A program, and the agent beside it.
pub struct Sidecar {
    agent: AgentBuilder,
    program: Program,
    action: Action,
    environment: Vec<(OsString, OsString)>,
    say: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Why a program was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// The agent does not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The agent has ended before there was anything to start the program with.
    #[error("{0}")]
    Agent(Arc<EndReason>),
    /// The manager does not get along with the agent, which has nothing to start the program with.
    #[error("{0}")]
    Rejected(Rejection),
    /// The system's: there is no listening to signals, or no waiting for the program.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What the handlers of changes and commands need.
#[derive(Clone)]
struct Hand {
    child: Child,
    action: Action,
    environment: Arc<[(OsString, OsString)]>,
    say: Arc<dyn Fn(&str) + Send + Sync>,
    /// The agent, once it has started and until it ends.
    agent: watch::Sender<Option<Agent>>,
    is_started: watch::Sender<bool>,
}

impl Sidecar {
    /// A program with this environment beneath its sets. `agent` must have no handlers; the sidecar says
    /// what people should know with `say`, a line at a time.
    pub fn new(
        agent: AgentBuilder,
        program: Program,
        action: Action,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        say: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let environment = environment.into_iter().collect();
        Self { agent, program, action, environment, say: Arc::new(say) }
    }

    /// Runs until the program has ended, and gives its exit code, or 128 and the number of the signal
    /// that ended it. To be awaited in the main thread; see [`Supervisor::run`].
    ///
    /// # Errors
    /// See [`SidecarError`].
    pub async fn run(self) -> Result<u8, SidecarError> {
        let (supervisor, child) = Supervisor::new(self.program);
        let hand = Hand {
            child,
            action: self.action,
            environment: self.environment.into(),
            say: self.say,
            agent: watch::Sender::new(None),
            is_started: watch::Sender::new(false),
        };
        let agent = hand.clone().handlers(self.agent).start().await?;
        hand.agent.send_replace(Some(agent.clone()));
        let ended = tokio::select! {
            code = supervisor.run() => code.map_err(SidecarError::from),
            error = hand.watch_over(&agent) => Err(error),
        };
        agent.settle(SETTLE).await;
        // The handlers hold it, and it holds them.
        hand.agent.send_replace(None);
        agent.stop().await;
        ended
    }
}

impl Hand {
    fn handlers(self, agent: AgentBuilder) -> AgentBuilder {
        let [change, refresh, environment, restart, shutdown] = [(); 5].map(|()| self.clone());
        agent
            .on_change(move |it| {
                let hand = change.clone();
                async move { hand.change(&it).await }
            })
            .on_command("refresh", move |_| {
                let hand = refresh.clone();
                async move { hand.refresh().await }
            })
            .on_command("environment", move |it: Command| {
                let hand = environment.clone();
                async move { hand.override_values(&it).await }
            })
            .on_command("restart", move |_| {
                let hand = restart.clone();
                async move { hand.restart().await }
            })
            .on_command("shutdown", move |_| {
                let child = shutdown.child.clone();
                async move { child.stop().await }
            })
    }

    async fn change(&self, change: &Change) -> Result<(), String> {
        let environment = self.environment_of(change.values.as_ref());
        let done = if *self.is_started.borrow() {
            self.action.perform(change, environment, &self.child).await
        } else {
            self.start(change, environment).await
        };
        if let Err(error) = &done {
            self.say(&error);
        }
        done
    }

    async fn start(&self, change: &Change, environment: Environment) -> Result<(), String> {
        if change.is_offline {
            self.say(&"no manager: starting with the configuration that was last known");
        }
        if matches!(self.action, Action::File(_)) {
            self.action.perform(change, environment.clone(), &self.child).await?;
        }
        self.child.start(environment).await?;
        self.is_started.send_replace(true);
        Ok(())
    }

    async fn refresh(&self) -> Result<(), String> {
        let agent = self.agent().await?;
        agent.refresh().await.map_err(|error| error.to_string())
    }

    async fn override_values(&self, command: &Command) -> Outcome {
        let overrides = match overrides(&command.args) {
            Ok(overrides) => overrides,
            Err(why) => return Outcome::refused(why),
        };
        let agent = match self.agent().await {
            Ok(agent) => agent,
            Err(why) => return Outcome::refused(why),
        };
        for (key, value) in overrides {
            agent.set_override(&key, value.as_deref());
        }
        agent.refresh().await.map_or_else(Outcome::failed, |()| Outcome::done())
    }

    async fn restart(&self) -> Result<(), String> {
        let agent = self.agent().await?;
        self.child.restart(self.environment_of(&agent.values())).await
    }

    async fn agent(&self) -> Result<Agent, String> {
        let mut agent = self.agent.subscribe();
        let agent = agent.wait_for(Option::is_some).await.ok().and_then(|agent| agent.clone());
        agent.ok_or_else(|| "the agent has ended".to_owned())
    }

    /// Says what people should know of the agent; gives why there will be nothing to start with.
    async fn watch_over(&self, agent: &Agent) -> SidecarError {
        let mut status = agent.status();
        let mut remind = interval(REMIND);
        remind.set_missed_tick_behavior(MissedTickBehavior::Delay);
        remind.tick().await;
        loop {
            let now = status.borrow_and_update().clone();
            let is_started = *self.is_started.borrow();
            match now {
                Status::StaysAway { why } if !is_started => return SidecarError::Rejected(why),
                Status::StaysAway { why } => self.say(&format!("{why}; trying again in a minute")),
                Status::Ended { why } if !is_started => return SidecarError::Agent(why),
                Status::Ended { why } => self.outlive(&why).await,
                Status::Away { .. } | Status::Joined { .. } => {}
            }
            tokio::select! {
                changed = status.changed() => if changed.is_err() { std::future::pending().await },
                _ = remind.tick() => self.remind(agent),
            }
        }
    }

    /// What becomes of a program whose agent has ended before it.
    async fn outlive(&self, why: &EndReason) {
        self.say(why);
        if matches!(why, EndReason::Rejected(_)) {
            // It has ended if this fails, which is what is wanted.
            let _ = self.child.stop().await;
        }
        std::future::pending().await
    }

    fn remind(&self, agent: &Agent) {
        if *self.is_started.borrow() {
            return;
        }
        let status = agent.status();
        let why = match &*status.borrow() {
            Status::Away { why, .. } => why.to_string(),
            _ => "the manager has not told them".to_owned(),
        };
        for (set, refusal) in agent.missing() {
            let why = refusal.unwrap_or_else(|| why.clone());
            self.say(&format!("waiting for the set {set}: {why}"));
        }
    }

    fn environment_of(&self, values: &std::collections::BTreeMap<String, String>) -> Environment {
        let (environment, unfit) = merge(self.environment.iter().cloned(), values);
        for key in unfit {
            self.say(&format!("{key:?} is left out: no environment can have it"));
        }
        environment
    }

    fn say(&self, what: &impl fmt::Display) {
        (self.say)(&what.to_string());
    }
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("program", &self.program).finish_non_exhaustive()
    }
}

/// How long the last outcomes have to reach the manager once the program has ended.
const SETTLE: Duration = Duration::from_secs(2);
/// How often people are told what is waited for.
const REMIND: Duration = Duration::from_secs(10);
