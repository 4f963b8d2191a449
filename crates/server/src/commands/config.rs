//! `everwire config`: what is effective, what there is, what a file looks like.

use crate::{
    cli::ConfigCommand,
    config::{self, Flags},
    failure::Failure,
    terminal,
};

pub(super) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Print(source) => {
            let sources = super::sources(source, Flags::default())?;
            let config =
                config::load(&sources).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
            terminal::print(&config::print(&config))
        }
        ConfigCommand::Doc => terminal::print(&config::reference()),
        ConfigCommand::Example => terminal::print(&config::example()),
    }
}
