//! An audience and its publisher: everybody is to hear everything, once and in order.
//!
//! Every message carries a number. A client that hears another than the next ends the process, and
//! so does one that hears too little: then the run is void.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::dialect::Dialect;
use crate::control::{self, Questions};
use crate::stats::percentile;
use crate::{clock, wire};

/// Who hears what.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The server.
    #[arg(long)]
    target: SocketAddr,
    /// How many clients.
    #[arg(long)]
    connections: u64,
    /// Bytes of each message.
    #[arg(long)]
    size: usize,
    #[arg(long, value_enum)]
    dialect: Dialect,
}

/// The question.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// So many bursts of so many messages, and how many microseconds lie between two bursts.
    Publish { bursts: u64, burst: u64, every_us: u64 },
    /// One more client that never reads again, and messages until it takes no more.
    AddSlow,
    /// Those clients go.
    DropSlow,
}

/// The answer, once everybody has heard everything.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Heard {
    /// Messages times clients.
    pub(crate) deliveries: f64,
    /// From publishing to the median client, in microseconds.
    pub(crate) p50_us: f64,
    /// The same for the 99th of a hundred deliveries.
    pub(crate) p99_us: f64,
    /// The 99th of a hundred deliveries of the median message: what others compute meanwhile, and
    /// a hiccup of one message, do not show here.
    pub(crate) each_us: f64,
}

/// Runs until the benchmark goes; each question is an [`Order`].
pub(crate) async fn run(options: Options) -> Result<()> {
    let mut audience = Audience::gather(options).await?;
    let mut questions = Questions::listen()?;
    while let Some(question) = audience.attentive(questions.next()).await? {
        let heard = match serde_json::from_str(&question)? {
            Order::Publish { bursts, burst, every_us } => {
                audience.publish(bursts, burst, Duration::from_micros(every_us)).await?
            }
            Order::AddSlow => audience.add_slow().await?,
            Order::DropSlow => {
                audience.slow.clear();
                audience.tally.take()
            }
        };
        control::answer(&heard)?;
    }
    Ok(())
}

struct Audience {
    options: Options,
    head: Vec<u8>,
    clients: JoinSet<Result<()>>,
    publisher: OwnedWriteHalf,
    tally: Arc<Tally>,
    /// Connections that are open and never read.
    slow: Vec<Connection>,
}

/// What has been published and heard.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// When each message was published.
    published: Vec<Instant>,
    /// Clients that have heard anything.
    awake: u64,
    deliveries: u64,
    /// The number of each message heard, and how long it took.
    nanos: Vec<(usize, u32)>,
}

impl Audience {
    /// Opens all connections, and publishes until everybody hears.
    async fn gather(options: Options) -> Result<Self> {
        let head = wire::request_head(&options.target.to_string(), super::hold::HEAD_LEN);
        let tally = Arc::new(Tally::default());
        let mut clients = JoinSet::new();
        for _ in 0..options.connections {
            let mut connection = Connection::open(options.target, &head).await?;
            options.dialect.greet(&mut connection).await?;
            clients.spawn(hear(connection, Arc::clone(&tally)));
        }
        let (answers, publisher) =
            options.dialect.open_publisher(options.target).await?.into_split();
        clients.spawn(ignore(answers));
        let mut audience = Self { options, head, clients, publisher, tally, slow: Vec::new() };
        let start = clock::now();
        while audience.tally.counts().awake < audience.options.connections {
            ensure!(start.elapsed() < PATIENCE, "not everybody hears what is published");
            audience.say(1).await?;
            audience.attentive(sleep(SETTLE)).await?;
        }
        audience.attentive(sleep(SETTLE)).await?;
        audience.tally.take();
        Ok(audience)
    }

    async fn publish(&mut self, bursts: u64, burst: u64, every: Duration) -> Result<Heard> {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..bursts {
            self.attentive(ticks.tick()).await?;
            self.say(burst).await?;
        }
        let all = bursts * burst * self.options.connections;
        let start = clock::now();
        loop {
            let heard = self.tally.counts().deliveries;
            if heard >= all {
                return Ok(self.tally.take());
            }
            ensure!(start.elapsed() < PATIENCE, "lost: {heard} of {all} deliveries");
            self.attentive(sleep(POLL)).await?;
        }
    }

