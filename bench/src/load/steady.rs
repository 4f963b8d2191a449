//! Steady load: so many messages in flight on so many connections, round trips counted and timed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::connection::{Connection, Message};
use super::dialect::Dialect;
use crate::control::{self, Questions};
use crate::stats::percentile;
use crate::{clock, wire};

/// What a steady load consists of.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// How many connections.
    #[arg(long)]
    connections: u32,
    /// Bytes per message.
    #[arg(long)]
    size: usize,
    /// Messages in flight on each connection.
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Milliseconds from one message of a connection to its next; 0 is as fast as echoes come.
    #[arg(long, default_value_t = 0)]
    every_ms: u32,
    /// How a server that is not an echo's is called.
    #[arg(long, value_enum, conflicts_with = "in_flight")]
    dialect: Option<Dialect>,
}

/// What was counted since the question before.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Round trips.
    pub(crate) messages: f64,
    /// Median round trip in microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile in microseconds.
    pub(crate) p99_us: f64,
}

/// Runs until the benchmark goes; every question is answered with [`Counted`].
pub(crate) async fn run(options: Options) -> Result<()> {
    let tally = Arc::new(Tally::default());
    let message = Arc::new(match options.dialect {
        Some(dialect) => dialect.call(options.size),
        None => Message::new(options.size, options.in_flight),
    });
    let head = wire::request_head(&options.target.to_string(), super::hold::HEAD_LEN);
    let mut talks = JoinSet::new();
    for number in 0..options.connections {
        let mut connection = Connection::open(options.target, &head).await?;
        if let Some(dialect) = options.dialect {
            dialect.greet(&mut connection).await?;
        }
        let pace = Pace::new(&options, number);
        let (message, tally) = (Arc::clone(&message), Arc::clone(&tally));
        let in_flight = options.in_flight;
        talks.spawn(async move { talk(connection, &message, in_flight, pace, &tally).await });
    }
    let mut questions = Questions::listen()?;
    loop {
        tokio::select! {
            question = questions.next() => match question {
                Some(_) => control::answer(&tally.take().await)?,
                None => return Ok(()),
            },
            Some(ended) = talks.join_next() => bail!("a connection of the load ended: {ended:?}"),
        }
    }
}

async fn talk(
    mut connection: Connection,
    message: &Message,
    in_flight: usize,
    mut pace: Pace,
    tally: &Tally,
) -> std::io::Result<()> {
    let mut count = in_flight;
    loop {
        pace.wait().await;
        let sent = clock::now();
        connection.send(message, count).await?;
        count = connection.receive(message).await?;
        tally.add(count, sent).await;
    }
}

/// When a connection may send its next message.
///
/// The moments are fixed and spread evenly over all connections: a pause counted from the echo
/// would let connections that once met stay together for good.
struct Pace(Option<Interval>);

impl Pace {
    fn new(options: &Options, number: u32) -> Self {
        if options.every_ms == 0 {
            return Self(None);
        }
        let every = Duration::from_millis(options.every_ms.into());
        let offset = every * number / options.connections;
        let mut ticks = interval_at(tokio::time::Instant::from_std(clock::now() + offset), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self(Some(ticks))
    }

    async fn wait(&mut self) {
        if let Some(ticks) = &mut self.0 {
            ticks.tick().await;
        }
    }
}

#[derive(Default)]
struct Tally {
    messages: AtomicU64,
    nanos: Mutex<Vec<u32>>,
}

impl Tally {
    /// One time is kept per batch of echoes; with one message in flight it is the round trip.
    async fn add(&self, echoes: usize, sent: Instant) {
        self.messages.fetch_add(echoes as u64, Ordering::Relaxed);
        let took = u32::try_from((clock::now() - sent).as_nanos()).unwrap_or(u32::MAX);
        let mut nanos = self.nanos.lock().await;
        if nanos.len() < SAMPLES_MAX {
            nanos.push(took);
        }
    }

    async fn take(&self) -> Counted {
        let messages = self.messages.swap(0, Ordering::Relaxed) as f64;
        let mut nanos = std::mem::take(&mut *self.nanos.lock().await);
        nanos.sort_unstable();
        let micros = |share| f64::from(percentile(&nanos, share)) / 1000.0;
        Counted { messages, p50_us: micros(0.5), p99_us: micros(0.99) }
    }
}

/// A window of seconds at 100,000 round trips a second fits; later ones are only counted.
const SAMPLES_MAX: usize = 2_000_000;
