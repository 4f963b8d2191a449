//! What can be typed behind `everwire fleet`.

use std::{num::NonZeroU32, time::Duration};

use clap::{Args, Subcommand};

use super::NodeArgs;
use crate::config;

/// Verbs of `fleet`.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetCommand {
    /// List the instances, those that are away too
    Ls(FleetLsArgs),
    /// Send a command to instances, and wait until it is known what each made of it
    Send(FleetSendArgs),
    /// List the commands, or what became of one
    Status {
        /// The command's id, as `fleet send` and `fleet status` show it
        #[arg(value_name = "COMMAND")]
        id: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Release no more of a command: who has it goes on with it
    Cancel {
        /// The command's id
        #[arg(value_name = "COMMAND")]
        id: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Print the changes of a set as they come, or everything that happens in the fleet
    Watch {
        /// The set
        set: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Change a set, all at once
    Set(FleetSetArgs),
    /// Print a set, or one value of it; without a set, list all
    Get {
        /// The set
        set: Option<String>,
        /// The key
        key: Option<String>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// List the versions of a set, the newest first
    History {
        /// The set
        set: String,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        last: u32,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// What changed between two versions of a set
    Diff {
        /// The set
        set: String,
        /// The older version
        from: u64,
        /// The newer version [default: the latest]
        to: Option<u64>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Make a new version of a set that has what an older one had
    Rollback {
        /// The set
        set: String,
        /// The older version
        to: u64,
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// Arguments of `fleet ls`.
#[derive(Debug, Args)]
pub(crate) struct FleetLsArgs {
    /// Only those that this pattern names, for example shop:**
    pub(crate) target: Option<String>,
    /// Only those with this label (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) label: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Arguments of `fleet send`.
#[derive(Debug, Args)]
pub(crate) struct FleetSendArgs {
    /// To whom: app, app:index or app:index:id, with * and **; shop is shop:**
    pub(crate) target: String,
    /// Which command, for example refresh
    pub(crate) name: String,
    /// What it is sent with: JSON, or else text. Text that begins with a hyphen stands behind --
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// Only to instances with this label (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) label: Vec<(String, String)>,
    /// Who has not answered by then is missing
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = span)]
    pub(crate) deadline: Duration,
    /// Sent again with the same key, it is the same command
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// So many instances at a time
    #[arg(long, value_name = "N", conflicts_with = "per_second")]
    pub(crate) at_once: Option<NonZeroU32>,
    /// So many instances a second
    #[arg(long, value_name = "N")]
    pub(crate) per_second: Option<NonZeroU32>,
    /// Stop after so many failures; with --at-once or --per-second
    #[arg(long, value_name = "N")]
    pub(crate) stop_after: Option<NonZeroU32>,
    /// Do not wait
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Arguments of `fleet set`.
#[derive(Debug, Args)]
pub(crate) struct FleetSetArgs {
    /// The set, for example shop/prod
    pub(crate) set: String,
    /// What is set
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) change: Vec<(String, String)>,
    /// The same of a secret (repeatable); KEY=- reads it from standard input, since others on this
    /// machine see arguments
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) secret: Vec<(String, String)>,
    /// Delete a key (repeatable)
    #[arg(long, value_name = "KEY")]
    pub(crate) delete: Vec<String>,
    /// Give a key another name (repeatable)
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    pub(crate) rename: Vec<(String, String)>,
    /// Why; kept in the history
    #[arg(long)]
    pub(crate) note: Option<String>,
    /// Only if this is the set's version
    #[arg(long, value_name = "VERSION")]
    pub(crate) at: Option<u64>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("is not NAME=VALUE".to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "is not a duration; write for example 30s or 5m".to_owned())
}
