//! The clients of the fault runs: each asks a numbered question at fixed intervals, dials again
//! after 50 ms when its socket ends, and never sends anything twice, unless told otherwise.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;

use super::backend::{config, is_torn};
use super::durable::{LEG, REPLIES, SESSION};
use super::message::{Question, Reply};
use super::record::{Record, Recorder, What};
use super::tamper::Tamper;
use crate::control::{self, Questions};

/// What the clients do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where to dial; several are tried in turn.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<SocketAddr>,
    /// How many clients.
    #[arg(long)]
    clients: u32,
    /// Milliseconds between a client's questions.
    #[arg(long)]
    interval_ms: u64,
    /// How many questions each client asks at most.
    #[arg(long, default_value_t = u64::MAX)]
    questions_max: u64,
    /// Where to write down what happens.
    #[arg(long)]
    records: PathBuf,
    /// Tamper with questions: a control run.
    #[arg(long)]
    tamper: bool,
    /// Send what is unanswered again after a re-dial: a control run.
    #[arg(long)]
    resend: bool,
    /// Milliseconds from the end of a socket to the next dial.
    #[arg(long, default_value_t = 50)]
    redial_ms: u64,
    /// Dial as a gateway would whose backends store, and ignore what they say: a control run.
    #[arg(long)]
    account: bool,
}

/// Chats until asked to finish: then every client waits for its last reply and closes.
pub(crate) async fn run(options: Options) -> Result<()> {
    let recorder = Recorder::open(&options.records)?;
    let options = Arc::new(options);
    let finishing = CancellationToken::new();
    let mut clients = JoinSet::new();
    for id in 0..options.clients {
        let client = Client::new(id, Arc::clone(&options), recorder.clone());
        clients.spawn(client.live(finishing.clone()));
    }
    let mut questions = Questions::listen()?;
    while questions.next().await.is_some() {
        finishing.cancel();
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        control::answer(&())?;
    }
    Ok(())
}

struct Client {
    id: u32,
    options: Arc<Options>,
    recorder: Recorder,
    tamper: Tamper,
    /// Questions asked so far.
    number: u64,
    /// Questions sent and not replied to, in order.
    unanswered: VecDeque<u64>,
    /// Replies received.
    replies: u64,
    dials: usize,
}

/// How a conversation on one socket ended.
#[derive(PartialEq, Eq)]
enum End {
    Finished,
    Dropped,
}

impl Client {
    fn new(id: u32, options: Arc<Options>, recorder: Recorder) -> Self {
        let tamper = Tamper::new(options.tamper.then(|| recorder.clone()));
        let (dials, unanswered) = (id as usize, VecDeque::new());
        Self { id, dials, options, recorder, tamper, number: 0, unanswered, replies: 0 }
    }

