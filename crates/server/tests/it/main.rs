//! The binary as its users meet it: spawned, spoken to over sockets, judged by its exit codes.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests do")]

mod admin;
mod commands;
mod configuration;
mod demo;
mod fleet;
mod hubs;
mod listener;
mod process;
mod service;
mod sessions;
mod signals;
