//! The command line: what can be typed, nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A client's WebSocket outlives its backend
#[derive(Debug, Parser)]
#[command(name = "everwire", version, propagate_version = true)]
#[command(about = "Everwire: a client's WebSocket outlives its backend")]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 node \
                        unreachable.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find every mistake in a configuration
    Check(CheckArgs),
    /// The effective configuration, or the reference of all keys
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// The configuration file [default: everwire.toml in this directory, if there is one]
    #[arg(short, long, value_name = "FILE", env = "EVERWIRE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The mistakes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Verbs of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The effective configuration: file, environment and defaults together
    Print(SourceArgs),
    /// The reference of all keys
    Doc,
    /// A file with every key at its default
    Example,
}
