//! What can be typed behind `everwire token`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::SourceArgs;
use crate::config;

/// Verbs of `token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a token that lets a client into a hub
    Mint(MintArgs),
    /// Say what is in a token, and whether a hub would take it: exit code 0 if so, else 1
    Check(TokenCheckArgs),
}

/// Which key signs and verifies.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The hub whose access_key is taken [default: the only one that has one]
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub(crate) hub: Option<String>,
    /// The key itself; no configuration is read then. Others on this machine see arguments: better
    /// in the environment
    #[arg(long, env = "EVERWIRE_ACCESS_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// Arguments of `token mint`.
#[derive(Debug, Args)]
pub(crate) struct MintArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The user that the client is
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,
    /// How long the token is good
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = lifetime)]
    pub(crate) expires: Duration,
    /// Whom the token is for [default: the hub's first audience, if it has any]
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Vec<String>,
    /// Something else that the token says (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    pub(crate) claim: Vec<(String, String)>,
}

/// Arguments of `token check`.
#[derive(Debug, Args)]
pub(crate) struct TokenCheckArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The token; without it, it is read from standard input
    pub(crate) token: Option<String>,
    /// What is in it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = config::parse_duration(text).filter(|duration| duration.as_secs() > 0);
    duration.ok_or_else(|| "write for example 30s, 10m, 1h or 7d".to_owned())
}

fn claim(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = split.ok_or_else(|| "write for example role=admin".to_owned())?;
    if RESERVED.contains(&name) {
        return Err(format!("{name} has an option of its own, or is filled in"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Claims that the other options write.
const RESERVED: [&str; 4] = ["aud", "exp", "nbf", "sub"];
