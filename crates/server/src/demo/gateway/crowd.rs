//! The live clients: each sends numbered messages and checks every answer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use everwire_proto::ws::message::Message;
use everwire_socket::{
    handshake::{HandshakeError, connect},
    message::{MessageSocket, SocketConfig, SocketError},
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::backend;
use crate::{clock::Moment, demo::message, failure::Failure};

/// All clients.
pub(super) struct Crowd {
    clients: JoinSet<Report>,
    tally: Arc<Tally>,
    stop: CancellationToken,
}

/// What is counted while it runs.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) connected: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) answered: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// What one client saw.
#[derive(Default)]
pub(super) struct Report {
    pub(super) client: usize,
    pub(super) sent: u64,
    pub(super) unanswered: u64,
    pub(super) doubled: u64,
    pub(super) reordered: u64,
    pub(super) damaged: u64,
    pub(super) dropped: u64,
    /// The longest that an answer took.
    pub(super) slowest: Duration,
}

impl Crowd {
    /// Connects all clients; each dials the targets in turn, beginning with its own.
    pub(super) async fn start(count: usize, targets: &[SocketAddr]) -> Result<Self, Failure> {
        let mut crowd =
            Self { clients: JoinSet::new(), tally: Arc::default(), stop: CancellationToken::new() };
        for id in 0..count {
            let client = Client::new(id, targets, Arc::clone(&crowd.tally), crowd.stop.clone());
            crowd.clients.spawn(client.run());
        }
        let all = count as u64;
        let connected = async {
            while crowd.tally.connected.load(Ordering::Relaxed) < all {
                sleep(RETRY).await;
            }
        };
        match timeout(CONNECT_TIMEOUT, connected).await {
            Ok(()) => Ok(crowd),
            Err(_) => Err(Failure::failed("the clients cannot connect")),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// No more messages; waits until the last answer or for the end of patience.
    pub(super) async fn finish(mut self) -> Vec<Report> {
        self.stop.cancel();
        let mut reports = Vec::new();
        while let Some(report) = self.clients.join_next().await {
            reports.extend(report);
        }
        reports
    }
}

struct Client {
    targets: Vec<SocketAddr>,
    next_target: usize,
    tally: Arc<Tally>,
    stop: CancellationToken,
    report: Report,
    /// Messages without an answer, and when they were sent.
    waiting: BTreeMap<u64, Moment>,
    last_answered: u64,
}

impl Client {
    fn new(id: usize, targets: &[SocketAddr], tally: Arc<Tally>, stop: CancellationToken) -> Self {
        Self {
            targets: targets.to_vec(),
            next_target: id,
            tally,
            stop,
            report: Report { client: id, ..Report::default() },
            waiting: BTreeMap::new(),
            last_answered: 0,
        }
    }

    async fn run(mut self) -> Report {
        let period = Duration::from_secs(1) / MESSAGES_PER_SECOND;
        // The clients do not speak in chorus: a fault meets some of them at any moment.
        let mut ticks = interval(period);
        ticks.reset_after(period.mul_f64(rand::random()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, tally) = (self.stop.clone(), Arc::clone(&self.tally));
        let chatting = async {
            let mut socket = self.connect().await;
            self.tally.connected.fetch_add(1, Ordering::Relaxed);
            while self.chat(&mut socket, &mut ticks).await.is_err() {
                self.report.dropped += 1;
                self.tally.dropped.fetch_add(1, Ordering::Relaxed);
                socket = self.connect().await;
            }
        };
        tokio::select! {
            () = chatting => {}
            () = patience(stop, &tally) => {}
        }
        self.report.unanswered = self.waiting.len() as u64;
        self.report
    }

    /// Sends and checks until all is answered after the stop; an error means that the socket is
    /// gone. A message that was on its way then is not sent again: the client cannot know.
    async fn chat(
        &mut self,
        socket: &mut MessageSocket<TcpStream>,
        ticks: &mut Interval,
    ) -> Result<(), SocketError> {
        let stop = self.stop.clone();
        while !(stop.is_cancelled() && self.is_settled()) {
            tokio::select! {
                incoming = socket.receive() => match incoming? {
                    Message::Text(answer) => self.check(answer.as_bytes()),
                    Message::Binary(answer) => self.check(&answer),
                    Message::Ping(_) | Message::Pong(_) => {}
                    Message::Close(_) => return Err(SocketError::Vanished),
                },
                _ = ticks.tick(), if !stop.is_cancelled() => {
                    self.report.sent += 1;
                    let number = self.report.sent;
                    self.waiting.insert(number, Moment::now());
                    self.tally.sent.fetch_add(1, Ordering::Relaxed);
                    let text = message::write(self.report.client, number);
                    socket.send(&Message::Text(text)).await?;
                }
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    fn check(&mut self, answer: &[u8]) {
        let Some(number) = self.read_answer(answer) else {
            self.report.damaged += 1;
            return;
        };
        match self.waiting.remove(&number) {
            Some(sent) => {
                self.report.slowest = self.report.slowest.max(sent.elapsed());
                self.tally.answered.fetch_add(1, Ordering::Relaxed);
            }
            None => self.report.doubled += 1,
        }
        self.report.reordered += u64::from(number < self.last_answered);
        self.last_answered = self.last_answered.max(number);
    }

    /// The number of the message that this answers, if both are whole and this client's own.
    fn read_answer(&self, answer: &[u8]) -> Option<u64> {
        let mut parts = answer.splitn(3, |byte| *byte == b' ');
        let position = str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let said = parts.nth(1)?;
        let (client, number) = message::read(said)?;
        let whole = backend::answer(position, said) == answer && client == self.report.client;
        whole.then_some(number)
    }

    async fn connect(&mut self) -> MessageSocket<TcpStream> {
        loop {
            let target = self.targets[self.next_target % self.targets.len()];
            self.next_target += 1;
            match timeout(OPEN_TIMEOUT, open(target, self.report.client)).await {
                Ok(Ok(socket)) => return socket,
                _ => sleep(RETRY).await,
            }
        }
    }
}

async fn open(
    target: SocketAddr,
    client: usize,
) -> Result<MessageSocket<TcpStream>, HandshakeError> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let path = format!("/clients/{client}");
    connect(stream, &target.to_string(), &path, "", SocketConfig::default()).await
}

/// How long a client waits for its last answers: while anybody still gets one.
async fn patience(stop: CancellationToken, tally: &Tally) {
    stop.cancelled().await;
    let answered = || tally.answered.load(Ordering::Relaxed);
    let mut before = None;
    while before.replace(answered()) != Some(answered()) {
        sleep(SETTLE).await;
    }
}

/// What each client sends.
pub(super) const MESSAGES_PER_SECOND: u32 = 10;

const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(50);
/// Without an answer to anybody for this long, no more are expected.
const SETTLE: Duration = Duration::from_secs(5);
