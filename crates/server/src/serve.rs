//! `everwire serve`: runs a node until a signal ends it.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    cli::{ServeArgs, SourceArgs},
    commands,
    config::{self, Flags},
    failure::Failure,
    logging,
    running::Running,
    terminal,
};

/// Runs a node in the foreground.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let flags = Flags {
        listen: args.listen,
        admin: args.admin,
        backends: args.backend,
        hub: args.hub,
        fleet: args.fleet,
        log: args.log,
    };
    let sources = commands::sources(&args.source, flags.clone())?;
    let config = config::load(&sources).map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let _log = logging::start(config.log);
    let file = sources.file.as_ref().map(|(name, _)| name.as_str());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), file, "everwire starts");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(config, &args.source, &flags))
}

async fn serve(config: config::Config, source: &SourceArgs, flags: &Flags) -> Result<(), Failure> {
    let mut signals = Signals::new().context("cannot listen to signals")?;
    let mut running = Running::start(config).await.map_err(Failure::failed)?;
    announce(&running)?;
    loop {
        match signals.next().await {
            Told::Reload => reload(&mut running, source, flags),
            Told::Upgrade => tracing::warn!("SIGUSR2: an upgrade is not available yet"),
            Told::Drain => {
                // A second signal means that whoever stops the node has no more patience.
                tokio::select! {
                    () = running.drain() => {}
                    () = signals.impatient() => running.close_all().await,
                }
                break;
            }
            Told::Stop => {
                running.close_all().await;
                break;
            }
        }
    }
    running.end().await;
    tracing::info!("stopped");
    Ok(())
}

/// One line per listener on standard output, which scripts may wait for: with port 0 they say
/// which port it became.
fn announce(running: &Running) -> Result<(), Failure> {
    for address in running.node.listening() {
        terminal::print_line(&format!("gateway listening on {address}"))?;
    }
    terminal::print_line(&format!("admin listening on http://{}", running.admin))
}

fn reload(running: &mut Running, source: &SourceArgs, flags: &Flags) {
    let loaded = commands::sources(source, flags.clone())
        .map_err(|failure| failure.to_string())
        .and_then(|sources| config::load(&sources).map_err(|wrong| wrong.to_string()));
    match loaded {
        Ok(config) => running.reload(config),
        Err(wrong) => {
            tracing::error!("SIGHUP: the configuration has mistakes; nothing was changed");
            for line in wrong.lines() {
                tracing::error!("{line}");
            }
        }
    }
}

/// What a signal tells.
enum Told {
    Drain,
    Stop,
    Reload,
    Upgrade,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Drain,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.user2.recv() => Told::Upgrade,
        }
    }

    /// Resolves at the next signal that asks to stop.
    async fn impatient(&mut self) {
        while !matches!(self.next().await, Told::Drain | Told::Stop) {}
    }
}
