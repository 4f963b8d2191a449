//! The task that applies: it has the handler called when there is something to apply, as
//! [`Apply`] says.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
};

use crate::{apply::Apply, clock, core::Core, handler::OnChange, sets::Completeness};

/// Somebody wants the state applied, and to know what came of it.
#[derive(Debug)]
pub(crate) struct Demand(pub(crate) oneshot::Sender<Result<(), String>>);

/// Applies until the agent ends.
pub(crate) async fn run(core: Arc<Core>, handler: OnChange, demands: mpsc::Receiver<Demand>) {
    let stop = core.stop.clone();
    let apply = Apply::new(core.options.debounce);
    let (waiting, served) = (Vec::new(), Vec::new());
    let changes =
        Changes { core, handler, apply, is_ready: false, waiting, served, running: JoinSet::new() };
    stop.run_until_cancelled_owned(changes.run(demands)).await;
}

struct Changes {
    core: Arc<Core>,
    handler: OnChange,
    apply: Apply,
    /// Whether there is a state to begin with.
    is_ready: bool,
    /// Who waits for a state to be applied that is not begun.
    waiting: Vec<Demand>,
    /// Who waits for the one that is.
    served: Vec<Demand>,
    /// The handler, if it runs.
    running: JoinSet<Result<(), String>>,
}

impl Changes {
    async fn run(mut self, mut demands: mpsc::Receiver<Demand>) {
        let offline_at = clock::now() + self.core.options.offline.patience;
        loop {
            let now = clock::now();
            self.is_ready = self.is_ready || self.may_begin(now >= offline_at);
            if self.is_ready {
                self.apply.handle_ready(now);
            }
            if self.apply.poll_begin(now) {
                self.begin().await;
            }
            let offline = (!self.is_ready && now < offline_at).then_some(offline_at);
            tokio::select! {
                Some(end) = self.running.join_next() => self.end(end),
                () = self.core.news.notified() => self.apply.handle_change(clock::now()),
                Some(demand) = demands.recv(), if self.waiting.len() < DEMANDS_MAX => {
                    self.waiting.push(demand);
                    self.apply.handle_demand(clock::now());
                }
                () = clock::until(self.apply.deadline()) => {}
                () = clock::until(offline) => {}
            }
        }
    }

    fn may_begin(&self, is_late: bool) -> bool {
        let enough = match (is_late, self.core.options.offline.without_state) {
            (false, _) => Completeness::Manager,
            (true, false) => Completeness::Disk,
            (true, true) => Completeness::None,
        };
        self.core.sets().is_complete(enough)
    }

    async fn begin(&mut self) {
        self.served.append(&mut self.waiting);
        let change = self.core.sets().begin(!self.served.is_empty());
        self.core.keep_sets().await;
        match change {
            Some(change) => {
                self.running.spawn(self.handler.begin(change));
            }
            None => self.apply.handle_end(clock::now(), Ok(())),
        }
    }

    fn end(&mut self, end: Result<Result<(), String>, JoinError>) {
        let end = end.unwrap_or_else(|_| Err("the handler of changes panicked".to_owned()));
        match &end {
            Ok(()) => self.core.sets().applied(),
            Err(error) => tracing::warn!(%error, "a configuration was not applied"),
        }
        self.apply.handle_end(clock::now(), end.as_ref().map_or(Err(()), |()| Ok(())));
        for Demand(done) in self.served.drain(..) {
            // Who does not wait any more need not know.
            let _ = done.send(end.clone());
        }
    }
}

/// Demands that wait; more have to wait until some are taken.
pub(crate) const DEMANDS_MAX: usize = 16;
