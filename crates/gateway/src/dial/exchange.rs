//! One opening handshake with one backend: one write, as few reads as it takes.

use std::{fmt, io, time::Duration};

use everwire_proto::ws::upgrade::{
    Body, BodyFraming, HeadScan, LegKey, LegOffer, LegRefusal, LegRequest, LegWelcome,
    RESPONSE_HEAD_MAX, Refusal,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Endpoint, Order};
use crate::clock;

/// How long a dial may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For the TCP connection.
    pub(super) connect: Duration,
    /// For the connection and the handshake together.
    pub(super) opening: Duration,
}

/// Why there is no leg.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody answered as a WebSocket server that works would.
    Unreachable(String),
    /// An HTTP answer that decides.
    Refused(Refusal),
    /// A 101 that is not valid or does not fit.
    Unfit(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => f.write_str(why),
            Self::Refused(refusal) => write!(f, "answered {}", refusal.status),
            Self::Unfit(why) => f.write_str(why),
        }
    }
}

/// What an opened leg consists of: the connection, the answer, and what came behind it.
type Opened = (TcpStream, LegWelcome, Vec<u8>);

/// Connects and shakes hands.
pub(super) async fn open(
    endpoint: &Endpoint,
    offer: LegOffer<'_>,
    order: &Order<'_>,
    patience: Patience,
) -> Result<Opened, Failure> {
    let deadline = clock::instant_at(clock::now() + patience.opening);
    let connect = endpoint.connect(patience.connect.min(patience.opening));
    let mut stream = connect.await.map_err(|error| unreachable("connecting", &error))?;
    let key = LegKey::new(rand::random());
    let request = LegRequest {
        forwarded: order.forwarded,
        client: order.client,
        fixed_path: endpoint.url().path(),
        key,
        offer,
        progress: order.progress,
    };
    let answer = async {
        let write = stream.write_all(&request.to_bytes()).await;
        write.map_err(|error| unreachable("sending the handshake", &error))?;
        read_answer(&mut stream, &key, &offer).await
    };
    let Ok(answered) = timeout_at(deadline, answer).await else {
        return Err(Failure::Unreachable("no answer to the handshake in time".to_owned()));
    };
    let (welcome, read_ahead) = answered?;
    if order.counting && welcome.client_received.is_none() {
        return Err(Failure::Unfit("the backend does not count messages"));
    }
    Ok((stream, welcome, read_ahead))
}

/// Reads heads until one decides.
async fn read_answer(
    stream: &mut TcpStream,
    key: &LegKey,
    offer: &LegOffer<'_>,
) -> Result<(LegWelcome, Vec<u8>), Failure> {
    let mut received = Vec::with_capacity(ANSWER_GUESS);
    for _ in 0..=INTERIM_MAX {
        let end = read_head(stream, &mut received).await?;
        match LegWelcome::parse(&received[..end], key, offer) {
            Ok(welcome) => return Ok((welcome, received.split_off(end))),
            Err(LegRefusal::Interim) => drop(received.drain(..end)),
            Err(LegRefusal::NotHttp) => return Err(not_http()),
            Err(LegRefusal::NotWebSocket(why) | LegRefusal::Mismatch(why)) => {
                return Err(Failure::Unfit(why));
            }
            // The statuses of a server, or a proxy before it, that cannot serve anybody now.
            Err(LegRefusal::Http { status: status @ (429 | 502 | 503 | 504), .. }) => {
                return Err(Failure::Unreachable(format!("the backend answered {status}")));
            }
            Err(LegRefusal::Http { status, reason, headers, body }) => {
                let body = read_body(stream, body, &received[end..]).await;
                return Err(Failure::Refused(Refusal { status, reason, headers, body }));
            }
        }
    }
    Err(not_http())
}

/// Reads until `received` starts with a whole head, and gives its length.
async fn read_head(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<usize, Failure> {
    let mut scan = HeadScan::new(RESPONSE_HEAD_MAX);
    loop {
        match scan.advance(received) {
            Ok(Some(end)) => return Ok(end),
            Ok(None) => {}
            Err(_) => return Err(not_http()),
        }
        if received.len() == received.capacity() {
            received.reserve(received.len().max(ANSWER_GUESS));
        }
        match stream.read_buf(received).await {
            Ok(0) => {
                return Err(Failure::Unreachable("closed without an answer".to_owned()));
            }
            Ok(_) => {}
            Err(error) => return Err(unreachable("reading the answer", &error)),
        }
    }
}

/// Reads the body of a refusal as far as it comes, is wanted, and does not take too long.
async fn read_body(stream: &mut TcpStream, framing: BodyFraming, start: &[u8]) -> Vec<u8> {
    let mut body = Body::new(framing, BODY_MAX);
    let mut done = body.push(start);
    let mut piece = Vec::with_capacity(ANSWER_GUESS);
    let rest = async {
        while !done {
            piece.clear();
            match stream.read_buf(&mut piece).await {
                Ok(count) if count > 0 => done = body.push(&piece),
                _ => break,
            }
        }
    };
    // What has arrived by then is what the client gets.
    let _ = timeout(BODY_TIMEOUT, rest).await;
    body.finish()
}

/// Asks `path` of a backend by plain HTTP; gives the status.
pub(crate) async fn ask_status(
    endpoint: &Endpoint,
    path: &str,
    deadline: Instant,
) -> io::Result<u16> {
    let ask = async {
        let patience = deadline.saturating_duration_since(clock::instant_at(clock::now()));
        let mut stream = endpoint.connect(patience).await?;
        let (host, port) = (endpoint.url().host(), endpoint.url().port());
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: everwire\r\n\
             Accept: */*\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::with_capacity(ANSWER_GUESS);
        let end = read_head(&mut stream, &mut received).await.map_err(io::Error::other)?;
        status_of(&received[..end]).ok_or_else(|| io::Error::other("not an HTTP answer"))
    };
    timeout_at(deadline, ask).await?
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

fn unreachable(doing: &str, error: &io::Error) -> Failure {
    Failure::Unreachable(format!("{doing}: {error}"))
}

fn not_http() -> Failure {
    Failure::Unreachable("the answer is not HTTP".to_owned())
}

impl std::error::Error for Failure {}

/// The size that most answers fit, in bytes; a longer one doubles it.
const ANSWER_GUESS: usize = 1024;

/// Most interim answers before the real one; each is a reason to doubt that it comes.
const INTERIM_MAX: usize = 8;

/// Most of a refusal's body that reaches the client, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// The time for a refusal's body once its head is there.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
