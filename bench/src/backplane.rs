//! `everwire-bench backplane`: what the bus adds to what Redis costs.
//!
//! A Redis of the run's own; `redis-benchmark` and a node in turn append the same entries with the
//! same commands; the median of the rounds counts. Both share the processors with the server.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use everwire_backplane::redis::{Config, Redis};
use everwire_backplane::{Bus, Channel, Fate, HEAD, Item, Start, Subscription};

use crate::process::{Process, Talk};
use crate::stats::percentile;
use crate::{clock, meter, table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Messages of each round.
    #[arg(long, default_value_t = 300_000)]
    messages: u64,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One round's figures.
#[derive(Default)]
struct Round {
    /// Entries a second of `redis-benchmark`.
    redis: f64,
    /// Messages a second of one node.
    node: f64,
    /// Microseconds of a node's processor for each message that it receives and drops.
    receiving: f64,
    /// Milliseconds from one node to another, one message at a time; 99 of 100 are quicker.
    latency: f64,
    /// The same for a bare append with its answer.
    append: f64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let folder = std::env::temp_dir().join(format!("everwire-backplane-{port}"));
    std::fs::create_dir(&folder)?;
    let result = measure(options, port, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(options: &Options, port: u16, folder: &Path) -> Result<()> {
    let server = ["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]
        .map(std::ffi::OsString::from);
    let log = folder.join("log");
    let mut server = Process::start(Path::new("redis-server"), &server, log, Talk::Logged)?;
    server.wait_listening((Ipv4Addr::LOCALHOST, port).into())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let mut round = Round { redis: reference(port, options.messages)?, ..Round::default() };
        runtime.block_on(measure_node(port, options.messages, &mut round))?;
        rounds.push(round);
    }
    print(&rounds);
    Ok(())
}

/// What `redis-benchmark` reaches with one connection and the pipelines of a node.
fn reference(port: u16, messages: u64) -> Result<f64> {
    let (count, entry) = (messages.to_string(), "x".repeat(HEAD + PAYLOAD));
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-n", &count, "-c", "1", "-P", PIPELINE, "--csv"]);
    command.args(["XADD", "reference", "MAXLEN", "~", "16384", "*", "e", &entry]);
    let output = command.output().context("redis-benchmark, of Debian's redis-tools")?;
    ensure!(output.status.success(), "redis-benchmark failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("redis-benchmark said nothing")?;
    let fields: Vec<&str> = line.rsplit("\",\"").collect();
    // The last seven fields are the rate and six latencies.
    let rate = fields.get(6).context("redis-benchmark said something else")?;
    rate.trim_matches('"').parse().context("redis-benchmark's rate")
}

async fn measure_node(port: u16, messages: u64, round: &mut Round) -> Result<()> {
    let start = || Redis::start(Config::new(format!("redis://127.0.0.1:{port}")));
    let channel = Channel::new("bench")?;
    let (publisher, receiver) = (start()?, start()?);
    let payload = Bytes::from(vec![b'x'; PAYLOAD]);
    stored(publisher.publish(&channel, payload.clone()).await)?;
    let begun = clock::now();
    publish(&publisher, &channel, &payload, messages).await?;
    round.node = messages as f64 / begun.elapsed().as_secs_f64();
    round.append =
        latencies(async || stored(publisher.publish(&channel, payload.clone()).await)).await?;
    let mut subscription = receiver.subscribe(&channel, Start::Now);
    ensure!(subscription.next().await == Some(Item::Reachable(true)), "the node did not begin");
    round.latency = latencies(async || {
        drop(publisher.publish(&channel, payload.clone()));
        receive(&mut subscription, 1).await
    })
    .await?;
    // What publishing costs is measured without a receiver, and taken off what both cost.
    let alone = Channel::new("alone")?;
    let own = [std::process::id()];
    let mut spent = [Duration::ZERO; 2];
    for (spent, (channel, received)) in spent.iter_mut().zip([(&alone, false), (&channel, true)]) {
        let before = meter::processor_time(&own)?;
        // In portions that wait for one another: a receiver that shares the processors with its
        // publisher would fall behind what the stream keeps.
        for _ in 0..messages / PORTION {
            publish(&publisher, channel, &payload, PORTION).await?;
            if received {
                receive(&mut subscription, PORTION).await?;
            }
        }
        *spent = meter::processor_time(&own)?.saturating_sub(before);
    }
    let portions = messages / PORTION * PORTION;
    round.receiving = spent[1].saturating_sub(spent[0]).as_secs_f64() * 1e6 / portions as f64;
    Ok(())
}

/// As fast as the queue takes them: a window of messages is always underway.
async fn publish(node: &Redis, channel: &Channel, payload: &Bytes, messages: u64) -> Result<()> {
    let mut underway = std::collections::VecDeque::new();
    for _ in 0..messages {
        if underway.len() >= WINDOW
            && let Some(oldest) = underway.pop_front()
        {
            stored(oldest.await)?;
        }
        underway.push_back(node.publish(channel, payload.clone()));
    }
    for publishing in underway {
        stored(publishing.await)?;
    }
    Ok(())
}

/// Looks at each message's header and drops it, as a node without members does.
async fn receive(subscription: &mut Subscription, messages: u64) -> Result<()> {
    let mut received = 0;
    while received < messages {
        match subscription.next().await.context("the bus ended")? {
            Item::Message(message) => received += u64::from(message.origin.sequence > 0),
            Item::Reachable(_) => {}
            Item::Gap(gap) => anyhow::bail!("messages were lost: {gap:?}"),
        }
    }
    Ok(())
}

/// Milliseconds that 99 of 100 runs stay below.
async fn latencies(mut once: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    let mut nanos = Vec::new();
    for _ in 0..SAMPLES {
        let begun = clock::now();
        once().await?;
        nanos.push(begun.elapsed().as_nanos() as u64);
    }
    nanos.sort_unstable();
    Ok(percentile(&nanos, 0.99) as f64 / 1e6)
}

fn stored(fate: Fate) -> Result<()> {
    ensure!(matches!(fate, Fate::Stored(_)), "a message was not stored: {fate:?}");
    Ok(())
}

fn print(rounds: &[Round]) {
    let median = |figure: fn(&Round) -> f64| {
        let spread = crate::stats::Spread::of(rounds.iter().map(figure));
        spread.map_or(f64::NAN, |spread| spread.median)
    };
    let (redis, node) = (median(|round| round.redis), median(|round| round.node));
    let ratio = median(|round| round.node / round.redis);
    let verdict = if ratio >= RATIO_MIN { "met" } else { "missed" };
    let rows = [
        ["figure".into(), "value".into(), "target".into()],
        ["redis-benchmark, entries/s".into(), format!("{redis:.0}"), String::new()],
        ["a node, messages/s".into(), format!("{node:.0}"), String::new()],
        ["ratio".into(), format!("{ratio:.2}"), format!("at least {RATIO_MIN}: {verdict}")],
        [
            "append and answer, p99 ms".into(),
            format!("{:.3}", median(|round| round.append)),
            String::new(),
        ],
        [
            "node to node, p99 ms".into(),
            format!("{:.3}", median(|round| round.latency)),
            String::new(),
        ],
        [
            "received and dropped, µs of processor".into(),
            format!("{:.2}", median(|round| round.receiving)),
            String::new(),
        ],
    ];
    #[expect(clippy::print_stdout, reason = "this is the program's output")]
    {
        println!("{}", table::render(&rows.map(Vec::from)));
    }
}

/// Bytes of a message.
const PAYLOAD: usize = 256;

/// Commands that `redis-benchmark` sends at once: as many as a node does at most.
const PIPELINE: &str = "1024";

/// Messages that are underway: two pipelines of a node, and as many that wait behind them.
const WINDOW: usize = 4096;

/// Messages that are published before they are received, where both are measured.
const PORTION: u64 = 4000;

/// Messages of which each latency is taken.
const SAMPLES: usize = 2000;

/// The share of what `redis-benchmark` reaches that a node is to reach.
const RATIO_MIN: f64 = 0.8;
