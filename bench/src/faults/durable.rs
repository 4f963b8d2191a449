//! A backend's part in exactly-once, on tungstenite: the handshake's account and the
//! acknowledgement.

use std::path::Path;

use anyhow::{Context as _, Result};
use futures_util::SinkExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use super::backend::{Socket, config};
use super::store::Session;

/// Answers a handshake with what is stored of its session, and goes on with that on the leg `name`.
/// The number is that of the replies that the peer has already.
pub(super) async fn accept(
    stream: TcpStream,
    store: &Path,
    name: u64,
) -> Result<(Socket, Session, u64)> {
    let mut opened = None;
    #[expect(clippy::result_large_err, reason = "tungstenite's callback has that type")]
    let answer = |request: &Request, mut response: Response| {
        let (session, replies) = open(request, store, name).map_err(|error| refusal(&error))?;
        response.headers_mut().insert(RECEIVED, session.received().into());
        opened = Some((session, replies));
        Ok(response)
    };
    let socket = accept_hdr_async_with_config(stream, answer, Some(config())).await?;
    let (session, replies) = opened.context("a handshake without an answer")?;
    Ok((socket, session, replies))
}

/// Says that everything received so far is stored.
pub(super) async fn acknowledge(socket: &mut Socket, session: &Session) -> Result<()> {
    // As a frame of its own: tungstenite keeps one Pong at a time to send, which may be the one
    // that answers a Ping.
    let pong = Frame::pong(format!("ack:{}", session.received()));
    Ok(socket.send(Message::Frame(pong)).await?)
}

fn open(request: &Request, store: &Path, name: u64) -> Result<(Session, u64)> {
    let header = |name: &str| {
        let value = request.headers().get(name).with_context(|| format!("no {name}"))?;
        anyhow::Ok(value.to_str()?)
    };
    let (leg, replies) = (header(LEG)?.parse()?, header(REPLIES)?.parse()?);
    Ok((Session::open(store, header(SESSION)?, name, leg)?, replies))
}

fn refusal(error: &anyhow::Error) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!("{error:#}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// Which session a leg is for.
pub(super) const SESSION: &str = "everwire-session";
/// Which leg of the session it is.
pub(super) const LEG: &str = "everwire-leg";
/// How many replies of the session the gateway has.
pub(super) const REPLIES: &str = "everwire-server-count";
const RECEIVED: &str = "everwire-client-received";
