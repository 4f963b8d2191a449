//! `everwire demo`: live clients, faults, and an honest count.
//!
//! Each subject proves one job on this machine, with processes and sockets that are its own. Clients
//! number and hash what they say, and both ends are compared afterwards.

mod gateway;
mod hub;
mod message;

use std::cell::Cell;

use tokio::signal::unix::{SignalKind, signal};

pub(crate) use self::gateway::backend;
use self::{gateway::GatewayShow, hub::HubShow};
use crate::{
    cli::{DemoArgs, DemoSubject},
    commands,
    failure::Failure,
    logging, terminal,
};

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let _log = logging::start_quietly();
    let proved = Cell::new(false);
    commands::block_on(async {
        // Everything that the demo started ends with this future, whichever way it ends.
        tokio::select! {
            shown = show(args, &proved) => shown,
            () = asked_to_stop() => match proved.get() {
                true => terminal::print_line("\nstopped"),
                false => Err(Failure::failed("stopped before the proof was done")),
            },
        }
    })
}

/// Proves one subject after the other, then keeps them up together.
async fn show(args: &DemoArgs, proved: &Cell<bool>) -> Result<(), Failure> {
    let is_shown = |subject| args.subject.is_none_or(|only| only == subject);
    let (mut gateway, mut hub) = (None, None);
    if is_shown(DemoSubject::Gateway) {
        gateway = Some(GatewayShow::prove(args.unprotected).await?);
    }
    if is_shown(DemoSubject::Hub) {
        if gateway.is_some() {
            terminal::print_line("")?;
        }
        hub = Some(HubShow::prove(args.unprotected).await?);
    }
    proved.set(true);
    if args.once {
        return Ok(());
    }
    terminal::print_line("\nStill running; Ctrl-C ends it.")?;
    let gateway = async {
        match &mut gateway {
            Some(gateway) => gateway.stay().await,
            None => Ok(()),
        }
    };
    let hub = async {
        match &hub {
            Some(hub) => hub.stay().await,
            None => Ok(()),
        }
    };
    tokio::try_join!(gateway, hub).map(|_| ())
}

/// A table of what was counted.
fn counts(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, value)| format!("  {name:<20} {value:>8}\n")).collect()
}

/// What a proof has come to: with Everwire nothing may be missing, without it something must be.
fn judge(is_clean: bool, unprotected: bool, end: &str) -> Result<(), Failure> {
    match (is_clean, unprotected) {
        (true, true) => Err(Failure::failed(
            "nothing was lost without Everwire: the faults did not meet the clients; run it again \
             on a less busy machine",
        )),
        (false, false) => Err(Failure::failed("the proof failed: see the counts above")),
        _ => terminal::print(end),
    }
}

async fn asked_to_stop() {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the signals end the process by themselves.
        _ => std::future::pending().await,
    }
}
