//! One command per file: what it asks for, what it prints.

mod check;
mod config;
mod hub;
mod pipe;
mod pool;
mod status;
mod token;

use std::{future::Future, path::PathBuf};

use anyhow::Context;

use crate::{
    cli::{Cli, Command, SourceArgs},
    config::{Flags, Sources},
    failure::Failure,
};

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(args) => crate::demo::run(&args),
        Command::DemoBackend(args) => crate::demo::backend::run(&args),
        Command::Serve(args) => crate::serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Status(node) => block_on(status::run(&node)),
        Command::Pool(command) => block_on(pool::run(&command)),
        Command::Pipe(command) => block_on(pipe::run(&command)),
        Command::Hub(command) => block_on(hub::run(&command)),
        Command::Token(command) => token::run(&command),
    }
}

/// Collects what a configuration is made of. Without `-c` the file `everwire.toml` is taken if it
/// is there, unless flags say what to serve.
pub(crate) fn sources(source: &SourceArgs, flags: Flags) -> Result<Sources, Failure> {
    let variables = crate::config::variables();
    let path = match &source.config {
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(DEFAULT_FILE))
            .filter(|path| flags.backends.is_empty() && flags.hub.is_none() && path.exists()),
    };
    let file =
        match path {
            None => None,
            Some(path) => Some(crate::config::read_file(&path).map_err(|error| {
                Failure::Usage(format!("cannot read {}: {error}", path.display()))
            })?),
        };
    Ok(Sources { file, variables, flags })
}

/// Runs a short command on a runtime of its own.
pub(crate) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

const DEFAULT_FILE: &str = "everwire.toml";
