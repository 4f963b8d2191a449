//! What a method that streams may return.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use everwire_proto::signalr::{Protocol, payload::Payload};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, HubError};

/// What a method that streams may return: a stream of `Result<T, HubError>`, a channel's receiver
/// of the same, such a stream in a `Result`, or a future of that.
///
/// `Form` says which of them it is, and the compiler finds it out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no stream of items",
    note = "return a `Stream<Item = Result<T, HubError>>`, for instance of `produce`"
)]
pub trait IntoItems<Form>: Send + 'static {
    /// The items in a client's encoding.
    fn into_items(self, protocol: Protocol) -> EncodedItems;
}

/// A stream as it is.
#[derive(Debug)]
pub struct Plain;

/// A stream that may fail to begin.
#[derive(Debug)]
pub struct Fallible;

/// A stream that begins after a while, if it does.
#[derive(Debug)]
pub struct Later;

/// The receiving half of a channel.
#[derive(Debug)]
pub struct Channel;

/// The items of a stream, encoded. After an error there are no more.
pub struct EncodedItems(Pin<Box<dyn Stream<Item = Result<Payload, Failure>> + Send>>);

/// Where [`produce`] takes its items from.
#[derive(Debug)]
pub struct ItemSender<T>(mpsc::Sender<Result<T, HubError>>);

/// A stream of what `work` sends, for methods that are easier to write as a loop than as a stream.
///
/// `work` runs while the stream is read and no further than one item ahead; its error is the last
/// item. When the client wants no more, `work` is dropped where it stands.
///
/// ```
/// use everwire_hub::method::produce;
/// use futures_util::StreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let numbers = produce(|out| async move {
///     for number in 1..=3 {
///         out.send(number).await?;
///     }
///     Ok(())
/// });
/// let numbers: Vec<_> = numbers.map(Result::unwrap).collect().await;
/// assert_eq!(numbers, [1, 2, 3]);
/// # });
/// ```
pub fn produce<T, F>(
    work: impl FnOnce(ItemSender<T>) -> F,
) -> impl Stream<Item = Result<T, HubError>> + Send + 'static
where
    T: Send + 'static,
    F: Future<Output = Result<(), HubError>> + Send + 'static,
{
    let (tx, items) = mpsc::channel(1);
    let work = Some(Box::pin(work(ItemSender(tx))));
    Produced { work, error: None, items }
}

impl<T> ItemSender<T> {
    /// Sends an item, when the one before has been taken.
    ///
    /// # Errors
    /// If nobody takes items any more.
    pub async fn send(&self, item: T) -> Result<(), HubError> {
        self.0.send(Ok(item)).await.map_err(|_| HubError::canceled())
    }
}

struct Produced<T, F> {
    /// Until it has ended.
    work: Option<Pin<Box<F>>>,
    /// Why it failed, until that has been told.
    error: Option<HubError>,
    items: mpsc::Receiver<Result<T, HubError>>,
}

impl<T, F: Future<Output = Result<(), HubError>>> Stream for Produced<T, F> {
    type Item = Result<T, HubError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(Some(item)) = this.items.poll_recv(context) {
            return Poll::Ready(Some(item));
        }
        if let Some(work) = &mut this.work
            && let Poll::Ready(ended) = work.as_mut().poll(context)
        {
            this.work = None;
            this.error = ended.err();
            if this.error.is_some() {
                this.items.close();
            }
        }
        match this.items.poll_recv(context) {
            Poll::Ready(None) => Poll::Ready(this.error.take().map(Err)),
            item => item,
        }
    }
}

impl EncodedItems {
    /// EncodedItems of the application's own type.
    fn of<T: Serialize>(
        items: impl Stream<Item = Result<T, HubError>> + Send + 'static,
        protocol: Protocol,
    ) -> Self {
        let items = items.map(move |item| {
            let encoded = item.and_then(|item| Ok(Payload::encode(protocol, &item)?));
            encoded.map_err(Failure::Streaming)
        });
        Self(Box::pin(items))
    }

    /// The same items, until nobody wants more.
    pub(super) fn until(self, canceled: CancellationToken) -> Self {
        Self(Box::pin(self.take_until(canceled.cancelled_owned())))
    }

    /// No items, because the stream did not begin.
    fn failed(error: HubError) -> Self {
        Self(Box::pin(stream::iter([Err(Failure::Invoking(error))])))
    }
}

impl Stream for EncodedItems {
    type Item = Result<Payload, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<S, T> IntoItems<Plain> for S
where
    S: Stream<Item = Result<T, HubError>> + Send + 'static,
    T: Serialize,
{
    fn into_items(self, protocol: Protocol) -> EncodedItems {
        EncodedItems::of(self, protocol)
    }
}

impl<S, T> IntoItems<Fallible> for Result<S, HubError>
where
    S: Stream<Item = Result<T, HubError>> + Send + 'static,
    T: Serialize,
{
    fn into_items(self, protocol: Protocol) -> EncodedItems {
        self.map_or_else(EncodedItems::failed, |items| EncodedItems::of(items, protocol))
    }
}

impl<F, S, T> IntoItems<Later> for F
where
    F: Future<Output = Result<S, HubError>> + Send + 'static,
    S: Stream<Item = Result<T, HubError>> + Send + 'static,
    T: Serialize,
{
    fn into_items(self, protocol: Protocol) -> EncodedItems {
        let begun = stream::once(self);
        EncodedItems(Box::pin(begun.flat_map(move |items| items.into_items(protocol))))
    }
}

impl<T> IntoItems<Channel> for mpsc::Receiver<Result<T, HubError>>
where
    T: Serialize + Send + 'static,
{
    fn into_items(mut self, protocol: Protocol) -> EncodedItems {
        EncodedItems::of(stream::poll_fn(move |context| self.poll_recv(context)), protocol)
    }
}

impl fmt::Debug for EncodedItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedItems").finish_non_exhaustive()
    }
}
