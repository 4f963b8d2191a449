//! `everwire check`: every mistake of a configuration at once.

use crate::{
    cli::CheckArgs,
    config::{self, Flags},
    failure::Failure,
    terminal,
};

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let sources = match super::sources(&args.source, Flags::default()) {
        Ok(sources) => sources,
        Err(unreadable) => {
            if args.json {
                let mistake = unreadable.to_string();
                let item = serde_json::json!({ "file": args.source.config, "mistake": mistake });
                terminal::print_json(&serde_json::json!({ "items": [item] }))?;
            }
            return Err(unreadable);
        }
    };
    let name = sources.file.as_ref().map_or("the environment", |(name, _)| name).to_owned();
    match config::load(&sources) {
        Ok(_) if args.json => terminal::print_json(&serde_json::json!({ "items": [] })),
        Ok(config) => {
            let (pools, routes) = (config.pools.len(), config.routes.len());
            let hubs = config.hubs.len();
            let fleet = if config.fleet.is_some() { ", a fleet" } else { "" };
            let found = format!("pools {pools}, routes {routes}, hubs {hubs}{fleet}");
            terminal::print_line(&format!("{name} is fine: {found}"))
        }
        Err(mistakes) => {
            if args.json {
                terminal::print_json(&mistakes.to_json())?;
            }
            Err(Failure::Usage(mistakes.to_string()))
        }
    }
}
