//! Everwire measured beside HAProxy and nginx, its hub beside Nchan and npm `ws`.
//!
//! `gateway` measures processor time, memory and latency, `faults` what clients lose when backends
//! end, `faults hub` what a hub's clients lose, `hub` what delivering to many costs, `fleet` how long
//! commands and changes take to reach all instances, `backplane` and `journal` what nodes pay for
//! talking and for remembering. All start
//! everything they need and end it again. The hidden subcommands are the helper processes: load
//! generator, echo server, the floors, the two sides of the fault runs, and Everwire's hub; but for
//! the last none uses Everwire's own codec.

mod backplane;
mod clock;
mod control;
mod echo;
mod faults;
mod fleet;
mod floor;
mod gateway;
mod hub;
mod journal;
mod load;
mod meter;
mod process;
mod program;
mod proxy;
mod rounds;
mod stats;
mod table;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser as _;

/// Everwire, HAProxy and nginx side by side.
#[derive(Debug, clap::Parser)]
#[command(name = "everwire-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Processor time, memory and latency of the proxies, held against Everwire's targets.
    Gateway(gateway::Options),
    /// Broadcasts, calls and memory of hubs, held against Everwire's targets.
    Hub(hub::Options),
    /// Commands, changes and memory of a fleet, held against Everwire's targets.
    Fleet(fleet::Options),
    /// What the backplane adds to what Redis costs.
    Backplane(backplane::Options),
    /// How many appends a second a node without a broker commits to its disk.
    Journal(journal::Options),
    /// What clients lose under the same faults, with each proxy in between.
    Faults(faults::Options),
    #[command(hide = true)]
    Echo(echo::Options),
    #[command(hide = true)]
    Floor(floor::Options),
    #[command(hide = true)]
    HubServer(hub::own::Options),
    #[command(hide = true)]
    HubFloor(hub::floor::Options),
    #[command(hide = true, subcommand)]
    Load(load::Shape),
    #[command(hide = true)]
    FaultBackend(faults::backend::Options),
    #[command(hide = true)]
    FaultClients(faults::clients::Options),
    #[command(hide = true)]
    Tether {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The product's: one of the helpers is the hub, whose memory is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Gateway(options) => prepared(|| gateway::run(&options)),
        Command::Hub(options) => prepared(|| hub::run(&options)),
        Command::Fleet(options) => prepared(|| fleet::run(&options)),
        Command::Backplane(options) => prepared(|| backplane::run(&options)),
        Command::Journal(options) => prepared(|| journal::run(&options)),
        Command::Faults(options) => prepared(|| faults::run(&options)),
        Command::Echo(options) => helper(echo::run(options)),
        Command::Floor(options) => helper(floor::run(options)),
        Command::HubServer(options) => helper(hub::own::run(options)),
        Command::HubFloor(options) => helper(hub::floor::run(options)),
        Command::Load(shape) => helper(load::run(shape)),
        Command::FaultBackend(options) => helper(faults::backend::run(options)),
        Command::FaultClients(options) => helper(faults::clients::run(options)),
        Command::Tether { program, args } => process::tether(&program, &args),
    }
}

fn prepared(run: impl FnOnce() -> Result<()>) -> Result<()> {
    process::ensure_open_files(OPEN_FILES)?;
    run()
}

/// Helpers are single-threaded, so that they leave the processor to what is measured.
fn helper(run: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)
}

/// A proxy holds two sockets for each of 8,000 pipes, a hub one for each of 15,000 clients.
const OPEN_FILES: u64 = 17_000;
