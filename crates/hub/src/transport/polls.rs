//! Long polling: requests that wait for something to carry away, and requests that bring.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use everwire_proto::signalr::negotiate::Transport;
use http::{Response, StatusCode};
use tokio::time::timeout;

use super::{
    attach::{Attached, Detached, Visitor},
    body::HubBody,
    receipt::Receipt,
    reply,
};
use crate::{
    clock,
    connection::{
        Connection,
        mail::{Mail, Visit},
    },
    end::End,
};

/// Answers a poll. The first one only opens the connection.
pub(super) async fn answer(visitor: Visitor) -> Response<HubBody> {
    let transport = Transport::LongPolling;
    let wait = visitor.hub.config().poll_timeout;
    let response = match visitor.attach(transport) {
        Ok(Attached::New(begun)) => {
            let connection = visitor.begin(begun);
            connection.wire().pulse.left_alone(clock::now());
            carried(Bytes::new())
        }
        Ok(Attached::There(connection)) => {
            let Some(mail) = &connection.mail else { return ended() };
            let poll = Polling::begin(&connection, mail);
            match timeout(wait, poll.wait()).await {
                Ok(Some(bytes)) => {
                    let receipt = Receipt::new(Arc::clone(&connection), poll.visit);
                    given(bytes, receipt)
                }
                Ok(None) => ended(),
                Err(_) => carried(Bytes::new()),
            }
        }
        Ok(Attached::Elsewhere(_)) => return Detached::OtherTransport.answer(),
        Err(detached) => return detached.answer(),
    };
    reply::uncached(response)
}

/// Answers a client that ends its connection. Only here, because the other transports have an end
/// that shows.
pub(super) fn end(visitor: &Visitor) -> Response<HubBody> {
    match visitor.find() {
        Ok(connection) if connection.transport == Transport::LongPolling => {
            connection.ask(End::Left(None));
            // Its task may end it later; whoever asks for it from now on asks for nothing.
            visitor.hub.directory().remove(&connection);
            reply::text(StatusCode::ACCEPTED, "")
        }
        Ok(_) => {
            let why = "Cannot terminate this connection using the DELETE endpoint.";
            reply::text(StatusCode::BAD_REQUEST, why)
        }
        Err(detached) => detached.answer(),
    }
}

/// A poll that waits. Between two polls a client is alone, and not for long.
struct Polling<'a> {
    connection: &'a Arc<Connection>,
    mail: &'a Mail,
    visit: Visit,
}

impl<'a> Polling<'a> {
    fn begin(connection: &'a Arc<Connection>, mail: &'a Mail) -> Self {
        let visit = mail.visit();
        connection.wire().pulse.visited();
        Self { connection, mail, visit }
    }

    /// What there is to carry away; `None` if nothing comes any more, or to this poll.
    async fn wait(&self) -> Option<Bytes> {
        poll_fn(|cx| {
            if !self.mail.await_mail(self.visit, cx.waker()) {
                return Poll::Ready(None);
            }
            if let Some(bytes) = self.connection.carry(clock::now()) {
                self.mail.give(self.visit, &bytes);
                return Poll::Ready(Some(bytes));
            }
            if self.connection.wire().is_closed() {
                self.mail.tell_end();
                self.connection.wake();
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if self.mail.is_last(self.visit) {
            self.connection.wire().pulse.left_alone(clock::now());
        }
    }
}

fn carried(bytes: Bytes) -> Response<HubBody> {
    reply::whole(StatusCode::OK, KIND, bytes)
}

fn given(bytes: Bytes, receipt: Receipt) -> Response<HubBody> {
    let body = HubBody::given(bytes, receipt.clone());
    let mut response = reply::of(StatusCode::OK, KIND, body);
    response.extensions_mut().insert(receipt);
    response
}

fn ended() -> Response<HubBody> {
    reply::text(StatusCode::NO_CONTENT, "")
}

const KIND: &str = "application/octet-stream";
