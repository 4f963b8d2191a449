//! The fleet's manager: configuration and commands for every instance of an application, and who did
//! what with them.
//!
//! What it knows are folds of logs that all nodes share: whoever reads the same entries knows the same.
//! A node that accepts a command or a change appends an entry and may end; the others go on.
//!
//! Read on in this order: [`entry`] (what is written down), [`ledger`] (what is known), [`book`] (how
//! it is read and written), `hub` (how instances come), `steward` (what a node does about what it
//! knows), [`fleet`] (what an application or an administrator holds). Of sets: [`set`] (what its log says),
//! [`sets`] (who changes it), `watch` and `shelf` (who is told), [`seal`] (secrets), [`access`] (who may).
#![forbid(unsafe_code)]

pub mod access;
mod answer;
pub mod book;
pub mod bridge;
mod clock;
pub mod command;
mod duties;
pub mod entry;
pub mod events;
mod facts;
pub mod fleet;
mod follow;
mod gate;
pub mod hook;
mod hub;
pub mod introduction;
pub mod ledger;
mod lobby;
pub mod name;
mod node;
pub mod rollout;
pub mod roster;
pub mod seal;
mod seats;
mod service;
pub mod set;
pub mod sets;
mod shelf;
mod steward;
pub mod target;
mod watch;

pub use self::{
    clock::WallClock,
    fleet::{Fleet, FleetConfig},
    service::{FleetBody, FleetService, Hooks, Taking},
};

#[cfg(test)]
mod trial;
