//! The demo's sample service, a process of its own: numbers what it is told, remembers it and
//! answers it.
//!
//! It cooperates with Everwire as `exactly-once` asks: it says how many of the session's messages
//! it has (`Everwire-Client-Received`), acknowledges each with an unsolicited Pong `ack:N` once it
//! is in the journal, and sends again what the client has not got (`Everwire-Server-Count`).
//! Without those headers it is a plain WebSocket service that remembers by path.

use std::{io, path::Path, sync::Arc, time::Duration};

use everwire_proto::ws::{close::CloseCode, message::Message, upgrade::UpgradeRequest};
use everwire_socket::{
    handshake::accept,
    message::{MessageSocket, SocketConfig},
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::journal::{Journal, JournalError};
use crate::{
    cli::DemoBackendArgs,
    clock, commands,
    demo::{message, process::left_alone},
    failure::Failure,
    terminal,
};

/// Runs the service until it is told to stop, killed, or left alone by the demo.
pub(crate) fn run(args: &DemoBackendArgs) -> Result<(), Failure> {
    commands::block_on(async {
        let listener = TcpListener::bind(args.listen).await.map_err(Failure::failed)?;
        let address = listener.local_addr().map_err(Failure::failed)?;
        terminal::print_line(&format!("listening on {address}"))?;
        serve(listener, Arc::from(args.store.as_path())).await.map_err(Failure::failed)
    })
}

/// The answer to message number `number` of a session.
pub(super) fn answer(number: usize, said: &[u8]) -> Vec<u8> {
    let mut answer = format!("{number} {:016x} ", message::hash(said)).into_bytes();
    answer.extend_from_slice(said);
    answer
}

/// The answer as a message: text where it is text, so that it can be read in a terminal.
fn reply(number: usize, message: &[u8]) -> Message {
    let text = String::from_utf8(answer(number, message));
    text.map_or_else(|error| Message::Binary(error.into_bytes()), Message::Text)
}

async fn serve(listener: TcpListener, store: Arc<Path>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, alone) = (CancellationToken::new(), left_alone());
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            () = alone.cancelled() => return Ok(()),
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                sessions.spawn(session(stream, Arc::clone(&store), stop.clone()));
            }
            Some(_) = sessions.join_next() => {}
        }
    }
    // A graceful restart: no new sessions, the present ones are told, then the end.
    drop(listener);
    stop.cancel();
    while sessions.join_next().await.is_some() {}
    Ok(())
}

async fn session(stream: TcpStream, store: Arc<Path>, stop: CancellationToken) {
    let Ok(Some((mut socket, mut journal))) = open(stream, &store).await else { return };
    loop {
        let incoming = tokio::select! {
            // Stopping first: what has not been read yet goes to the next backend.
            biased;
            () = stop.cancelled() => return goodbye(socket).await,
            incoming = socket.receive() => incoming,
        };
        let taken = match incoming {
            Ok(Message::Text(text)) => take(&mut socket, &mut journal, text.as_bytes()).await,
            Ok(Message::Binary(bytes)) => take(&mut socket, &mut journal, &bytes).await,
            Ok(Message::Ping(_) | Message::Pong(_)) => Ok(()),
            Ok(Message::Close(_)) | Err(_) => return,
        };
        if taken.is_err() {
            return;
        }
    }
}

/// Answers the handshake and sends what the client has not got.
async fn open(
    stream: TcpStream,
    store: &Path,
) -> anyhow::Result<Option<(MessageSocket<TcpStream>, Journal)>> {
    stream.set_nodelay(true)?;
    let mut opened = None;
    let headers = |request: &UpgradeRequest| {
        let journal = open_journal(request, store);
        let count = journal.as_ref().map_or(0, Journal::count);
        let cooperates = journal.is_ok() && request.header(SESSION).is_some();
        opened = journal.ok();
        if cooperates { format!("Everwire-Client-Received: {count}\r\n") } else { String::new() }
    };
    let (mut socket, request) = accept(stream, headers, SocketConfig::default()).await?;
    let Some(journal) = opened else { return Ok(None) };
    let has = number(&request, "everwire-server-count").and_then(|count| count.try_into().ok());
    let has = has.unwrap_or_else(|| journal.count());
    for (index, message) in journal.after(has).iter().enumerate() {
        socket.feed(&reply(has + index + 1, message)).await?;
    }
    socket.flush().await?;
    Ok(Some((socket, journal)))
}

fn open_journal(request: &UpgradeRequest, store: &Path) -> Result<Journal, JournalError> {
    match text(request, SESSION) {
        Some(session) => {
            let leg = number(request, "everwire-leg").unwrap_or(1);
            Journal::open(store, &file_name(session), leg)
        }
        // Nobody counts legs here: whoever comes last owns the session.
        None => Journal::open(store, &file_name(request.path()), clock::unix_nanos()),
    }
}

/// Works on a message, remembers it, acknowledges it, answers it: in this order.
async fn take(
    socket: &mut MessageSocket<TcpStream>,
    journal: &mut Journal,
    message: &[u8],
) -> anyhow::Result<()> {
    tokio::time::sleep(WORK).await;
    journal.append(message)?;
    let count = journal.count();
    socket.feed(&Message::Pong(format!("ack:{count}").into_bytes())).await?;
    Ok(socket.send(&reply(count, message)).await?)
}

async fn goodbye(mut socket: MessageSocket<TcpStream>) {
    let closed = socket.close(CloseCode::RESTART, "restarting");
    // A peer that does not answer in time is left without one.
    let _ = tokio::time::timeout(GOODBYE, closed).await;
}

fn number(request: &UpgradeRequest, name: &str) -> Option<u64> {
    text(request, name)?.parse().ok()
}

fn text<'r>(request: &'r UpgradeRequest, name: &str) -> Option<&'r str> {
    request.header(name).and_then(|value| str::from_utf8(value).ok())
}

/// A file name that no session id can lead out of the store with.
fn file_name(session: &str) -> String {
    session.bytes().map(|byte| format!("{byte:02x}")).take(FILE_NAME_MAX / 2).collect()
}

/// What a message takes the service, as if it asked its database: faults meet work in progress.
pub(super) const WORK: Duration = Duration::from_millis(20);

/// How long a client has to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

const SESSION: &str = "everwire-session";

const FILE_NAME_MAX: usize = 240;
