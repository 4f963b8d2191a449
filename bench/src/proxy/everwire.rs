//! Everwire with its defaults: `at-least-once`, a listener per core.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::Setup;
use crate::process::{Workplace, free_address};
use crate::program::Invocation;

/// Writes the configuration of one pool behind one route.
pub(super) fn command(place: &Workplace, listen: SocketAddr, setup: &Setup) -> Result<Invocation> {
    let program = setup.everwire.clone();
    ensure!(
        program.is_file(),
        "{} does not exist: cargo build --release, or name another with --everwire-bin, or leave \
         it out with --proxies",
        program.display()
    );
    let backends: Vec<String> =
        setup.backends.iter().map(|backend| format!("\"ws://{backend}\"")).collect();
    let mut text = format!(
        "listen = \"{listen}\"\n[admin]\nlisten = \"{}\"\n[pools.bench]\nbackends = [{}]\n\
         [[routes]]\npath = \"/\"\npool = \"bench\"\n",
        free_address()?,
        backends.join(", ")
    );
    if let Some(delivery) = &setup.delivery {
        writeln!(text, "delivery = \"{delivery}\"")?;
    }
    if let Some(ping) = setup.ping {
        let millis = ping.as_millis();
        writeln!(text, "ping = {{ interval = \"{millis}ms\", timeout = \"{millis}ms\" }}")?;
    }
    let file = place.file("everwire.toml");
    fs::write(&file, text)?;
    Ok(Invocation { program, args: vec!["serve".into(), "-c".into(), file.into_os_string()] })
}
