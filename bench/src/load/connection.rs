//! One WebSocket of the generator: prepared frames out, echoes checked byte for byte in.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire;

/// A message prepared once and sent often.
pub(crate) struct Message {
    /// What comes back.
    answer: Vec<u8>,
    /// The masked frame, as often as messages may be in flight: a slice of it is one write.
    frames: Vec<u8>,
    frame_len: usize,
}

impl Message {
    /// A binary message of `size` bytes that can be sent up to `burst` times in one write.
    pub(crate) fn new(size: usize, burst: usize) -> Self {
        let payload: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
        let mut frame = Vec::new();
        wire::put_frame(&mut frame, true, wire::BINARY, Some(wire::CLIENT_MASK), &payload);
        Self { answer: payload, frame_len: frame.len(), frames: frame.repeat(burst) }
    }

    /// A text, and the one that it is answered with.
    pub(crate) fn asked_and_told(asked: &[u8], told: &[u8]) -> Self {
        let mut frames = Vec::new();
        wire::put_frame(&mut frames, true, wire::TEXT, Some(wire::CLIENT_MASK), asked);
        Self { answer: told.to_vec(), frame_len: frames.len(), frames }
    }

    fn times(&self, count: usize) -> &[u8] {
        &self.frames[..count * self.frame_len]
    }
}

/// An open WebSocket.
pub(crate) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Pongs, and what else goes out with the next write.
    pongs: Vec<u8>,
}

impl Connection {
    /// Connects and shakes hands.
    pub(crate) async fn open(target: SocketAddr, head: &[u8]) -> io::Result<Self> {
        Self::over(TcpStream::connect(target).await?, head).await
    }

    /// Shakes hands over a socket.
    pub(crate) async fn over(mut stream: TcpStream, head: &[u8]) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.write_all(head).await?;
        let mut input = Vec::new();
        let answer = wire::read_head(&mut stream, &mut input).await?;
        if !wire::is_welcome(&answer) {
            let status = answer.lines().next().unwrap_or_default();
            return Err(io::Error::other(format!("handshake refused: {status}")));
        }
        Ok(Self { stream, input, pongs: Vec::new() })
    }

    /// Sends the message `count` times with one write.
    pub(crate) async fn send(&mut self, message: &Message, count: usize) -> io::Result<()> {
        if !self.pongs.is_empty() {
            self.stream.write_all(&self.pongs).await?;
            self.pongs.clear();
        }
        self.stream.write_all(message.times(count)).await
    }

    /// Has a text go out when the connection is listened to next.
    pub(crate) fn say_next(&mut self, text: &[u8]) {
        let mask = Some(wire::CLIENT_MASK);
        wire::put_frame(&mut self.pongs, true, wire::TEXT, mask, text);
    }

    /// Waits for answers to the message and takes all that have come; at least one.
    pub(crate) async fn receive(&mut self, message: &Message) -> io::Result<usize> {
        loop {
            let mut echoes = 0;
            let needs = self.take_frames(|payload| {
                echoes += 1;
                payload == message.answer
            })?;
            if echoes > 0 {
                return Ok(echoes);
            }
            self.read(needs).await?;
        }
    }

    /// Hands every payload that has come to `heard`, and waits if none has.
    pub(crate) async fn listen(&mut self, mut heard: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let mut any = false;
            let needs = self.take_frames(|payload| {
                heard(payload);
                any = true;
                true
            })?;
            if any {
                return Ok(());
            }
            self.answer_and_read(needs).await?;
        }
    }

    /// The socket, for who needs nothing but it.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Answers what arrives while nothing is asked; returns only when the peer has gone.
    ///
    /// Dropping the future between two reads loses nothing.
    pub(crate) async fn idle(&mut self) -> io::Error {
        loop {
            let step = match self.take_frames(|_| false) {
                Ok(needs) => self.answer_and_read(needs).await,
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    /// Shakes hands goodbye and waits for the peer to end the connection.
    pub(crate) async fn close(mut self) -> io::Result<()> {
        let mut close = Vec::new();
        let normal = 1000_u16.to_be_bytes();
        wire::put_frame(&mut close, true, wire::CLOSE, Some(wire::CLIENT_MASK), &normal);
        self.stream.write_all(&close).await?;
        while self.stream.read_buf(&mut self.input).await? != 0 {
            self.input.clear();
        }
        Ok(())
    }

    async fn answer_and_read(&mut self, needs: usize) -> io::Result<()> {
        while !self.pongs.is_empty() {
            let written = self.stream.write(&self.pongs).await?;
            self.pongs.drain(..written);
        }
        self.read(needs).await
    }

    async fn read(&mut self, needs: usize) -> io::Result<()> {
        self.input.reserve(needs);
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Hands every complete message to `matches` and returns how much room the next read needs.
    fn take_frames(&mut self, mut matches: impl FnMut(&[u8]) -> bool) -> io::Result<usize> {
        let mut at = 0;
        let mut needs = READ_MIN;
        while let Some(header) = wire::header(&self.input[at..]) {
            let end = at.saturating_add(header.frame_len());
            if end > self.input.len() {
                needs += end - self.input.len();
                break;
            }
            let payload = &self.input[at + header.header_len..end];
            match header.opcode {
                wire::PING => {
                    let mask = Some(wire::CLIENT_MASK);
                    wire::put_frame(&mut self.pongs, true, wire::PONG, mask, payload);
                }
                wire::PONG => {}
                wire::CLOSE => return Err(closed(payload)),
                _ if matches(payload) => {}
                _ => return Err(io::Error::other("an echo that is not what was sent")),
            }
            at = end;
        }
        self.input.drain(..at);
        Ok(needs)
    }
}

fn closed(payload: &[u8]) -> io::Error {
    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
    io::Error::other(format!("closed with {code}"))
}

/// Room offered to each read: more than the short messages that can be in flight.
const READ_MIN: usize = 8 * 1024;
