//! A fleet from outside: real connections on loopback, one to three nodes in this process.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod agents;
mod commands;
mod faults;
mod fixture;
mod instances;
mod predecessors;
mod redis;
mod rollouts;
