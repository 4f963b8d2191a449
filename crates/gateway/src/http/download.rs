//! A backend's answer on its way to the client.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use everwire_proto::time::Time;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::{
    exchange::{Exchange, Overdue},
    line::Line,
    upload::Progress,
};
use crate::{clock, pool::SessionGuard};

/// The body of an answer: the gateway's own words, or a backend's as they come.
#[derive(Debug)]
pub struct HttpBody(Source);

#[derive(Debug)]
enum Source {
    Own(Full<Bytes>),
    Backend(Box<Download>),
}

/// Why a body that had begun does not reach its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutOff {
    /// The backend ended it.
    #[error("the backend broke off")]
    Backend,
    /// Nothing moved for the route's `idle_timeout`.
    #[error("nothing moved for too long")]
    Idle,
    /// The backend is being left, or the gateway stops, and the time for that is over.
    #[error("the backend is being left")]
    Left,
}

impl CutOff {
    /// One of a closed set, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Idle => "idle",
            Self::Left => "left",
        }
    }
}

/// A body with everything that ends with it.
#[derive(Debug)]
pub(super) struct Download {
    body: Incoming,
    /// The connection, until it is known whether it can be used again.
    line: Option<Line>,
    exchange: Exchange,
    progress: Progress,
    idle_timeout: Duration,
    moved_at: Time,
    ended: bool,
    _session: SessionGuard,
}

impl Download {
    pub(super) fn new(
        body: Incoming,
        line: Line,
        session: SessionGuard,
        exchange: Exchange,
        progress: Progress,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            body,
            line: Some(line),
            exchange,
            progress,
            idle_timeout,
            moved_at: clock::now(),
            ended: false,
            _session: session,
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let cut = ready!(self.poll_overdue(cx));
                return Poll::Ready(Some(Err(self.cut(cut))));
            };
            self.moved_at = clock::now();
            return Poll::Ready(match frame {
                None => {
                    self.end();
                    None
                }
                Some(Ok(frame)) if frame.is_data() => Some(Ok(frame)),
                // Fields behind the body.
                Some(Ok(_)) => continue,
                Some(Err(_)) => Some(Err(self.cut(CutOff::Backend))),
            });
        }
    }

    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<CutOff> {
        let Self { exchange, progress, idle_timeout, moved_at, .. } = self;
        let silent_at = || progress.at().max(*moved_at) + *idle_timeout;
        exchange.poll_overdue(cx, silent_at).map(|overdue| match overdue {
            Overdue::Silent => CutOff::Idle,
            Overdue::Asked => CutOff::Left,
        })
    }

    fn cut(&mut self, cut: CutOff) -> CutOff {
        self.exchange.gateway().metrics().cut_off(cut);
        tracing::debug!(why = cut.as_str(), "an answer is cut off");
        self.ended = true;
        self.line = None;
        cut
    }

    /// Everything has come: the connection is free, unless the client is still sending.
    fn end(&mut self) {
        self.ended = true;
        let line = self.line.take().filter(|_| self.progress.is_done());
        if let Some(line) = line {
            line.keep();
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // An answer without a body is never polled.
        if self.body.is_end_stream() {
            self.end();
        }
    }
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match &mut self.0 {
            Source::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Source::Backend(download) => download.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Own(body) => body.is_end_stream(),
            Source::Backend(download) => download.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Own(body) => body.size_hint(),
            Source::Backend(download) => download.body.size_hint(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for HttpBody {
    fn from(text: T) -> Self {
        Self(Source::Own(Full::new(text.into())))
    }
}

impl HttpBody {
    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self(Source::Own(Full::default()))
    }

    /// What a backend sends, as it comes.
    pub(super) fn of_backend(download: Download) -> Self {
        Self(Source::Backend(Box::new(download)))
    }
}
