//! A client's connection of which hyper sees only requests that no two parsers read differently.
//!
//! Each head is held back until it is whole and judged, each body followed to its end. What is
//! refused ends the requests; when those before it have been answered, hyper ends the connection,
//! and the refusal is the last thing that is written.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use everwire_gateway::Gateway;
use everwire_proto::ws::upgrade::{Refusal, RequestScan};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{refuse, stream::ClientStream};

/// Such a connection.
pub(super) struct Judged {
    /// `None` once the refusal is being written.
    stream: Option<ClientStream>,
    scan: RequestScan,
    /// What was read and hyper does not have yet.
    held: Vec<u8>,
    /// How much of that is judged.
    good: usize,
    refusal: Option<Refusal>,
    farewell: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    gateway: Gateway,
}

impl Judged {
    /// The connection of which `held` has been read.
    pub(super) fn new(stream: ClientStream, held: Vec<u8>, gateway: Gateway) -> Self {
        Self {
            stream: Some(stream),
            scan: RequestScan::default(),
            held,
            good: 0,
            refusal: None,
            farewell: None,
            gateway,
        }
    }

    /// Judges what is held. Gives whether some of it is good.
    fn judge(&mut self) -> bool {
        let judged = if self.scan.is_in_head() {
            self.scan.head(&self.held).map(Option::unwrap_or_default)
        } else {
            self.scan.body(&self.held)
        };
        self.good = self.unless_refused(judged);
        self.good > 0
    }

    fn unless_refused(&mut self, judged: Result<usize, Refusal>) -> usize {
        judged.unwrap_or_else(|refusal| {
            tracing::debug!(status = refusal.status, "request refused");
            self.gateway.count_refused(refusal.status);
            self.refusal = Some(refusal);
            0
        })
    }

    /// Gives hyper what is held and good.
    fn hand_over(&mut self, into: &mut ReadBuf<'_>) {
        let count = self.good.min(into.remaining());
        into.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.good -= count;
        if self.held.is_empty() {
            self.held = Vec::new();
        }
    }

    /// Reads a piece of a head; `false` at the client's end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut piece = [0; PIECE];
        let mut into = ReadBuf::new(&mut piece);
        ready!(self.stream()?.poll_read(cx, &mut into))?;
        self.held.extend_from_slice(into.filled());
        Poll::Ready(Ok(!into.filled().is_empty()))
    }

    /// Reads a piece of a body straight to hyper, and holds what is behind it.
    fn poll_body(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = into.filled().len();
        ready!(self.stream()?.poll_read(cx, into))?;
        let judged = self.scan.body(&into.filled()[start..]);
        let good = self.unless_refused(judged);
        if self.refusal.is_some() {
            into.set_filled(start);
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        }
        self.held.extend_from_slice(&into.filled()[start + good..]);
        into.set_filled(start + good);
        Poll::Ready(Ok(()))
    }

    fn stream(&mut self) -> io::Result<Pin<&mut ClientStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for Judged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            // A body that is refused breaks off, a head that is refused is not there.
            if this.refusal.is_some() {
                return Poll::Ready(Ok(()));
            }
            if this.good > 0 || (!this.held.is_empty() && this.judge()) {
                this.hand_over(into);
                return Poll::Ready(Ok(()));
            }
            if this.refusal.is_some() {
                continue;
            }
            if !this.scan.is_in_head() {
                return this.poll_body(cx, into);
            }
            if !ready!(this.poll_more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Judged {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(refusal) = this.refusal.take()
            && let Some(stream) = this.stream.take()
        {
            this.farewell = Some(Box::pin(async move { refuse::answer(stream, &refusal).await }));
        }
        match &mut this.farewell {
            Some(farewell) => farewell.as_mut().poll(cx).map(Ok),
            None => this.stream()?.poll_shutdown(cx),
        }
    }
}

/// What browsers and libraries send as a head fits one read.
const PIECE: usize = 2048;
