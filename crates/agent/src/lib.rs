//! An instance of a fleet: it joins its manager, keeps up with configuration, obeys commands, and
//! says what came of them.
//!
//! ```no_run
//! use everwire_agent::{Agent, Change, Command};
//!
//! # async fn reload(_: &Change) -> Result<(), std::io::Error> { Ok(()) }
//! # async fn clear_cache() -> Result<(), std::io::Error> { Ok(()) }
//! # async fn shop() -> Result<(), Box<dyn std::error::Error>> {
//! let agent = Agent::builder("http://127.0.0.1:8080/fleet")
//!     .app("shop")
//!     .index(3)
//!     .label("zone", "a")
//!     .watch("shop/prod")
//!     .state_dir("/var/lib/shop/agent")
//!     .on_change(|change: Change| async move { reload(&change).await })
//!     .on_command("clear-cache", |_: Command| async { clear_cache().await })
//!     .start()
//!     .await?;
//! println!("{} runs with {:?}", agent.name(), agent.values());
//! # Ok(())
//! # }
//! ```
//!
//! **A manager that is away** is looked for as long as the agent lives, the first time as ever after,
//! each agent at moments of its own. With a [state directory](AgentBuilder::state_dir) the last
//! known configuration serves meanwhile.
//!
//! **Configuration** is applied by one handler, never twice at a time: the first state at once, then
//! the latest after a moment without changes. One that fails is tried again.
//!
//! **Commands** are carried out one after the other, each once: that one is begun is on the disk before
//! its handler runs, and what became of it after. One that comes again is answered from there; one whose
//! process ended in its middle is reported as interrupted and not begun again.
//!
//! **Whose fleet.** An agent belongs to the first fleet that it meets and takes nothing from another;
//! the error names the file to remove for it to move.
//!
//! [`action`] is what programs that know nothing of a fleet can have done to them, [`supervise`] runs
//! one as a child process.
#![forbid(unsafe_code)]

pub mod action;
mod address;
mod agent;
mod apply;
mod backoff;
mod builder;
mod changes;
mod clock;
mod commands;
mod core;
mod environment;
mod handler;
mod journal;
mod link;
mod record;
mod sets;
pub mod sidecar;
mod status;
mod store;
pub mod supervise;

mod wire;

pub use self::{
    agent::{Agent, RefreshError},
    apply::Debounce,
    builder::{AgentBuilder, Offline},
    handler::Command,
    sets::{Change, SetChange},
    status::{EndReason, OnRejection, Rejection, StartError, Status},
    store::StoreError,
    wire::{DETAIL_MAX, IntoOutcome, Outcome, OutcomeKind},
};
