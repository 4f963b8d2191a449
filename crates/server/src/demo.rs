//! `everwire demo`: live clients, faults, and an honest count.
//!
//! Each subject proves one job on this machine, with processes and sockets that are its own. Clients
//! number and hash what they say, and both ends are compared afterwards.

mod fleet;
mod gateway;
mod hub;
mod message;
mod process;
mod status;
mod store;

use std::cell::Cell;

use tokio::signal::unix::{SignalKind, signal};

use self::{fleet::FleetShow, gateway::GatewayShow, hub::HubShow, status::StatusShow};
pub(crate) use self::{fleet::manager, gateway::backend, status::node};
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
    let is_one_of_many = args.subject.is_none();
    let (mut gateway, mut hub, mut status, mut fleet) = (None, None, None, None);
    if is_shown(DemoSubject::Gateway) {
        gateway = Some(GatewayShow::prove(args.unprotected).await?);
    }
    if is_shown(DemoSubject::Hub) {
        set_apart(is_one_of_many)?;
        hub = Some(HubShow::prove(args.unprotected).await?);
    }
    if is_shown(DemoSubject::Status) {
        set_apart(is_one_of_many)?;
        status = Some(StatusShow::prove(args).await?);
    }
    if is_shown(DemoSubject::Fleet) {
        set_apart(is_one_of_many)?;
        fleet = Some(FleetShow::prove(args.unprotected).await?);
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
    let status = async {
        match &mut status {
            Some(status) => status.stay().await,
            None => Ok(()),
        }
    };
    let fleet = async {
        match &mut fleet {
            Some(fleet) => fleet.stay().await,
            None => Ok(()),
        }
    };
    tokio::try_join!(gateway, hub, status, fleet).map(|_| ())
}

/// A line between one subject and the next.
fn set_apart(is_one_of_many: bool) -> Result<(), Failure> {
    if is_one_of_many { terminal::print_line("") } else { Ok(()) }
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
