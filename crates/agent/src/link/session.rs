//! One connection in use: from the manager's welcome on, sets are watched, commands taken, outcomes
//! reported.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use everwire_client::{Connection, InvokeError};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
};

use super::{Ended, said::Said};
use crate::{
    clock,
    commands::{Queued, unknown},
    core::Core,
    handler::{Command, Commands},
    record::{Note, Verdict},
    sets::Heard,
    status::{Rejection, Status},
    wire::{Order, Outcome, PENDING, Welcome, cursor},
};

/// A connection and what is under way on it.
pub(super) struct Session<'a> {
    core: &'a Arc<Core>,
    commands: &'a Commands,
    queue: &'a mpsc::Sender<Queued>,
    connection: Connection,
    is_welcome: bool,
    /// The sets that the manager is being asked for.
    asked: BTreeSet<String>,
    /// Questions that wait for the manager's answer: one for each set, and one report.
    questions: JoinSet<Answered>,
    is_reporting: bool,
}

/// A question that the manager has answered, or cannot.
enum Answered {
    Watch(String),
    Report(String, Result<(), InvokeError>),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        commands: &'a Commands,
        queue: &'a mpsc::Sender<Queued>,
        connection: Connection,
    ) -> Self {
        Self {
            core,
            commands,
            queue,
            connection,
            is_welcome: false,
            asked: BTreeSet::new(),
            questions: JoinSet::new(),
            is_reporting: false,
        }
    }

    /// Uses the connection until the manager turns out to be none that this agent gets along with.
    /// That it is lost is for others to see.
    pub(super) async fn run(mut self, mut said: mpsc::Receiver<Said>) -> Ended {
        let mut outcomes = self.core.journal.changes();
        let late = clock::now() + WELCOME_TIMEOUT;
        loop {
            self.report();
            let late = (!self.is_welcome).then_some(late);
            // What the manager said first counts first: its welcome comes before all else.
            let heard = tokio::select! {
                Some(said) = said.recv() => self.hear(said).await,
                Some(Ok(answered)) = self.questions.join_next() => self.answered(answered).await,
                Ok(()) = outcomes.changed() => Ok(()),
                () = clock::until(late) => Err(Ended::Away(NO_WELCOME.to_owned())),
            };
            if let Err(ended) = heard {
                return ended;
            }
        }
    }

    async fn hear(&mut self, said: Said) -> Result<(), Ended> {
        match said {
            Said::Welcome(welcome) => return self.welcome(welcome).await,
            Said::Order(order, answer) => {
                // A manager that is gone gives the command again.
                let _ = answer.send(self.order(order).await);
            }
            _ if !self.is_welcome => tracing::warn!("the manager speaks before its welcome"),
            Said::Gap(gap) => self.core.sets().handle_gap(&gap.set),
            Said::Snapshot(snapshot) => {
                let heard = self.core.sets().handle_snapshot(snapshot);
                self.heard(heard, "");
            }
            Said::Changed(changed) => {
                let set = changed.set.clone();
                let heard = self.core.sets().handle_changed(changed);
                self.heard(heard, &set);
            }
        }
        Ok(())
    }

    async fn welcome(&mut self, welcome: Welcome) -> Result<(), Ended> {
        if let Err(why) = self.core.meet(&welcome.cluster).await {
            return Err(Ended::Rejected(Rejection::OtherFleet(why.into())));
        }
        self.is_welcome = true;
        tracing::info!(instance = %welcome.instance, "joined the fleet");
        let status = Status::Joined { instance: welcome.instance.into() };
        self.core.status.send_replace(status);
        for (set, known) in self.core.sets().cursors() {
            self.watch(set, known.map(|(epoch, version)| cursor(&epoch, version)));
        }
        Ok(())
    }

    fn heard(&mut self, heard: Heard, set: &str) {
        match heard {
            Heard::News => self.core.news.notify_one(),
            Heard::Nothing => {}
            Heard::Unfit => {
                tracing::info!(%set, "a change does not fit on what is known: asked for all");
                self.watch(set.to_owned(), None);
            }
        }
    }

    /// What the manager is told of a command at once: what became of it, or that this comes later.
    async fn order(&mut self, order: Order) -> Value {
        let is_ours = order.cluster.as_deref().is_none_or(|cluster| self.core.is_ours(cluster));
        if !self.is_welcome || !is_ours {
            return json!(Outcome::refused(
                "it comes from another fleet than that of this instance"
            ));
        }
        if !self.commands.has(&order.name) {
            return json!(unknown());
        }
        match self.core.journal.handle_command(&order.id) {
            Verdict::Underway => json!(PENDING),
            Verdict::Answer(outcome) => json!(outcome),
            Verdict::Act => self.queue(order).await,
        }
    }

    async fn queue(&self, order: Order) -> Value {
        let Order { id, name, args, deadline, .. } = order;
        let queued = Queued::new(Command { id: id.clone(), name, args, deadline });
        let full = match self.queue.try_send(queued) {
            Ok(()) => return json!(PENDING),
            Err(TrySendError::Full(_)) => "too many commands wait already",
            Err(TrySendError::Closed(_)) => "the agent is about to end",
        };
        let outcome = Outcome::refused(full);
        if let Err(error) = self.core.journal.note(Note::Done(id, outcome.clone())).await {
            tracing::warn!(%error, "that a command was refused cannot be written down");
        }
        json!(outcome)
    }

    /// Asks for a set from this cursor on. What the manager refuses is asked for again later: rights
    /// may be given.
    fn watch(&mut self, set: String, cursor: Option<String>) {
        if !self.asked.insert(set.clone()) {
            return;
        }
        let (core, connection) = (self.core.clone(), self.connection.clone());
        self.questions.spawn(async move {
            loop {
                match connection.invoke::<IgnoredAny>("Watch", &(&set, &cursor)).await {
                    Err(InvokeError::Server(why)) => {
                        tracing::warn!(%set, %why, "the manager does not show a set");
                        core.refusals().insert(set.clone(), why.into());
                    }
                    Ok(_) => {
                        core.refusals().remove(&set);
                        return Answered::Watch(set);
                    }
                    Err(_) => return Answered::Watch(set),
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        });
    }

    /// Reports the oldest outcome that the manager may not know, one at a time.
    fn report(&mut self) {
        if self.is_reporting || !self.is_welcome {
            return;
        }
        let Some((id, outcome)) = self.core.journal.next_untold() else { return };
        self.is_reporting = true;
        let connection = self.connection.clone();
        self.questions.spawn(async move {
            let arguments = (&id, outcome.kind, &outcome.detail);
            let told = connection.invoke::<IgnoredAny>("Report", &arguments).await;
            Answered::Report(id, told.map(drop))
        });
    }

    async fn answered(&mut self, answered: Answered) -> Result<(), Ended> {
        let (id, told) = match answered {
            Answered::Watch(set) => {
                self.asked.remove(&set);
                return Ok(());
            }
            Answered::Report(id, told) => (id, told),
        };
        self.is_reporting = false;
        match told {
            Ok(()) => {}
            Err(InvokeError::Server(why)) => {
                tracing::warn!(%id, %why, "the manager does not want the outcome of a command");
            }
            // Another connection reports it.
            Err(error) => return Err(Ended::Away(error.to_string())),
        }
        if let Err(error) = self.core.journal.note(Note::Told(id)).await {
            tracing::warn!(%error, "that an outcome is known cannot be written down");
        }
        Ok(())
    }
}

/// How long a manager may take to say whose fleet it is.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
const NO_WELCOME: &str = "nobody said Welcome: this is not the address of a fleet";
/// When a set is asked for again that the manager refused to show.
const ASK_AGAIN: Duration = Duration::from_secs(30);
