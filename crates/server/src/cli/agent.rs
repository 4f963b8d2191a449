//! What can be typed behind `everwire agent`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::Args;
use everwire_agent::action::Action;
use everwire_fleet::name::SetName;

use crate::config;

/// Arguments of `agent`.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = "Actions: signal:HUP, exec:COMMAND, http:URL, file:PATH, restart, none.\n\
    Commands that a fleet can give: refresh, environment KEY=VALUE…, restart, shutdown.\n\
    Exit code: the program's; 128 and the number of the signal that ended it; 127 and 126 if it is\n\
    not found or cannot be run.")]
pub(crate) struct AgentArgs {
    /// The manager, like http://host:8080 or http://host:8080/fleet
    #[arg(long, value_name = "URL", env = "EVERWIRE_MANAGER")]
    pub(crate) manager: String,
    /// The application that the program is an instance of
    #[arg(long, value_name = "NAME", value_parser = part)]
    pub(crate) app: String,
    /// Which of its copies
    #[arg(long, value_name = "N", default_value = "0", value_parser = part)]
    pub(crate) index: String,
    /// What tells this copy from one that it replaces [default: made up, and kept in --state]
    #[arg(long, value_name = "ID", value_parser = part)]
    pub(crate) id: Option<String>,
    /// A label that commands can choose by (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    /// The version of the application
    #[arg(long = "version", value_name = "V")]
    pub(crate) app_version: Option<String>,
    /// A set whose values the program gets as environment (repeatable: later ones win)
    #[arg(long, value_name = "SET", value_parser = set)]
    pub(crate) set: Vec<String>,
    /// What to do when the configuration has changed
    #[arg(long, value_name = "ACTION", default_value = "none", value_parser = action)]
    pub(crate) on: Action,
    /// A directory of this instance's own: what it needs to start without a manager, and to carry out no
    /// command twice. Secrets lie there in clear, for its owner alone
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// What the manager knows the instance by. Others on this machine see arguments: better in the
    /// environment, from where the program does not get it
    #[arg(long, env = "EVERWIRE_FLEET_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// How long the program may take to end before it is killed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Start without values if there is neither a manager nor a state within 3 s
    #[arg(long)]
    pub(crate) offline_ok: bool,
    /// End the program when another process takes its name, instead of going on without a manager for
    /// a minute at a time
    #[arg(long)]
    pub(crate) end_when_replaced: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

/// Arguments of the step between an agent and its program.
#[derive(Debug, Args)]
pub(crate) struct AgentChildArgs {
    /// The agent's process id
    pub(crate) parent: u32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub(crate) program: Vec<OsString>,
}

fn part(text: &str) -> Result<String, String> {
    let name = everwire_fleet::name::InstanceName::new(text, "0", "0");
    name.map(|_| text.to_owned()).map_err(|_| PART.to_owned())
}

fn set(text: &str) -> Result<String, String> {
    let name: Result<SetName, _> = text.parse();
    name.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn label(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = split.ok_or("write for example zone=a")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn action(text: &str) -> Result<Action, String> {
    text.parse().map_err(|error: everwire_agent::action::NotAnAction| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| "write for example 500ms, 10s or 1m".to_owned())
}

const PART: &str = "letters, digits, '.', '_' and '-' are allowed, 1 to 100 of them";
