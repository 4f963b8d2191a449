//! The bodies of a hub's answers.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{events::Events, receipt::Receipt};

/// The body of an answer of a hub.
#[derive(Debug, Default)]
pub struct HubBody(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Full<Bytes>),
    /// An answer to a poll, which is lost if nobody takes it.
    Given(Given),
    Events(Events),
    /// What another node answers. Where that breaks off it ends; who was told its length knows.
    Passed(Incoming),
}

#[derive(Debug)]
struct Given {
    body: Full<Bytes>,
    /// Until the answer has been taken.
    receipt: Option<Receipt>,
}

impl Drop for Given {
    fn drop(&mut self) {
        self.receipt.take().into_iter().for_each(|receipt| receipt.lost());
    }
}

impl HubBody {
    pub(super) fn given(body: Bytes, receipt: Receipt) -> Self {
        Self(Kind::Given(Given { body: Full::new(body), receipt: Some(receipt) }))
    }

    pub(super) fn whole(body: Bytes) -> Self {
        Self(Kind::Whole(Full::new(body)))
    }

    pub(super) const fn events(events: Events) -> Self {
        Self(Kind::Events(events))
    }

    pub(super) const fn passed(body: Incoming) -> Self {
        Self(Kind::Passed(body))
    }
}

impl Default for Kind {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl Body for HubBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx),
            Kind::Given(given) => {
                given.receipt = None;
                Pin::new(&mut given.body).poll_frame(cx)
            }
            Kind::Events(events) => {
                events.poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
            Kind::Passed(body) => {
                Pin::new(body).poll_frame(cx).map(|next| next.and_then(Result::ok).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Given(given) => given.body.is_end_stream(),
            Kind::Events(_) => false,
            Kind::Passed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Given(given) => given.body.size_hint(),
            Kind::Events(_) => SizeHint::default(),
            Kind::Passed(body) => body.size_hint(),
        }
    }
}
