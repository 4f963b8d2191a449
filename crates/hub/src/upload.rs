//! Streams that clients upload: what a method takes, and what its connection puts in.
//!
//! [`Upload`] is the method's end and [`Feeder`] the connection's. An upload holds
//! [`UPLOAD_ITEMS_MAX`] items; while it is full, the connection reads nothing, so that the client
//! is slowed down by TCP alone. A method that takes from several uploads should take from all of
//! them, or the one that it leaves out holds up the others.

use std::{
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use everwire_proto::signalr::payload::Payload;
use futures_util::Stream;
use serde::de::DeserializeOwned;

use crate::error::{ErrorDetail, HubError};

/// Items that an upload holds before its connection is read no further; the official server's
/// number. Items that came while the call waited for its turn may go beyond it once.
pub const UPLOAD_ITEMS_MAX: usize = 10;

/// A stream of items that a client uploads to a method, in the method's own type.
///
/// Items are a client's claims until they are taken: one of another type is an error, and the last.
/// So is the client's own error, with its text, and the end of the connection. Dropping an upload
/// leaves the rest of it unread and unharmful.
///
/// ```
/// # use everwire_hub::{HubError, Upload};
/// async fn longest(mut lines: Upload<String>) -> Result<String, HubError> {
///     let mut longest = String::new();
///     while let Some(line) = lines.next().await {
///         let line = line?;
///         if line.len() > longest.len() {
///             longest = line;
///         }
///     }
///     Ok(longest)
/// }
/// ```
pub struct Upload<T> {
    shared: Arc<Shared>,
    detail: ErrorDetail,
    ended: bool,
    item: PhantomData<fn() -> T>,
}

/// The connection's end of an upload. Dropped, it ends the upload without an error.
pub struct Feeder {
    shared: Arc<Shared>,
}

/// An upload whose type its method will say.
pub(crate) struct Opened(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    items: VecDeque<Payload>,
    /// How it ended, once it has.
    end: Option<Result<(), HubError>>,
    /// The method takes no more.
    dropped: bool,
    taker: Option<Waker>,
    feeder: Option<Waker>,
}

/// Opens an upload: its two ends.
pub(crate) fn open() -> (Feeder, Opened) {
    let shared = Arc::<Shared>::default();
    (Feeder { shared: Arc::clone(&shared) }, Opened(shared))
}

impl Opened {
    /// The method's end.
    pub(crate) fn typed<T>(self, detail: ErrorDetail) -> Upload<T> {
        Upload { shared: self.0, detail, ended: false, item: PhantomData }
    }
}

impl Feeder {
    /// Puts in an item, beyond what an upload should hold too: whoever cares for
    /// [`is_full`](Self::is_full) has nothing to put in then.
    pub fn feed(&self, item: Payload) {
        let mut state = self.shared.state();
        if state.dropped || state.end.is_some() {
            return;
        }
        state.items.push_back(item);
        wake(state.taker.take(), state);
    }

    /// Ends the upload; `error` is what the client says went wrong.
    pub fn end(&self, error: Option<HubError>) {
        let mut state = self.shared.state();
        state.end.get_or_insert_with(|| error.map_or(Ok(()), Err));
        wake(state.taker.take(), state);
    }

    /// Whether the upload holds as much as it should, so that nothing is to be read from its
    /// client.
    pub fn is_full(&self) -> bool {
        let state = self.shared.state();
        !state.dropped && state.items.len() >= UPLOAD_ITEMS_MAX
    }

    /// Ready once the upload is not full.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        if state.dropped || state.items.len() < UPLOAD_ITEMS_MAX {
            return Poll::Ready(());
        }
        state.feeder = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<T: DeserializeOwned> Upload<T> {
    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// As the stream: whatever goes wrong is the last item.
    pub async fn next(&mut self) -> Option<Result<T, HubError>> {
        std::future::poll_fn(|context| self.poll_item(context)).await
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, HubError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.shared.state();
        let Some(item) = state.items.pop_front() else {
            let Some(end) = state.end.clone() else {
                state.taker = Some(context.waker().clone());
                return Poll::Pending;
            };
            self.ended = true;
            return Poll::Ready(end.err().map(Err));
        };
        wake(state.feeder.take(), state);
        Poll::Ready(Some(self.decode(&item)))
    }

    fn decode(&mut self, item: &Payload) -> Result<T, HubError> {
        item.decode().map_err(|error| {
            self.ended = true;
            self.close();
            let error = HubError::decoding(&error);
            HubError::new(error.told("Failed to bind Stream message.", self.detail))
        })
    }
}

impl<T: DeserializeOwned> Stream for Upload<T> {
    type Item = Result<T, HubError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(context)
    }
}

impl<T> Upload<T> {
    /// Takes no more, and holds nobody up any longer.
    fn close(&self) {
        let mut state = self.shared.state();
        state.dropped = true;
        state.items = VecDeque::new();
        wake(state.feeder.take(), state);
    }
}

impl<T> Drop for Upload<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> fmt::Debug for Upload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("is_full", &self.is_full()).finish()
    }
}

impl Shared {
    /// Nothing panics while the lock is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever waited, after the lock has been given up.
fn wake(waiting: Option<Waker>, state: MutexGuard<'_, State>) {
    drop(state);
    if let Some(waker) = waiting {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