    async fn live(mut self, finishing: CancellationToken) -> Result<()> {
        let every = Duration::from_millis(self.options.interval_ms);
        let redial = Duration::from_millis(self.options.redial_ms);
        // Clients are spread over the interval, so that questions come evenly.
        sleep(every * self.id / self.options.clients.max(1)).await;
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.dial().await {
                Some(mut socket) => {
                    if self.chat(&mut socket, &mut ticks, &finishing).await? == End::Finished {
                        let _ = timeout(CLOSE_MAX, close(socket)).await;
                        return Ok(());
                    }
                }
                None => self.note(What::Refused, 0)?,
            }
            if finishing.is_cancelled() {
                return Ok(());
            }
            sleep(redial).await;
        }
    }

    async fn dial(&mut self) -> Option<WebSocketStream<TcpStream>> {
        let target = *self.options.targets.get(self.dials % self.options.targets.len())?;
        self.dials += 1;
        let dial = async {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            client_async_with_config(self.request(target)?, stream, Some(config())).await
        };
        Some(timeout(DIAL_MAX, dial).await.ok()?.ok()?.0)
    }

    fn request(&self, target: SocketAddr) -> Result<Request, Error> {
        let mut request = format!("ws://{target}/chat").into_client_request()?;
        if self.options.account {
            let account =
                [(SESSION, u64::from(self.id)), (LEG, self.dials as u64), (REPLIES, self.replies)];
            for (name, value) in account {
                request.headers_mut().insert(name, value.into());
            }
        }
        Ok(request)
    }

    async fn chat(
        &mut self,
        socket: &mut WebSocketStream<TcpStream>,
        ticks: &mut Interval,
        finishing: &CancellationToken,
    ) -> Result<End> {
        if self.options.resend && self.send_again(socket).await.is_err() {
            return self.dropped(NO_CLOSE);
        }
        let patience = sleep(Duration::MAX);
        tokio::pin!(patience);
        let mut finishes = false;
        loop {
            if finishes && self.unanswered.is_empty() {
                return Ok(End::Finished);
            }
            let asks = !finishes && self.number < self.options.questions_max;
            tokio::select! {
                heard = socket.next() => match heard {
                    Some(Ok(Message::Binary(bytes))) => self.hear(&bytes)?,
                    Some(Ok(Message::Close(frame))) => {
                        return self.dropped(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        if is_torn(&error) {
                            self.note(What::Torn, 0)?;
                        }
                        return self.dropped(NO_CLOSE);
                    }
                    None => return self.dropped(NO_CLOSE),
                },
                _ = ticks.tick(), if asks => {
                    if self.ask(socket).await?.is_err() {
                        return self.dropped(NO_CLOSE);
                    }
                }
                () = finishing.cancelled(), if !finishes => {
                    finishes = true;
                    patience.set(sleep(LAST_REPLY_MAX));
                }
                () = &mut patience, if finishes => return Ok(End::Finished),
            }
        }
    }

    /// Asks the next question; the inner error is the socket's.
    async fn ask(&mut self, socket: &mut WebSocketStream<TcpStream>) -> Result<Result<(), Error>> {
        self.number += 1;
        let question = Question { client: self.id, number: self.number };
        let sent = async {
            for message in self.tamper.pass(self.number, question.encode())? {
                send(socket, self.number, message).await?;
            }
            Ok(())
        };
        if let Err(error) = sent.await {
            return Ok(Err(error));
        }
        self.unanswered.push_back(self.number);
        if self.unanswered.len() > UNANSWERED_MAX {
            self.unanswered.pop_front();
        }
        Ok(Ok(self.note(What::Sent, self.number)?))
    }

    async fn send_again(&mut self, socket: &mut WebSocketStream<TcpStream>) -> Result<(), Error> {
        for &number in &self.unanswered {
            let question = Question { client: self.id, number };
            send(socket, number, question.encode()).await?;
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<()> {
        let reply = match Reply::decode(bytes) {
            Ok(reply) if reply.question.client == self.id => reply,
            Ok(torn) | Err(Some(torn)) => {
                let record = Record::new(What::Torn, self.id, 0);
                return Ok(self.recorder.write(record.on_leg(torn.leg, torn.leg_number))?);
            }
            Err(None) => return self.note(What::Torn, 0),
        };
        let number = reply.question.number;
        self.replies += 1;
        self.unanswered.retain(|asked| *asked > number);
        let got = Record::new(What::Got, self.id, number).on_leg(reply.leg, reply.leg_number);
        Ok(self.recorder.write(got)?)
    }

    fn dropped(&self, code: u16) -> Result<End> {
        self.note(What::Dropped, u64::from(code))?;
        Ok(End::Dropped)
    }

    fn note(&self, what: What, number: u64) -> Result<()> {
        Ok(self.recorder.write(Record::new(what, self.id, number))?)
    }
}

/// Sends a message whole, or every sixteenth in three fragments.
async fn send(
    socket: &mut WebSocketStream<TcpStream>,
    number: u64,
    message: Vec<u8>,
) -> Result<(), Error> {
    let message = Bytes::from(message);
    if number % 16 != 3 {
        return socket.send(Message::Binary(message)).await;
    }
    let (first, second) = (message.len() / 3, 2 * message.len() / 3);
    let frames = [
        (message.slice(..first), Data::Binary, false),
        (message.slice(first..second), Data::Continue, false),
        (message.slice(second..), Data::Continue, true),
    ];
    for (bytes, data, last) in frames {
        socket.feed(Message::Frame(Frame::message(bytes, OpCode::Data(data), last))).await?;
    }
    socket.flush().await
}

async fn close(mut socket: WebSocketStream<TcpStream>) -> Result<(), Error> {
    socket.close(None).await?;
    while let Some(Ok(_)) = socket.next().await {}
    Ok(())
}

/// The close code of an end without Close.
const NO_CLOSE: u16 = 1006;
const DIAL_MAX: Duration = Duration::from_secs(10);
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// How long a client that finishes waits for what it has asked.
const LAST_REPLY_MAX: Duration = Duration::from_secs(3);
/// Questions remembered as open; the oldest is forgotten, and only costs the end some patience.
const UNANSWERED_MAX: usize = 10_000;
