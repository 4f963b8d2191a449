//! The log on standard error: lines for people or JSON; `RUST_LOG` chooses what is in it.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// Starts the log of this process; a second call changes nothing.
pub(crate) fn start(format: LogFormat) {
    start_from(Level::INFO, format);
}

/// Starts a log that says nothing as long as nothing is broken.
pub(crate) fn start_quietly() {
    start_from(Level::ERROR, LogFormat::Text);
}

fn start_from(level: Level, format: LogFormat) {
    let filter = EnvFilter::builder().with_default_directive(level.into());
    let filter = filter.from_env_lossy();
    // Reporting a failure to log goes to standard error too, and panics when that is gone.
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log runs already");
    }
}
