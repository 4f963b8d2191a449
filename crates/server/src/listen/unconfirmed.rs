//! An answer to a poll that its client may not have got.
//!
//! A client that asks for something else over the same connection has the answer before. A connection that
//! fails instead, by a reset or because nothing of it was acknowledged, may have lost it: the hub is
//! told, and gives it again. One that the client merely ends has delivered it: many clients do so
//! after each answer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use everwire_hub::Receipt;
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The last answer on a connection, if that is to a poll. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Unconfirmed(Arc<Mutex<Option<Receipt>>>);

/// A connection that says whether it has failed.
pub(super) struct Observed<S> {
    stream: S,
    last: Unconfirmed,
}

impl Unconfirmed {
    /// There is another request: the client has what it was answered before.
    pub(super) fn confirm(&self) {
        *self.last() = None;
    }

    /// This is the last answer now.
    pub(super) fn answer<B>(&self, response: &mut Response<B>) {
        *self.last() = response.extensions_mut().remove();
    }

    /// The connection has failed.
    fn fail(&self) {
        let last = self.last().take();
        last.into_iter().for_each(|receipt| receipt.lost());
    }

    fn last(&self) -> MutexGuard<'_, Option<Receipt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Observed<S> {
    pub(super) const fn new(stream: S, last: Unconfirmed) -> Self {
        Self { stream, last }
    }

    fn notice<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(_)) = done {
            self.last.fail();
        }
        done
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.notice(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.notice(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.notice(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.notice(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
