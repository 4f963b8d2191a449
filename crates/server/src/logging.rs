//! The log on standard error: lines for people or JSON; `RUST_LOG` chooses what is in it.
//!
//! A thread of its own writes it. Whoever reads the log may be slow or stuck; sessions never wait
//! for it. Lines that find no room are dropped and counted.

use std::{
    io::{self, BufWriter, IsTerminal, Stderr, Write},
    sync::OnceLock,
    thread,
    time::Duration,
};

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;

/// The running log. What waits is written when this is dropped, as far as somebody reads it within
/// a second.
#[must_use = "the log ends when this is dropped"]
pub(crate) struct Log {
    _writer: WorkerGuard,
}

/// Starts the log of this process; a second call changes nothing.
pub(crate) fn start(format: LogFormat) -> Log {
    start_with(filter(Level::INFO), format)
}

/// Starts a log that says nothing as long as nothing is broken. Agents of the demo complain of managers
/// that it kills.
pub(crate) fn start_quietly() -> Log {
    let mut quiet = filter(Level::ERROR);
    if let Ok(silent) = AGENTS_SILENT.parse() {
        quiet = quiet.add_directive(silent);
    }
    start_with(quiet, LogFormat::Text)
}

/// Lines that were dropped because nobody read the log in time.
pub(crate) fn lines_dropped() -> u64 {
    DROPPED.get().map_or(0, |dropped| dropped.dropped_lines() as u64)
}

/// What is in the log, if `RUST_LOG` says nothing else.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::builder().with_default_directive(level.into()).from_env_lossy()
}

fn start_with(filter: EnvFilter, format: LogFormat) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(Batched(BufWriter::with_capacity(BATCH_MAX, io::stderr())));
    let dropped = writer.error_counter();
    // Reporting a failure to log goes to standard error too, and panics when that is gone.
    let log = fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    match started {
        // Only the first log is the one that is written to.
        Ok(()) => drop(DROPPED.set(dropped)),
        Err(error) => tracing::debug!(%error, "the log runs already"),
    }
    Log { _writer: guard }
}

/// Standard error, written to in batches.
///
/// The log's thread flushes when nothing waits, and then sleeps until somebody wakes it; a short
/// nap before that lets whoever says something next find it awake. A thousand clients that come
/// and go in a moment cost a few wake-ups and writes, not a thousand.
struct Batched(BufWriter<Stderr>);

impl Write for Batched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(NAP);
        Ok(())
    }
}

const AGENTS_SILENT: &str = "everwire_agent=off";

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that wait to be written: what 4,000 sessions say that end at once, about 1 MiB.
const LINES_MAX: usize = 4096;

/// Nobody who reads along notices it.
const NAP: Duration = Duration::from_millis(10);

/// Bytes of one write: some 200 lines.
const BATCH_MAX: usize = 64 << 10;
