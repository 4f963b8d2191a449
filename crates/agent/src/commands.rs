//! The task that carries out commands: one at a time, in order, each noted before and after.

use std::{any::Any, sync::Arc, time::Duration};

use everwire_proto::time::Time;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};

use crate::{
    clock,
    core::Core,
    handler::{Command, Commands},
    record::Note,
    wire::Outcome,
};

/// A command that waits for its turn.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) command: Command,
    /// When nobody waits for its outcome any more, by this process' monotonic clock.
    until: Time,
}

impl Queued {
    /// A command that comes now.
    ///
    /// Managers hand out nothing that is late, so a deadline that has passed means that one of two
    /// clocks is wrong, and is not believed.
    pub(crate) fn new(command: Command) -> Self {
        let now = clock::wall_millis();
        let left = command.deadline.and_then(|deadline| deadline.checked_sub(now));
        let left = left.filter(|left| *left > 0).map_or(DEADLINE, Duration::from_millis);
        Self { command, until: clock::now() + left }
    }
}

/// Carries out commands until the agent ends.
pub(crate) async fn run(core: Arc<Core>, handlers: Commands, mut queue: mpsc::Receiver<Queued>) {
    let stop = core.stop.clone();
    let work = async {
        while let Some(queued) = queue.recv().await {
            let id = queued.command.id.clone();
            let outcome = carry_out(&core, &handlers, queued).await;
            tracing::debug!(%id, ?outcome, "a command has come to its end");
            if let Err(error) = core.journal.note(Note::Done(id, outcome)).await {
                tracing::error!(%error, "what became of a command cannot be written down");
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn carry_out(core: &Core, handlers: &Commands, queued: Queued) -> Outcome {
    let Queued { command, until } = queued;
    let left = until.saturating_since(clock::now());
    if left.is_zero() {
        return Outcome::refused("its deadline passed before its turn came");
    }
    let id = command.id.clone();
    let Some(doing) = handlers.begin(command) else { return unknown() };
    if let Err(error) = core.journal.note(Note::Started(id)).await {
        // What cannot be remembered as begun might be begun twice.
        return Outcome::refused(format!("it cannot be written down: {error}"));
    }
    let mut running = JoinSet::new();
    running.spawn(doing);
    match tokio::time::timeout(left, running.join_next()).await {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(error))) => Outcome::failed(panicked(error)),
        Ok(None) => Outcome::failed("the handler is gone"),
        Err(_) => Outcome::failed("it was not finished at its deadline, and was given up"),
    }
}

/// No handler has this name.
pub(crate) fn unknown() -> Outcome {
    Outcome::refused("this instance has no such command")
}

fn panicked(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the handler is gone".to_owned() };
    format!("the handler panicked{}", words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(String::new, |text| format!(": {text}"))
}

/// Commands that wait for their turn; one more is refused. Managers give 16 at a time.
pub(crate) const QUEUE_MAX: usize = 64;
/// How long a command may take that says nothing about it: as long as managers give by default.
const DEADLINE: Duration = Duration::from_secs(300);
