//! From an accepted socket to a running session.
//!
//! Read the head (bounded in bytes and time); what is for a hub goes there, and so does what opens no
//! WebSocket. Judge it, find its route, let the gateway dial, and only then answer 101. Until then nothing behind the head is interpreted: what a client sends
//! early is held, bounded, and becomes the first frames of the session.

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    time::Duration,
};

use everwire_gateway::{ClientInfo, Gateway, Opened, Scheme};
use everwire_proto::ws::upgrade::{
    HeadError, HeadScan, REQUEST_HEAD_MAX, Refusal, UpgradeRequest, wants_websocket,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    hub, refuse,
    requests::{self, SEND_TIMEOUT, Visit},
    shard::{Shard, Slot},
    stream::ClientStream,
};

/// Serves one accepted connection until it is a session or refused.
pub(super) async fn run(mut stream: TcpStream, peer: SocketAddr, slot: Slot, shard: Shard) {
    match open(&mut stream, peer, &shard).await {
        Ok((opened, held)) => start(stream, opened, &held, slot, &shard).await,
        // In a box, so that no handshake is as large as one that leads to a hub.
        Err(End::Hub(visit)) => Box::pin(hub::serve(stream, visit, slot, &shard)).await,
        Err(End::Requests(visit)) => requests::serve(stream, visit, SEND_TIMEOUT, slot, &shard),
        Err(End::Refused(refusal)) => {
            tracing::debug!(client = %peer, status = refusal.status, "client refused");
            refuse::answer(stream, &refusal).await;
        }
        Err(End::Gone) => tracing::debug!(client = %peer, "client gone during its handshake"),
    }
}

/// Why there is no session.
enum End {
    Refused(Refusal),
    /// The request is for a hub.
    Hub(Visit),
    /// The request opens no WebSocket.
    Requests(Visit),
    /// The client went away, or never said anything: nobody is there to answer.
    Gone,
}

impl End {
    /// Counts a refusal that the gateway has not: it counts its own.
    fn count(&self, gateway: &Gateway) {
        if let Self::Refused(refusal) = self {
            gateway.count_refused(refusal.status);
        }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

async fn open(
    stream: &mut TcpStream,
    peer: SocketAddr,
    shard: &Shard,
) -> Result<(Opened, Vec<u8>), End> {
    stream.set_nodelay(true)?;
    let gateway = &shard.node.gateway;
    let heard = hear(stream, shard).await.inspect_err(|end| end.count(gateway));
    let (head, mut held) = heard?;
    if hub::is_for(shard, &head) {
        return Err(End::Hub(Visit { peer, head, held }));
    }
    if !wants_websocket(&head) {
        return Err(End::Requests(Visit { peer, head, held }));
    }
    let request = UpgradeRequest::parse(&head).map_err(End::from);
    let request = request.inspect_err(|end| end.count(gateway))?;
    drop(head);
    let routes = shard.node.routes();
    let Some(routed) = routes.find(request.host(), request.path()) else {
        let end = End::from(Refusal::new(404, NO_ROUTE));
        end.count(gateway);
        return Err(end);
    };
    let from = ClientInfo { address: peer, scheme: Scheme::Http };
    let dialling = routed.manager.open(request, from);
    let opened = unless_gone(dialling, stream, &mut held).await.ok_or(End::Gone)??;
    Ok((opened, held))
}

/// The head of what the client asks for, if it says so in time, and what came behind it.
async fn hear(stream: &mut TcpStream, shard: &Shard) -> Result<(Vec<u8>, Vec<u8>), End> {
    let Ok(heard) = timeout(HEAD_TIMEOUT, read_head(stream)).await else {
        shard.node.metrics.head_timeouts.inc();
        let seconds = HEAD_TIMEOUT.as_secs();
        return Err(Refusal::new(408, format!("no whole request within {seconds} s")).into());
    };
    heard
}

/// Reads the head and no more than one read beyond it.
async fn read_head(stream: &mut TcpStream) -> Result<(Vec<u8>, Vec<u8>), End> {
    let mut received = Vec::with_capacity(HEAD_GUESS);
    let mut scan = HeadScan::new(REQUEST_HEAD_MAX + 1);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(End::Gone);
        }
        match scan.advance(&received) {
            Ok(None) => received.reserve(HEAD_GUESS),
            Ok(Some(length)) => {
                let held = received.split_off(length);
                return Ok((received, held));
            }
            Err(error) => return Err(refusal_of(error).into()),
        }
    }
}

fn refusal_of(error: HeadError) -> Refusal {
    match error {
        HeadError::TooLong => Refusal::head_too_large(error.to_string()),
        HeadError::ControlByte => Refusal::bad_request(error.to_string()),
    }
}

/// Drives `work` and listens to the client meanwhile; `None` if it hangs up first.
async fn unless_gone<T>(
    work: impl Future<Output = T>,
    stream: &mut TcpStream,
    held: &mut Vec<u8>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = gone(stream, held) => None,
    }
}

/// Resolves when the client hangs up. What it sends early is held; once the limit is reached the
/// kernel holds the rest, and a hang-up shows when the work is done.
async fn gone(stream: &mut TcpStream, held: &mut Vec<u8>) {
    while held.len() < HELD_MAX {
        match stream.read_buf(held).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    pending().await
}

/// Answers 101 and starts the session as a task of its own, which is as large as a session and
/// not as large as a handshake.
async fn start(mut stream: TcpStream, opened: Opened, held: &[u8], slot: Slot, shard: &Shard) {
    let answered = timeout(ANSWER_TIMEOUT, stream.write_all(&opened.response_head())).await;
    if !matches!(answered, Ok(Ok(()))) {
        return tracing::debug!("client gone before its 101");
    }
    let pipe = opened.into_pipe(ClientStream::new(stream, slot), held);
    shard.tasks.spawn(pipe.run());
}

/// What a client is told that asks for a path without a route.
pub(super) const NO_ROUTE: &str = "no route leads there";

/// From accepting to the end of the head, not per byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A 101 fits any socket buffer; a client that does not take it is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What browsers and libraries send fits one read.
const HEAD_GUESS: usize = 2048;

/// What a client may send before its 101: libraries send nothing, a few the first message.
const HELD_MAX: usize = 64 << 10;
