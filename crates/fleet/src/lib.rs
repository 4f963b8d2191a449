//! The fleet's manager: configuration and commands for every instance of an application, and who did
//! what with them.
//!
//! What it knows are folds of logs that all nodes share: whoever reads the same entries knows the same.
//! A node that accepts a command or a change appends an entry and may end; the others go on.
#![forbid(unsafe_code)]

pub mod access;
pub mod book;
pub mod bridge;
mod clock;
pub mod command;
pub mod entry;
pub mod hook;
pub mod name;
pub mod rollout;
pub mod seal;
pub mod set;
pub mod target;
mod watch;

pub use clock::WallClock;
