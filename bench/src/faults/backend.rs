//! The backend of the fault runs: takes questions, works a moment on each, replies.
//!
//! It is built on tungstenite, so that a second opinion judges every frame that reaches it. It
//! writes down a question when half of the work is done and a reply when the kernel has it: killed
//! before that it never took the question, killed after it the reply is missing. With a store it is
//! a backend that cooperates: it takes a question by storing it, acknowledges it, and a reply that
//! is missing is given on the next leg. Asked to leave, it stops listening, closes every connection
//! with 1012, takes what still arrives, and is done.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};
use tokio_util::sync::CancellationToken;

use super::durable;
use super::judge::{BACKEND_SHIFT, LIFE_SHIFT};
use super::message::{Question, Reply};
use super::record::{Record, Recorder, What};
use super::store::Session;
use super::tamper::Tamper;
use crate::control::{self, Questions};
use crate::echo::listen;

/// How a backend runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Which backend it is.
    #[arg(long)]
    number: u64,
    /// How often this backend has been started before.
    #[arg(long)]
    life: u64,
    /// Where to write down what happens.
    #[arg(long)]
    records: PathBuf,
    /// Milliseconds of work on each question.
    #[arg(long)]
    work_ms: u64,
    /// Where to store questions, together with the other backends: exactly once.
    #[arg(long)]
    store: Option<PathBuf>,
    /// Tamper with replies: a control run.
    #[arg(long)]
    tamper: bool,
}

/// Serves until asked to leave or until the benchmark goes.
pub(crate) async fn run(options: Options) -> Result<()> {
    let listener = listen(options.listen)?;
    let recorder = Recorder::open(&options.records)?;
    let leaving = CancellationToken::new();
    let mut legs = JoinSet::new();
    let mut count = 0;
    let mut questions = Questions::listen()?;
    loop {
        tokio::select! {
            question = questions.next() => match question {
                Some(_) => break,
                None => return Ok(()),
            },
            Some(_) = legs.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                count += 1;
                let name = options.number << BACKEND_SHIFT | options.life << LIFE_SHIFT | count;
                let leg = Leg::new(name, &options, recorder.clone());
                legs.spawn(leg.serve(stream, options.store.clone(), leaving.clone()));
            }
        }
    }
    drop(listener);
    leaving.cancel();
    let _ = timeout(GOODBYE_MAX, async { while legs.join_next().await.is_some() {} }).await;
    control::answer(&())
}

/// A backend's side of a connection.
pub(super) type Socket = WebSocketStream<TcpStream>;

/// One connection to the backend.
struct Leg {
    name: u64,
    replies: u64,
    /// With a store: what is stored of the conversation, whose replies go on from leg to leg.
    session: Option<Session>,
    half_work: Duration,
    recorder: Recorder,
    tamper: Tamper,
}

impl Leg {
    fn new(name: u64, options: &Options, recorder: Recorder) -> Self {
        let half_work = Duration::from_millis(options.work_ms) / 2;
        let tamper = Tamper::new(options.tamper.then(|| recorder.clone()));
        Self { name, replies: 0, session: None, half_work, recorder, tamper }
    }

    async fn serve(
        mut self,
        stream: TcpStream,
        store: Option<PathBuf>,
        leaving: CancellationToken,
    ) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut socket = match store {
            None => accept_async_with_config(stream, Some(config())).await?,
            Some(store) => self.resume(stream, &store).await?,
        };
        let mut closing = false;
        loop {
            let message = tokio::select! {
                biased;
                () = leaving.cancelled(), if !closing => {
                    closing = true;
                    socket.close(Some(restart())).await?;
                    continue;
                }
                message = socket.next() => message,
            };
            match message {
                Some(Ok(Message::Binary(bytes))) => {
                    self.take(&mut socket, &bytes, closing).await?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return self.ended(&error),
                None => return Ok(()),
            }
        }
    }

    /// Takes the conversation up where the store has it, beginning with the missing replies.
    async fn resume(&mut self, stream: TcpStream, store: &Path) -> Result<Socket> {
        let (mut socket, session, replies) = durable::accept(stream, store, self.name).await?;
        self.replies = replies;
        let missing = session.questions_after(replies);
        self.session = Some(session);
        for question in missing {
            self.reply(&mut socket, question, &question.encode()).await?;
        }
        Ok(socket)
    }

    async fn take(&mut self, socket: &mut Socket, bytes: &[u8], closing: bool) -> Result<()> {
        let question = match Question::decode(bytes) {
            Ok(question) => question,
            Err(torn) => {
                let Question { client, number } = torn.unwrap_or(NOBODY);
                return Ok(self.recorder.write(Record::new(What::Torn, client, number))?);
            }
        };
        self.work().await;
        match &mut self.session {
            None => {
                let took = Record::new(What::Took, question.client, question.number);
                self.recorder.write(took.on_leg(self.name, 0))?;
            }
            Some(session) => ensure!(session.store(question)?, "a later leg has this session"),
        }
        self.work().await;
        // After its Close a backend may take what still arrives, but not reply to it.
        if closing {
            return Ok(());
        }
        if let Some(session) = &self.session {
            durable::acknowledge(socket, session).await?;
        }
        self.reply(socket, question, bytes).await
    }

    async fn reply(&mut self, socket: &mut Socket, to: Question, bytes: &[u8]) -> Result<()> {
        self.replies += 1;
        let stream = self.session.as_ref().map_or(self.name, Session::stream);
        let reply = Reply::encode(stream, self.replies, bytes);
        for message in self.tamper.pass(self.replies, reply)? {
            socket.send(Message::Binary(Bytes::from(message))).await?;
        }
        let told = Record::new(What::Told, to.client, to.number);
        Ok(self.recorder.write(told.on_leg(stream, self.replies))?)
    }

    async fn work(&self) {
        if !self.half_work.is_zero() {
            sleep(self.half_work).await;
        }
    }

    /// Frames that no WebSocket may carry are torn; an end without Close is not.
    fn ended(&self, error: &Error) -> Result<()> {
        if is_torn(error) {
            let Question { client, number } = NOBODY;
            self.recorder.write(Record::new(What::Torn, client, number).on_leg(self.name, 0))?;
        }
        Ok(())
    }
}

/// Whether an error of tungstenite says that the peer's bytes were no proper WebSocket.
pub(super) fn is_torn(error: &Error) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Error::Protocol(error) => *error != ResetWithoutClosingHandshake,
        Error::Utf8(_) | Error::Capacity(_) => true,
        _ => false,
    }
}

/// Small buffers: hundreds of connections, short messages.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 * 1024).write_buffer_size(0)
}

fn restart() -> CloseFrame {
    CloseFrame { code: CloseCode::Restart, reason: "restarting".into() }
}

/// Whose a message is that cannot be read.
pub(super) const NOBODY: Question = Question { client: u32::MAX, number: 0 };
/// How long a leaving backend waits for its peers to end their connections.
const GOODBYE_MAX: Duration = Duration::from_secs(3);
