//! What a client says where it cannot say it on what it listens to: in requests of their own.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use everwire_proto::signalr::negotiate::Transport;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::{
    attach::{Detached, Visitor},
    body::HubBody,
    reply,
};
use crate::connection::Connection;

/// Takes a body, part by part, however large it is: the connection judges its messages.
pub(super) async fn answer<B>(visitor: Visitor, body: B) -> Response<HubBody>
where
    B: Body<Data = Bytes>,
{
    let wait = visitor.hub.config().client_timeout;
    let connection = match visitor.find_or_begin() {
        Ok(connection) if connection.transport == Transport::WebSockets => {
            let why = "POST requests are not allowed for WebSocket connections.";
            return reply::text(StatusCode::METHOD_NOT_ALLOWED, why);
        }
        Ok(connection) => connection,
        Err(detached) => return detached.answer(),
    };
    match bring(&connection, body, wait).await {
        Ok(()) => reply::text(StatusCode::OK, ""),
        Err(detached) => detached.answer(),
    }
}

/// Each part of the body has to come within `wait`: a request that brings nothing holds up those
/// behind it.
async fn bring(
    connection: &Connection,
    body: impl Body<Data = Bytes>,
    wait: Duration,
) -> Result<(), Detached> {
    let mail = connection.mail.as_ref().ok_or(Detached::Unknown)?;
    let _turn = mail.turn().await;
    let mut body = pin!(body);
    // A client that goes away within a body has said no more than what came.
    while let Some(Ok(frame)) = timeout(wait, body.frame()).await.map_err(|_| Detached::Late)? {
        if let Ok(part) = frame.into_data() {
            mail.bring(part).await.map_err(|_| Detached::Unknown)?;
            connection.wake();
        }
    }
    Ok(())
}
