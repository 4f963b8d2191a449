//! The echo server: answers all frames one read brought with one write.
//!
//! Frames go back one by one with their FIN and opcode, unmasked; a Ping is answered with a Pong, a
//! Close with a Close. It also counts what tells how a proxy dials: handshakes that wait for their
//! answer, and when the last one was answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::control::{self, Questions};
use crate::{clock, wire};

/// How the echo server runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Milliseconds a handshake waits for its answer, as it would for a session look-up.
    #[arg(long, default_value_t = 0)]
    welcome_ms: u64,
}

/// What the server has seen so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Handshakes answered.
    pub(crate) welcomed: u64,
    /// The most handshakes that waited for their answer at one time.
    pub(crate) waiting_max: u64,
    /// When the latest handshake was answered, in nanoseconds since the epoch.
    pub(crate) last_welcome: u64,
}

/// Serves until the benchmark goes; every question is answered with [`Seen`].
pub(crate) async fn run(options: Options) -> Result<()> {
    let listener = listen(options.listen)?;
    let welcome = Duration::from_millis(options.welcome_ms);
    let counters = Arc::new(Counters::default());
    let mut connections = JoinSet::new();
    let mut questions = Questions::listen()?;
    loop {
        tokio::select! {
            question = questions.next() => match question {
                Some(_) => control::answer(&counters.seen())?,
                None => return Ok(()),
            },
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, welcome, Arc::clone(&counters)));
                }
            }
        }
    }
}

/// A listener whose address can be taken over at once from a predecessor that was killed.
pub(crate) fn listen(address: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[derive(Default)]
struct Counters {
    welcomed: AtomicU64,
    waiting: AtomicU64,
    waiting_max: AtomicU64,
    last_welcome: AtomicU64,
}

impl Counters {
    fn waits(&self) {
        let waiting = 1 + self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_max.fetch_max(waiting, Ordering::Relaxed);
    }

    fn is_welcomed(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.welcomed.fetch_add(1, Ordering::Relaxed);
        self.last_welcome.store(clock::wall_nanos(), Ordering::Relaxed);
    }

    fn seen(&self) -> Seen {
        Seen {
            welcomed: self.welcomed.load(Ordering::Relaxed),
            waiting_max: self.waiting_max.load(Ordering::Relaxed),
            last_welcome: self.last_welcome.load(Ordering::Relaxed),
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    welcome: Duration,
    counters: Arc<Counters>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(INPUT_START);
    let head = wire::read_head(&mut stream, &mut input).await?;
    let Some(key) = wire::field(&head, "sec-websocket-key") else {
        return Err(io::Error::other("a request that is no handshake"));
    };
    counters.waits();
    if !welcome.is_zero() {
        tokio::time::sleep(welcome).await;
    }
    let written = stream.write_all(wire::welcome(key).as_bytes()).await;
    counters.is_welcomed();
    written?;
    let mut output = Vec::new();
    loop {
        let progress = answer_all(&mut input, &mut output)?;
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        match progress {
            Progress::Closed => return stream.shutdown().await,
            Progress::Needs(bytes) => input.reserve(bytes),
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// What is to be done after all complete frames have been answered.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// Read on; at least so many bytes of room should be there.
    Needs(usize),
    /// A Close was answered.
    Closed,
}

/// Moves every complete frame from `input` to `output` as its answer.
fn answer_all(input: &mut Vec<u8>, output: &mut Vec<u8>) -> io::Result<Progress> {
    let mut at = 0;
    let mut needs = READ_MIN;
    while let Some(header) = wire::header(&input[at..]) {
        if header.payload_len > PAYLOAD_MAX {
            return Err(io::Error::other("frame larger than the benchmark sends"));
        }
        let end = at + header.frame_len();
        if end > input.len() {
            needs += end - input.len();
            break;
        }
        let payload = &mut input[at + header.header_len..end];
        if let Some(key) = header.mask {
            wire::apply_mask(payload, key);
        }
        let opcode = if header.opcode == wire::PING { wire::PONG } else { header.opcode };
        if opcode != wire::PONG || header.opcode == wire::PING {
            wire::put_frame(output, header.last, opcode, None, payload);
        }
        if opcode == wire::CLOSE {
            return Ok(Progress::Closed);
        }
        at = end;
    }
    input.drain(..at);
    Ok(Progress::Needs(needs))
}

const BACKLOG: u32 = 4096;
const INPUT_START: usize = 2048;
/// Room offered to each read: 64 messages of 64 bytes with their frames fit.
const READ_MIN: usize = 8 * 1024;
/// Nothing the benchmark sends is larger.
const PAYLOAD_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frames: &[(u8, &[u8])], cut: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (opcode, payload) in frames {
            wire::put_frame(&mut bytes, true, *opcode, Some(wire::CLIENT_MASK), payload);
        }
        let (mut input, mut output) = (bytes[..cut.min(bytes.len())].to_vec(), Vec::new());
        answer_all(&mut input, &mut output).unwrap();
        input.extend_from_slice(&bytes[cut.min(bytes.len())..]);
        answer_all(&mut input, &mut output).unwrap();
        output
    }

    #[test]
    fn coalesced_frames_are_answered_in_order_wherever_the_read_ends() {
        let frames: [(u8, &[u8]); 4] =
            [(wire::BINARY, b"one"), (wire::PING, b"p"), (wire::PONG, b"x"), (0x1, b"two")];
        let mut expected = Vec::new();
        wire::put_frame(&mut expected, true, wire::BINARY, None, b"one");
        wire::put_frame(&mut expected, true, wire::PONG, None, b"p");
        wire::put_frame(&mut expected, true, 0x1, None, b"two");
        for cut in 0..40 {
            assert_eq!(check(&frames, cut), expected, "cut at {cut}");
        }
    }
}
