//! Server-sent events: one endless answer, and requests that bring what the client says.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_proto::signalr::negotiate::Transport;
use http::{HeaderValue, Response, StatusCode, header};

use super::{
    attach::{Attached, Detached, Visitor},
    body::HubBody,
    reply,
};
use crate::{
    clock,
    connection::{Connection, mail::Visit},
    end::End,
};

/// The body of the endless answer. The connection ends with it.
#[derive(Debug)]
pub(super) struct Events {
    connection: Arc<Connection>,
    visit: Option<Visit>,
    has_begun: bool,
}

/// Answers a request for events.
pub(super) fn answer(visitor: Visitor) -> Response<HubBody> {
    let transport = Transport::ServerSentEvents;
    let begun = match visitor.attach(transport) {
        Ok(Attached::New(begun)) => begun,
        Ok(Attached::There(_)) => return Detached::Active.answer(),
        Err(detached) => return detached.answer(),
    };
    let connection = visitor.begin(begun);
    let body = HubBody::events(Events { connection, visit: None, has_begun: false });
    let mut response = reply::uncached(reply::of(StatusCode::OK, "text/event-stream", body));
    let identity = HeaderValue::from_static("identity");
    response.headers_mut().insert(header::CONTENT_ENCODING, identity);
    response
}

impl Events {
    /// The next events in one piece; `None` when the connection has said its last.
    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        if !self.has_begun {
            self.has_begun = true;
            // Some clients wait for a first byte before they believe that the answer has begun.
            return Poll::Ready(Some(Bytes::from_static(b":\r\n")));
        }
        if let Some(mail) = &self.connection.mail {
            let visit = *self.visit.get_or_insert_with(|| mail.visit());
            mail.await_mail(visit, cx.waker());
        }
        if let Some(events) = self.connection.carry(clock::now()) {
            return Poll::Ready(Some(events));
        }
        if self.connection.wire().is_closed() { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl Drop for Events {
    /// The client is gone, or has been told all.
    fn drop(&mut self) {
        self.connection.ask(End::Vanished);
    }
}
