//! The floor: the least a frame-aware relay on tokio can cost.
//!
//! One task per connection, one read and one write per message, every frame header looked at, and
//! nothing else: no numbering, no keeping, no confirmation, no limits. It is measured beside the
//! proxies to show how far they are from it, and is of no other use.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::control::Questions;
use crate::wire;

/// How the floor runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The backend.
    #[arg(long)]
    backend: SocketAddr,
    /// Threads, each with its own listener.
    #[arg(long)]
    threads: usize,
}

/// Relays until the benchmark goes.
pub(crate) async fn run(options: Options) -> Result<()> {
    for _ in 0..options.threads {
        let listener = listen_shared(options.listen)?;
        let backend = options.backend;
        thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(accept(listener, backend))
        });
    }
    let mut questions = Questions::listen()?;
    while questions.next().await.is_some() {}
    Ok(())
}

/// A listener beside others on the same address, among which the system shares connections out.
pub(crate) fn listen_shared(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

async fn accept(listener: std::net::TcpListener, backend: SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut pipes = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = pipes.join_next() => {}
            accepted = listener.accept() => {
                let (client, _) = accepted.context("accepting")?;
                pipes.spawn(relay(client, backend));
            }
        }
    }
}

async fn relay(mut client: TcpStream, backend: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(backend).await?;
    server.set_nodelay(true)?;
    pass_head(&mut client, &mut server).await?;
    pass_head(&mut server, &mut client).await?;
    let (mut up, mut down) = (Way::default(), Way::default());
    poll_fn(|cx| {
        let up_ended = up.poll(cx, &mut client, &mut server)?;
        let down_ended = down.poll(cx, &mut server, &mut client)?;
        if up_ended.is_ready() || down_ended.is_ready() {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await
}

async fn pass_head(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    let mut input = Vec::new();
    let head = wire::read_head(from, &mut input).await?;
    to.write_all(head.as_bytes()).await?;
    to.write_all(&input).await
}

/// One direction of a pipe.
#[derive(Default)]
struct Way {
    scanner: Scanner,
    unwritten: Vec<u8>,
}

impl Way {
    /// Moves bytes until one side would block; ready at the reader's end.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
    ) -> Poll<io::Result<()>> {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                while !self.unwritten.is_empty() {
                    let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.unwritten))?;
                    self.unwritten.drain(..written);
                }
                let mut room = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *from).poll_read(cx, &mut room))?;
                let read = room.filled();
                if read.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                self.scanner.pass(read);
                let written = match Pin::new(&mut *to).poll_write(cx, read) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => 0,
                };
                self.unwritten.extend_from_slice(&read[written..]);
            }
        })
    }
}

/// Walks from header to header.
#[derive(Default)]
struct Scanner {
    /// Payload bytes that still belong to the frame whose header has been read.
    payload_left: usize,
    /// The beginning of a header that a read has cut.
    cut: Vec<u8>,
    frames: u64,
}

impl Scanner {
    fn pass(&mut self, read: &[u8]) {
        let joined;
        let mut bytes = read;
        if !self.cut.is_empty() {
            self.cut.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.cut);
            bytes = &joined;
        }
        loop {
            let skipped = self.payload_left.min(bytes.len());
            self.payload_left -= skipped;
            bytes = &bytes[skipped..];
            let Some(header) = wire::header(bytes) else { break };
            self.frames += 1;
            self.payload_left = header.payload_len;
            bytes = &bytes[header.header_len..];
        }
        self.cut.extend_from_slice(bytes);
    }
}

thread_local! {
    /// One read buffer for all pipes of a thread: an idle pipe holds none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_LEN]);
}

/// As large as the largest message measured, its frame, and some more.
const BUFFER_LEN: usize = 64 * 1024;
const BACKLOG: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_seen_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for len in [0, 5, 126, 70_000, 1] {
            wire::put_frame(&mut bytes, true, wire::BINARY, Some(wire::CLIENT_MASK), &vec![1; len]);
        }
        for step in [1, 2, 3, 7, 64, 4096, bytes.len()] {
            let mut scanner = Scanner::default();
            bytes.chunks(step).for_each(|chunk| scanner.pass(chunk));
            assert_eq!(scanner.frames, 5, "chunks of {step}");
        }
    }
}
