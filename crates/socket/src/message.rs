//! The view of endpoints: whole messages in both directions.
//!
//! Reading answers Pings, keeps the heartbeat and ends the closing handshake; writing goes through
//! a queue that is bounded in bytes, and a peer that does not take what is sent is given up.

use std::{io, time::Duration};

use everwire_proto::ws::{
    close::{Close, CloseCode},
    frame::{Mask, Violation},
    intake::Sender,
    message::{Message, MessageReader},
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
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
    close_sent: bool,
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
            if let Some(message) = self.next_buffered()? {
                self.answer(&message);
                if matches!(message, Message::Close(_)) {
                    self.flush().await?;
                }
                return Ok(message);
            }
            self.flush().await?;
            self.read_more().await?;
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

    /// Writes what is queued.
    ///
    /// # Errors
    /// [`SocketError::Hung`] where the peer takes nothing for the ping timeout.
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        while !self.queue.is_empty() {
            let write = self.stream.write(&self.queue);
            let written =
                timeout(self.config.ping_timeout, write).await.map_err(|_| SocketError::Hung)??;
            if written == 0 {
                return Err(SocketError::Vanished);
            }
            self.queue.drain(..written);
        }
        Ok(())
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

    fn enqueue(&mut self, message: &Message) {
        if self.close_sent {
            return;
        }
        self.close_sent = matches!(message, Message::Close(_));
        let mask = self.mask();
        message.write(&mut self.queue, mask);
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

    async fn read_more(&mut self) -> Result<(), SocketError> {
        self.input.reserve(READ_SIZE);
        let read = timeout(self.config.ping_interval, self.stream.read_buf(&mut self.input)).await;
        let count = match read {
            Ok(count) => count?,
            Err(_) => {
                self.send(&Message::Ping(Vec::new())).await?;
                let read = self.stream.read_buf(&mut self.input);
                timeout(self.config.ping_timeout, read).await.map_err(|_| SocketError::Hung)??
            }
        };
        if count == 0 { Err(SocketError::Vanished) } else { Ok(()) }
    }
}

/// Room for one read.
const READ_SIZE: usize = 4096;
