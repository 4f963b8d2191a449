//! The floor: the least a broadcaster on tokio can cost.
//!
//! What one client says is framed once and written to the sockets of all, by each thread to its
//! own: no protocol, no queue, no groups, no limits. It is measured beside the servers to show how
//! far they are from it, and is of no other use.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::{io, thread};

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::control::Questions;
use crate::floor::listen_shared;
use crate::wire;

/// How the floor runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Threads, each with its own listener.
    #[arg(long)]
    threads: usize,
}

/// Broadcasts until the benchmark goes.
pub(crate) async fn run(options: Options) -> Result<()> {
    let (said, _) = broadcast::channel(SAID_MAX);
    for _ in 0..options.threads {
        let listener = listen_shared(options.listen)?;
        let said = said.clone();
        thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            LocalSet::new().block_on(&runtime, serve(listener, said))
        });
    }
    let mut questions = Questions::listen()?;
    while questions.next().await.is_some() {}
    Ok(())
}

/// What everybody is to hear, framed.
type Said = broadcast::Sender<Arc<Vec<u8>>>;

async fn serve(listener: std::net::TcpListener, said: Said) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let everybody = Rc::new(RefCell::new(Vec::<Rc<TcpStream>>::new()));
    let mut to_say = said.subscribe();
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            frame = to_say.recv() => say(&frame?, &mut to_say, &everybody.borrow())?,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("accepting")?;
                clients.spawn_local(listen(stream, said.clone(), Rc::clone(&everybody)));
            }
        }
    }
}

/// Writes everything that has been said to everybody, in one write each.
fn say(
    first: &[u8],
    more: &mut broadcast::Receiver<Arc<Vec<u8>>>,
    everybody: &[Rc<TcpStream>],
) -> Result<()> {
    let mut bytes = first.to_vec();
    while let Ok(frame) = more.try_recv() {
        bytes.extend_from_slice(&frame);
    }
    for client in everybody {
        match client.try_write(&bytes) {
            // Whoever cannot take it misses it.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {}
        }
    }
    Ok(())
}

async fn listen(
    mut stream: TcpStream,
    said: Said,
    everybody: Rc<RefCell<Vec<Rc<TcpStream>>>>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let head = wire::read_head(&mut stream, &mut input).await?;
    let key = wire::field(&head, "sec-websocket-key").context("no key")?;
    let stream = Rc::new(stream);
    stream.try_write(wire::welcome(key).as_bytes())?;
    everybody.borrow_mut().push(Rc::clone(&stream));
    let heard = hear(&stream, input, &said).await;
    everybody.borrow_mut().retain(|client| !Rc::ptr_eq(client, &stream));
    heard
}

/// Publishes what the client says, until it says goodbye.
async fn hear(stream: &TcpStream, mut input: Vec<u8>, said: &Said) -> Result<()> {
    loop {
        while let Some(header) = wire::header(&input)
            && header.frame_len() <= input.len()
        {
            if header.opcode == wire::CLOSE {
                return Ok(());
            }
            let mut frame: Vec<u8> = input.drain(..header.frame_len()).collect();
            let payload = &mut frame[header.header_len..];
            wire::apply_mask(payload, header.mask.unwrap_or_default());
            let mut framed = Vec::new();
            wire::put_frame(&mut framed, true, header.opcode, None, payload);
            said.send(Arc::new(framed))?;
        }
        if input.is_empty() {
            input = Vec::new();
        }
        stream.readable().await?;
        match stream.try_read_buf(&mut input) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Messages that a thread may be behind: many bursts.
const SAID_MAX: usize = 1024;
