//! What a server streams to us.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use everwire_proto::signalr::payload::Payload;
use futures_util::Stream;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use crate::{call::CallGuard, error::InvokeError};

/// The items of a method that answers with a stream. Dropping it cancels the stream.
///
/// It ends after an error. Items that are not taken fill its buffer, and then nothing is read from
/// the server; if none is taken for the server timeout, the stream is cancelled with
/// [`InvokeError::Overrun`].
pub struct ItemStream<T> {
    items: mpsc::Receiver<Payload>,
    end: Option<oneshot::Receiver<Result<(), InvokeError>>>,
    guard: CallGuard,
    _item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> ItemStream<T> {
    pub(crate) const fn new(
        items: mpsc::Receiver<Payload>,
        end: oneshot::Receiver<Result<(), InvokeError>>,
        guard: CallGuard,
    ) -> Self {
        Self { items, end: Some(end), guard, _item: PhantomData }
    }

    /// The next item; `None` after the last, and after an error.
    pub async fn next(&mut self) -> Option<Result<T, InvokeError>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, InvokeError>>> {
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let end = ready!(Pin::new(end).poll(cx)).unwrap_or(Err(InvokeError::Lost));
        self.end = None;
        self.guard.disarm();
        Poll::Ready(end.err().map(Err))
    }
}

impl<T: DeserializeOwned> Stream for ItemStream<T> {
    type Item = Result<T, InvokeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.end.is_none() {
            return Poll::Ready(None);
        }
        let Some(item) = ready!(self.items.poll_recv(cx)) else { return self.poll_end(cx) };
        let item = item.decode().map_err(InvokeError::Decode);
        if item.is_err() {
            // The guard, which is still armed, cancels what follows.
            self.end = None;
        }
        Poll::Ready(Some(item))
    }
}

impl<T> fmt::Debug for ItemStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ItemStream(..)")
    }
}
