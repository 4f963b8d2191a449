//! `everwire demo fleet`: instances that are given commands and configuration while their manager is
//! killed.
//!
//! The manager is a process of its own: a node as a user would start it. The instances are agents of
//! this process. Each counts what it does, and what the manager knows at the end is compared with that.

mod crew;
pub(crate) mod manager;
mod script;
mod verdict;

use std::time::Duration;

use tokio::time::sleep;

use self::{crew::Crew, manager::Manager, script::Script};
use crate::{
    demo::{self, store::Store},
    failure::Failure,
    terminal,
};

/// A proof that is done, and what it was done with.
pub(super) struct FleetShow {
    manager: Manager,
    crew: Crew,
    _store: Store,
}

impl FleetShow {
    /// Shows that everything reaches everybody once or, with a manager that writes nothing down, that
    /// it does not.
    pub(super) async fn prove(unprotected: bool) -> Result<Self, Failure> {
        let store = Store::create()?;
        let journal = store.path().join("fleet.journal");
        let mut manager = Manager::start((!unprotected).then_some(&*journal)).await?;
        introduce(&manager, unprotected)?;
        let crew = Crew::start(INSTANCES, &manager).await?;
        let verdict = Script::new(&mut manager, &crew, unprotected).play().await?;
        terminal::print(&verdict.render(crew.count()))?;
        let end = if unprotected { UNPROTECTED_END } else { PROTECTED_END };
        demo::judge(verdict.is_clean(), unprotected, end)?;
        Ok(Self { manager, crew, _store: store })
    }

    /// Keeps everything up, and brings back a manager that a visitor kills.
    pub(super) async fn stay(&mut self) -> Result<(), Failure> {
        terminal::print(&format!(
            "The fleet of {}, by hand, in another terminal:\n  export EVERWIRE_ADMIN={}\n  everwire fleet ls\n  \
             everwire fleet send {APP} refresh --at-once 2\n  everwire fleet set {SET} greeting=hi\n  \
             everwire fleet watch {SET}\n  kill -9 {}    (the manager; it is started again)\n",
            self.crew.count(),
            self.manager.admin(),
            self.manager.process_id(),
        ))?;
        loop {
            sleep(LOOK_EVERY).await;
            if self.manager.has_ended() {
                self.manager.restart().await?;
                terminal::print_line(&format!(
                    "the manager died and is back as pid {}: EVERWIRE_ADMIN={}",
                    self.manager.process_id(),
                    self.manager.admin()
                ))?;
            }
        }
    }
}

fn introduce(manager: &Manager, unprotected: bool) -> Result<(), Failure> {
    let first = match unprotected {
        false => {
            "Everwire demo, fleet: commands and configuration for instances while their manager is killed."
        }
        true => {
            "Everwire demo, fleet, unprotected: the same instances and kills, with a manager that keeps \
             what it\nhas accepted in its memory alone."
        }
    };
    terminal::print(&format!(
        "{first}\n\n  manager   {}    (pid {})\n  admin     {}\n  instances {INSTANCES}, each of which \
         counts what it is told\n\n",
        manager.url(),
        manager.process_id(),
        manager.admin(),
    ))
}

/// What the instances run, and what they watch.
const APP: &str = "shop";
const SET: &str = "shop/demo";

const INSTANCES: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(200);

const PROTECTED_END: &str = "
How: what the manager accepts is on disk before it says so. Whom a command is for is fixed at that moment,
and an instance that comes back gets what it has not answered, under the same id, by which it knows what it
has begun. Who watches a set says which version it has. The same for your service, on one node:

  everwire serve --fleet
  everwire agent --manager http://127.0.0.1:8080/fleet --app shop --set shop/prod -- your-program

or as a SignalR client in any language: docs/fleet.md. What is lost when a manager forgets:
everwire demo fleet --unprotected
";

const UNPROTECTED_END: &str = "
A manager that starts anew knows nothing of what it had accepted, and its instances notice that it is not
the one they belonged to. The same with a journal:  everwire demo fleet
";
