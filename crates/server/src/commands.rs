//! One command per file: what it asks for, what it prints.

mod agent;
mod check;
mod config;
mod fleet;
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
use serde_json::Value;

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
        Command::DemoManager(args) => crate::demo::manager::run(&args),
        Command::Serve(args) => crate::serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Status(node) => block_on(status::run(&node)),
        Command::Pool(command) => block_on(pool::run(&command)),
        Command::Pipe(command) => block_on(pipe::run(&command)),
        Command::Hub(command) => block_on(hub::run(&command)),
        Command::Node(command) => block_on(node::run(&command)),
        Command::Fleet(command) => block_on(fleet::run(&command)),
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
            .filter(|path| !flags.say_what_to_serve() && path.exists()),
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

/// What is JSON is sent as that, anything else as text.
fn argument(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_json_is_sent_as_json() {
        assert_eq!(argument("7"), json!(7));
        assert_eq!(argument(r#"{"a":[1]}"#), json!({ "a": [1] }));
        assert_eq!((argument("hello"), argument("\"7\"")), (json!("hello"), json!("7")));
    }
}
