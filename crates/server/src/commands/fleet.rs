//! `everwire fleet`: instances, commands to them, and their configuration.

mod commands;
mod instances;
mod progress;
mod report;
mod send;
mod set;
mod sets;
mod watch;

use crate::{cli::FleetCommand, client::segment, clock, failure::Failure, terminal};

pub(super) async fn run(command: &FleetCommand) -> Result<(), Failure> {
    match command {
        FleetCommand::Ls(args) => instances::list(args).await,
        FleetCommand::Send(args) => send::run(args).await,
        FleetCommand::Status { id: None, node } => commands::list(node).await,
        FleetCommand::Status { id: Some(id), node } => commands::show(id, node).await,
        FleetCommand::Cancel { id, node } => commands::cancel(id, node).await,
        FleetCommand::Watch { set: None, node } => watch::everything(node).await,
        FleetCommand::Watch { set: Some(set), node } => watch::set(set, node).await,
        FleetCommand::Set(args) => set::run(args).await,
        FleetCommand::Get { set: None, node, .. } => sets::list(node).await,
        FleetCommand::Get { set: Some(set), key, node } => {
            sets::get(set, key.as_deref(), node).await
        }
        FleetCommand::History { set, last, node } => sets::history(set, *last, node).await,
        FleetCommand::Diff { set, from, to, node } => sets::diff(set, *from, *to, node).await,
        FleetCommand::Rollback { set, to, node } => sets::rollback(set, *to, node).await,
    }
}

/// Where a set is in the admin API.
fn set_path(set: &str) -> Result<String, Failure> {
    match set.parse::<everwire_fleet::name::SetName>() {
        Ok(name) => Ok(format!("/api/v1/fleet/sets/{}", segment(name.as_str()))),
        Err(wrong) => Err(Failure::Usage(wrong.to_string())),
    }
}

/// How long ago a time was, in milliseconds since 1970.
fn ago(at: &serde_json::Value) -> String {
    let Some(at) = at.as_u64() else { return "-".to_owned() };
    let now = u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX);
    format!("{} ago", terminal::seconds(now.saturating_sub(at) / 1000))
}