    async fn add_slow(&mut self) -> Result<Heard> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Small segments and little room keep the system from taking megabytes for the client.
        socket.set_tcp_mss(SLOW_MSS)?;
        socket.set_recv_buffer_size(SLOW_ROOM)?;
        socket.connect(&self.options.target.into())?;
        socket.set_nonblocking(true)?;
        let stream = TcpStream::from_std(socket.into())?;
        let mut connection = Connection::over(stream, &self.head).await?;
        self.options.dialect.greet(&mut connection).await?;
        self.slow.push(connection);
        self.publish(FILL_BURSTS, FILL_BURST, FILL_EVERY).await
    }

    /// Publishes messages with one write.
    async fn say(&mut self, count: u64) -> Result<()> {
        let texts: Vec<String> = {
            let mut counts = self.tally.counts();
            let numbers = (counts.published.len()..).take(usize::try_from(count)?);
            let texts = numbers.map(|number| text(number, self.options.size)).collect();
            let now = clock::now();
            counts.published.extend((0..count).map(|_| now));
            texts
        };
        Ok(self.publisher.write_all(&self.options.dialect.publication(&texts)).await?)
    }

    /// Waits for something, unless a client ends: none should.
    async fn attentive<T>(&mut self, wanted: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = wanted => Ok(done),
            Some(ended) = self.clients.join_next() => bail!("a client ended: {ended:?}"),
        }
    }
}

impl Tally {
    /// A client has heard messages, of which `next` is the first that it has not; what it hears
    /// first may be any.
    fn add(&self, next: &mut Option<usize>, numbers: &[usize]) -> Result<()> {
        let now = clock::now();
        let mut counts = self.counts();
        for &number in numbers {
            match *next {
                None => counts.awake += 1,
                Some(next) => ensure!(number == next, "heard {number} instead of {next}"),
            }
            *next = Some(number + 1);
            let published = *counts.published.get(number).context("heard what nobody has said")?;
            let nanos = u32::try_from((now - published).as_nanos()).unwrap_or(u32::MAX);
            counts.nanos.push((number, nanos));
            counts.deliveries += 1;
        }
        Ok(())
    }

    fn take(&self) -> Heard {
        let mut counts = self.counts();
        let deliveries = std::mem::take(&mut counts.deliveries) as f64;
        let mut numbered = std::mem::take(&mut counts.nanos);
        drop(counts);
        numbered.sort_unstable();
        let messages = numbered.chunk_by(|(one, _), (other, _)| one == other);
        let mut each: Vec<u32> = messages.map(|message| percentile(message, 0.99).1).collect();
        let mut nanos: Vec<u32> = numbered.iter().map(|(_, nanos)| *nanos).collect();
        nanos.sort_unstable();
        each.sort_unstable();
        let micros = |sorted: &[u32], share| f64::from(percentile(sorted, share)) / 1000.0;
        Heard {
            deliveries,
            p50_us: micros(&nanos, 0.5),
            p99_us: micros(&nanos, 0.99),
            each_us: micros(&each, 0.5),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear(mut connection: Connection, tally: Arc<Tally>) -> Result<()> {
    let (mut next, mut numbers) = (None, Vec::new());
    loop {
        connection.listen(|payload| numbers.extend(number(payload))).await?;
        tally.add(&mut next, &numbers)?;
        numbers.clear();
    }
}

/// What a publisher is answered does not matter: whether it was heard is seen elsewhere.
async fn ignore(mut answers: OwnedReadHalf) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    while answers.read(&mut buffer).await? != 0 {}
    bail!("the server has ended the publisher's connection")
}

/// A message of so many bytes that carries a number.
fn text(number: usize, size: usize) -> String {
    format!("{:x<size$}", format!("{MARK}{number:0DIGITS$}"))
}

/// The number that a message carries, whatever is around it; `None` if it is not one of ours.
fn number(payload: &[u8]) -> Option<usize> {
    let at = payload.iter().position(|byte| *byte == MARK as u8)? + 1;
    std::str::from_utf8(payload.get(at..at + DIGITS)?).ok()?.parse().ok()
}

/// Stands before a message's number, and nowhere else.
const MARK: char = '#';
const DIGITS: usize = 10;
const SLOW_MSS: u32 = 536;
const SLOW_ROOM: usize = 2048;
/// Some 50 KB: nothing that the system keeps for so small a window takes them.
const FILL_BURSTS: u64 = 25;
const FILL_BURST: u64 = 16;
const FILL_EVERY: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(2);
/// A delivery that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_whatever_is_around_it() {
        assert_eq!(text(42, 128).len(), 128);
        assert_eq!(number(format!("[\"{}\"]", text(42, 128)).as_bytes()), Some(42));
        assert_eq!(number(b"{\"type\":6}"), None);
    }

    #[test]
    fn a_lost_a_doubled_and_a_foreign_message_void_the_run() {
        let tally = Tally::default();
        tally.counts().published = vec![clock::now(); 5];
        let heard = |numbers: &[usize]| tally.add(&mut Some(1), numbers).is_ok();
        assert!(heard(&[1, 2, 3]));
        assert!(!heard(&[2]));
        assert!(!heard(&[1, 1]));
        assert!(!heard(&[1, 2, 3, 4, 5]));
    }
}
