//! The `everwire` binary: command line, configuration, listeners, admin API.
//!
//! Nothing that a user of the libraries would need is here: sessions are the gateway crate's.
//! A command is parsed by [`cli`], run by [`commands`], and ends with an exit code of
//! [`failure::Failure`].

mod admin;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod demo;
mod failure;
mod listen;
mod logging;
mod metrics;
mod node;
mod problem;
mod rest;
mod running;
mod serve;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

/// Thousands of small blocks of a few sizes live and die with the pipes: this allocator wastes
/// less between them than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            terminal::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}
