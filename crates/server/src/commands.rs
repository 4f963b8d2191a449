//! One command per file: what it asks for, what it prints.

mod agent;
mod check;
mod config;
mod hub;
mod node;
mod pipe;
mod pool;
mod status;
mod token;

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use crate::{
    cli::{Cli, Command, SourceArgs},
    config::{Flags, Sources},
    failure::Failure,
};

/// Runs the command; one that runs a program ends as that does.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let done = match cli.command {
        Command::Agent(args) => return agent::run(args),
        Command::AgentChild(args) => return Ok(agent::become_program(&args)),
        Command::Demo(args) => crate::demo::run(&args),
        Command::DemoBackend(args) => crate::demo::backend::run(&args),
        Command::DemoNode(args) => crate::demo::node::run(&args),
        Command::Serve(args) => crate::serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Status(node) => block_on(status::run(&node)),
        Command::Pool(command) => block_on(pool::run(&command)),
        Command::Pipe(command) => block_on(pipe::run(&command)),
        Command::Hub(command) => block_on(hub::run(&command)),
        Command::Node(command) => block_on(node::run(&command)),
        Command::Token(command) => token::run(&command),
    };
    done.map(|()| ExitCode::SUCCESS)
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
    let file = path.map(|path| read(&path)).transpose()?;
    Ok(Sources { file, variables, flags })
}

fn read(path: &Path) -> Result<(String, String), Failure> {
    crate::config::read_file(path).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("there is no such file; {EXAMPLE}"),
            io::ErrorKind::InvalidData => format!("it is not text in UTF-8; {EXAMPLE}"),
            _ => error.to_string(),
        };
        Failure::Usage(format!("cannot read {}: {what}", path.display()))
    })
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
const EXAMPLE: &str = "`everwire config example` prints one to begin with";
