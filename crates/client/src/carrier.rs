//! What carries bytes both ways, whatever the transport.
//!
//! A WebSocket does it alone. The other transports listen, to [`events`] or by [`polls`], and say
//! what there is to say in requests beside that ([`sending`]).

mod events;
mod polls;
mod requests;
mod sending;

use std::{sync::Arc, time::Duration};

use everwire_proto::{
    signalr::TransferFormat,
    ws::{close::CloseCode, message::Message},
};
use everwire_socket::message::MessageSocket;
use tokio::time::timeout;

pub(crate) use self::requests::{RequestLimits, Requests};
use crate::{net::Stream, session::Output};

/// A WebSocket of the client.
pub(crate) type Socket = MessageSocket<Stream>;

/// A transport at work.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// One WebSocket for both directions.
    WebSocket(Box<Socket>),
    /// Requests, of which at least one listens.
    Requests(Box<Requests>),
}

impl Carrier {
    /// Bytes that wait to be written, or to be taken by the server.
    pub(crate) fn queued(&self) -> usize {
        match self {
            Self::WebSocket(socket) => socket.queued(),
            Self::Requests(requests) => requests.queued(),
        }
    }

    /// Queues what there is to say.
    pub(crate) fn enqueue(&mut self, Output { format, bytes }: &Output) {
        match self {
            Self::WebSocket(socket) => socket.enqueue(&match format {
                // What is written as JSON is text.
                TransferFormat::Text => Message::Text(String::from_utf8_lossy(bytes).into_owned()),
                TransferFormat::Binary => Message::Binary(bytes.to_vec()),
            }),
            Self::Requests(requests) => requests.enqueue(*format, bytes),
        }
    }

    /// Writes, and reads if asked to; gives what came, or `None` when there is room to say more.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Why the transport has ended, in words.
    pub(crate) async fn exchange(&mut self, reads: bool) -> Result<Option<Vec<u8>>, Arc<str>> {
        match self {
            Self::WebSocket(socket) => exchange(socket, reads).await,
            Self::Requests(requests) => requests.exchange(reads).await,
        }
    }

    /// Says what is queued, and goodbye; gives the server a while to answer.
    pub(crate) async fn close(self) {
        // What goes wrong at the end changes nothing.
        let _ = timeout(CLOSE_TIMEOUT, async {
            match self {
                Self::WebSocket(mut socket) => {
                    let _ = socket.close(CloseCode::NORMAL, "").await;
                }
                Self::Requests(requests) => requests.close().await,
            }
        })
        .await;
    }
}

async fn exchange(socket: &mut Socket, reads: bool) -> Result<Option<Vec<u8>>, Arc<str>> {
    let came = if reads { socket.exchange().await } else { socket.flush().await.map(|()| None) };
    match came.map_err(|error| error.to_string())? {
        Some(Message::Text(text)) => Ok(Some(text.into_bytes())),
        Some(Message::Binary(bytes)) => Ok(Some(bytes)),
        Some(Message::Ping(_) | Message::Pong(_)) | None => Ok(None),
        Some(Message::Close(close)) => {
            Err(format!("WebSocket closed with status code: {}", close.reported_code()).into())
        }
    }
}

/// How long a server may take to answer our goodbye, as in the official server.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
