//! The view of endpoints: whole messages in both directions.
//!
//! Reading answers Pings, keeps the heartbeat and ends the closing handshake; writing goes through
//! a queue that is bounded in bytes, and a peer that does not take what is sent is given up.
//! Reading goes on while writing waits, so that two peers that both have much to say do not wait
//! for each other.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use everwire_proto::ws::{
    close::{Close, CloseCode},
    frame::{Mask, Violation},
    intake::Sender,
    message::{Message, MessageReader},
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Sleep, sleep, timeout},
};

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We opened it: what we send is masked.
    Client,
    /// We accepted it.
    Server,
}

/// Limits of a [`MessageSocket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// The largest message that is received, in bytes. Default: 64 MiB.
    pub message_max: u64,
    /// Bytes that wait to be written before [`MessageSocket::feed`] flushes. Default: 64 KiB.
    pub queue_max: usize,
    /// Silence after which the peer is asked whether it lives. Default: 20 s.
    pub ping_interval: Duration,
    /// How long it may then stay silent, and how long a write may make no progress. Default: 10 s.
    pub ping_timeout: Duration,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            message_max: 64 << 20,
            queue_max: 64 << 10,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a socket is of no use any more.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// The connection ended without a Close.
    #[error("connection ended without a close")]
    Vanished,
    /// The peer broke the protocol, and was told.
    #[error("peer broke the protocol: {0}")]
    Protocol(#[from] Violation),
    /// The peer gave no sign of life, or took nothing, for the ping timeout.
    #[error("peer does not answer")]
    Hung,
}

/// A WebSocket of whole messages over any byte stream.
#[derive(Debug)]
pub struct MessageSocket<S> {
    stream: S,
    role: Role,
    config: SocketConfig,
    reader: MessageReader,
    /// What has been read and not yet looked at.
    input: Vec<u8>,
    looked_at: usize,
    /// What waits to be written.
    queue: Vec<u8>,
    /// Runs while the stream takes nothing.
    stall: Option<Pin<Box<Sleep>>>,
    close_sent: bool,
}

/// What an exchange of bytes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchanged {
    /// There is more to look at.
    Read,
    /// The queue was not empty and is.
    Written,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MessageSocket<S> {
    /// A socket whose opening handshake is done; `read_ahead` is what came behind it.
    pub fn new(stream: S, role: Role, config: SocketConfig, read_ahead: &[u8]) -> Self {
        let sender = match role {
            Role::Client => Sender::Server,
            Role::Server => Sender::Client,
        };
        Self {
            stream,
            role,
            config,
            reader: MessageReader::new(sender, config.message_max),
            input: read_ahead.to_vec(),
            looked_at: 0,
            queue: Vec::new(),
            stall: None,
            close_sent: false,
        }
    }

    /// The next message. Pings are answered with the next call and shown; a Close is answered at
    /// once and is the last.
    ///
    /// Dropping the future loses nothing, unless it was about to return a Close.
    ///
    /// # Errors
    /// See [`SocketError`]; the socket is of no use after that.
    pub async fn receive(&mut self) -> Result<Message, SocketError> {
        loop {
            if let Some(message) = self.exchange().await? {
                return Ok(message);
            }
        }
    }

    /// The next message as [`Self::receive`] gives it, or `None` as soon as all that was queued is
    /// written: for those who wait for room in the queue as well as for messages.
    ///
    /// Dropping the future loses nothing, unless it was about to return a Close.
    ///
    /// # Errors
    /// See [`SocketError`]; the socket is of no use after that.
    pub async fn exchange(&mut self) -> Result<Option<Message>, SocketError> {
        loop {
            if let Some(message) = self.next_buffered()? {
                self.answer(&message);
                if matches!(message, Message::Close(_)) {
                    self.flush().await?;
                }
                return Ok(Some(message));
            }
            if self.exchange_bytes().await? == Exchanged::Written {
                return Ok(None);
            }
        }
    }

    /// Queues a message; written at once where the queue is full, else with [`Self::flush`].
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn feed(&mut self, message: &Message) -> Result<(), SocketError> {
        self.enqueue(message);
        if self.queue.len() >= self.config.queue_max { self.flush().await } else { Ok(()) }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn send(&mut self, message: &Message) -> Result<(), SocketError> {
        self.enqueue(message);
        self.flush().await
    }

    /// Queues a message and writes nothing: the caller looks at [`Self::queued`] before it queues
    /// more, and exchanges or flushes afterwards. What follows a Close is not queued.
    pub fn enqueue(&mut self, message: &Message) {
        if self.close_sent {
            return;
        }
        self.close_sent = matches!(message, Message::Close(_));
        let mask = self.mask();
        message.write(&mut self.queue, mask);
    }

    /// Bytes that wait to be written.
    pub const fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`SocketError::Hung`] where the peer takes nothing for the ping timeout.
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends a Close and waits for the peer's, dropping what comes before it.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Close, SocketError> {
        self.send(&Message::Close(Close::new(code, reason))).await?;
        loop {
            if let Message::Close(close) = self.receive().await? {
                return Ok(close);
            }
        }
    }

    fn mask(&self) -> Option<Mask> {
        (self.role == Role::Client).then(rand::random)
    }

    fn answer(&mut self, message: &Message) {
        match message {
            Message::Ping(payload) => self.enqueue(&Message::Pong(payload.clone())),
            Message::Close(close) => self.enqueue(&Message::Close(close.clone())),
            _ => {}
        }
    }

    fn next_buffered(&mut self) -> Result<Option<Message>, SocketError> {
        let mut rest = &self.input[self.looked_at..];
        let before = rest.len();
        let next = self.reader.next(&mut rest);
        self.looked_at += before - rest.len();
        if self.looked_at == self.input.len() {
            self.input.clear();
            self.looked_at = 0;
        }
        next.map_err(|violation| {
            self.enqueue(&Message::Close(Close::new(violation.code, violation.reason)));
            violation.into()
        })
    }

    /// Writes and reads as the stream allows. A peer that stays silent is asked whether it lives.
    async fn exchange_bytes(&mut self) -> Result<Exchanged, SocketError> {
        let SocketConfig { ping_interval, ping_timeout, .. } = self.config;
        if let Ok(done) = timeout(ping_interval, poll_fn(|cx| self.poll_bytes(cx))).await {
            return done;
        }
        self.enqueue(&Message::Ping(Vec::new()));
        let read = async {
            while poll_fn(|cx| self.poll_bytes(cx)).await? != Exchanged::Read {}
            Ok(Exchanged::Read)
        };
        timeout(ping_timeout, read).await.map_err(|_| SocketError::Hung)?
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Exchanged, SocketError>> {
        let waited = !self.queue.is_empty();
        let flushed = self.poll_flush(cx)?;
        self.input.reserve(READ_SIZE);
        match pin!(self.stream.read_buf(&mut self.input)).poll(cx)? {
            Poll::Ready(0) => Poll::Ready(Err(SocketError::Vanished)),
            Poll::Ready(_) => Poll::Ready(Ok(Exchanged::Read)),
            Poll::Pending if waited && flushed.is_ready() => Poll::Ready(Ok(Exchanged::Written)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        while !self.queue.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, &self.queue)?
            else {
                let limit = self.config.ping_timeout;
                let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(stall.as_mut().poll(cx));
                return Poll::Ready(Err(SocketError::Hung));
            };
            if written == 0 {
                return Poll::Ready(Err(SocketError::Vanished));
            }
            self.stall = None;
            self.queue.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// Room for one read.
const READ_SIZE: usize = 4096;
