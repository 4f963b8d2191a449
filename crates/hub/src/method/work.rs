//! A call that has begun: what its connection drives to its end.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use everwire_proto::signalr::payload::Payload;
use futures_util::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::stream::EncodedItems;
use crate::error::{Failure, HubError};

/// A call that has begun. A panic in it is its failure and nobody else's.
#[derive(Debug)]
pub enum Work {
    /// It ends with its result.
    Answer(Answer),
    /// It ends after its items.
    Stream(ItemStream),
}

/// A method on its way to its result. It is not given up when its client wants no more of it or is
/// gone, because what it does may have to be done: its context tells it.
pub struct Answer(Pin<Box<dyn Future<Output = Result<Payload, HubError>> + Send>>);

/// A method's stream. It ends by itself after an error, and when its client wants no more of it or
/// is gone; the method's own stream is dropped then.
pub struct ItemStream(Option<EncodedItems>);

impl Answer {
    pub(super) fn new(
        work: impl Future<Output = Result<Payload, HubError>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(work))
    }
}

impl Future for Answer {
    type Output = Result<Payload, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = guarded(|| self.0.as_mut().poll(context));
        ended.unwrap_or_else(|error| Poll::Ready(Err(error))).map_err(Failure::Invoking)
    }
}

impl ItemStream {
    pub(super) fn new(items: EncodedItems, canceled: CancellationToken) -> Self {
        Self(Some(items.until(canceled)))
    }
}

impl Stream for ItemStream {
    type Item = Result<Payload, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(items) = &mut self.0 else { return Poll::Ready(None) };
        let item = match guarded(|| items.poll_next_unpin(context)) {
            Ok(Poll::Ready(item)) => item,
            Ok(Poll::Pending) => return Poll::Pending,
            Err(panic) => Some(Err(Failure::Streaming(panic))),
        };
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(item)
    }
}

/// Does a step of a method; its panic is an error.
pub(super) fn guarded<T>(step: impl FnOnce() -> T) -> Result<T, HubError> {
    // What panicked is not touched again but to be dropped.
    catch_unwind(AssertUnwindSafe(step)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        HubError::unexpected("Panic", message.unwrap_or_default())
    })
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl fmt::Debug for ItemStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ItemStream").field("ended", &self.0.is_none()).finish()
    }
}
