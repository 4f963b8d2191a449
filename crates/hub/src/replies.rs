//! Asking many clients at once: one frame for all of them, and an answer of each.

use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use everwire_proto::{
    signalr::message::{InvocationId, Outcome},
    time::Time,
};
use futures_util::{Stream, stream::FuturesUnordered};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Sleep, sleep},
};

use crate::{
    client::{InvokeError, Question, Unread, result_of},
    clock,
    connection::Connection,
    frames::Frames,
    id::ConnectionId,
};

/// What clients answer that were asked together, in the order in which they do; see
/// [`Recipients::invoke`](crate::Recipients::invoke).
///
/// A stream with exactly one [`Reply`] for each client that was asked: its answer, or why there is
/// none. It ends with the last, at the latest when its time is up. Dropping it forgets the question
/// everywhere, and what is answered later is ignored.
pub struct Replies<R> {
    /// Shards that have not said yet whom they have asked.
    shards: FuturesUnordered<oneshot::Receiver<Vec<Awaited>>>,
    awaited: FuturesUnordered<Awaited>,
    deadline: Time,
    /// The runtime's timer for the deadline, from the first wait on.
    timer: Option<Pin<Box<Sleep>>>,
    /// Who had not answered when the time was up.
    late: vec::IntoIter<ConnectionId>,
    results: PhantomData<fn() -> R>,
}

/// What became of the question at one client.
#[derive(Debug)]
pub struct Reply<R> {
    /// Who was asked.
    pub connection: ConnectionId,
    /// What it answers.
    pub answer: Result<R, InvokeError>,
}

/// A question to many, for a shard that knows who of them is there.
#[derive(Debug)]
pub(crate) struct Survey {
    id: InvocationId,
    frames: Arc<Frames>,
    /// Answers that the hub may await besides those that it does.
    asks: Arc<Semaphore>,
    asked: oneshot::Sender<Vec<Awaited>>,
}

/// The answer of one client that is awaited.
#[derive(Debug)]
pub(crate) struct Awaited {
    connection: ConnectionId,
    answer: Result<Unread, Option<InvokeError>>,
    /// Its place among those that the hub may await; none if there was no place.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Survey {
    pub(crate) const fn new(
        id: InvocationId,
        frames: Arc<Frames>,
        asks: Arc<Semaphore>,
        asked: oneshot::Sender<Vec<Awaited>>,
    ) -> Self {
        Self { id, frames, asks, asked }
    }

    /// Whether somebody still wants to know.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.asked.is_closed()
    }

    /// Asks a client, if the hub may await one more answer.
    pub(crate) fn ask(&self, connection: &Connection) -> Awaited {
        let id = connection.id();
        let Ok(permit) = Arc::clone(&self.asks).try_acquire_owned() else {
            let full = Err(Some(InvokeError::TooMany));
            return Awaited { connection: id, answer: full, _permit: None };
        };
        let (question, answer) = Question::new(self.id.clone(), Arc::clone(&self.frames));
        connection.put_question(question);
        Awaited { connection: id, answer: Ok(answer), _permit: Some(permit) }
    }

    /// Tells who was asked.
    pub(crate) fn tell(self, awaited: Vec<Awaited>) {
        // Nobody hears it who does not wait any more.
        let _ = self.asked.send(awaited);
    }
}

impl Future for Awaited {
    type Output = (ConnectionId, Result<Outcome, InvokeError>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.connection;
        let outcome = match &mut self.answer {
            Ok(answer) => match ready!(Pin::new(answer).poll(cx)) {
                Ok(answer) => answer.map_err(InvokeError::from),
                Err(_) => Err(InvokeError::Disconnected(id)),
            },
            Err(why) => Err(why.take().unwrap_or(InvokeError::Disconnected(id))),
        };
        Poll::Ready((id, outcome))
    }
}

impl<R: DeserializeOwned> Replies<R> {
    pub(crate) fn new(shards: Vec<oneshot::Receiver<Vec<Awaited>>>, patience: Duration) -> Self {
        Self {
            shards: shards.into_iter().collect(),
            awaited: FuturesUnordered::new(),
            deadline: clock::now() + patience,
            timer: None,
            late: Vec::new().into_iter(),
            results: PhantomData,
        }
    }

    /// The next reply; `None` after the last.
    pub async fn next(&mut self) -> Option<Reply<R>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Takes note of whom the shards have asked.
    fn poll_shards(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(asked)) = Pin::new(&mut self.shards).poll_next(cx) {
            // A shard that has ended has asked nobody.
            self.awaited.extend(asked.unwrap_or_default());
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.deadline.saturating_since(clock::now());
        self.timer.get_or_insert_with(|| Box::pin(sleep(left))).as_mut().poll(cx)
    }

    /// Awaits no more answers.
    fn give_up(&mut self) {
        self.shards.clear();
        let awaited = std::mem::take(&mut self.awaited).into_iter();
        self.late = awaited.map(|awaited| awaited.connection).collect::<Vec<_>>().into_iter();
    }
}

impl<R: DeserializeOwned> Stream for Replies<R> {
    type Item = Reply<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.poll_shards(cx);
        if let Poll::Ready(Some((connection, outcome))) = Pin::new(&mut this.awaited).poll_next(cx)
        {
            let answer = outcome.and_then(result_of);
            return Poll::Ready(Some(Reply { connection, answer }));
        }
        if !(this.shards.is_empty() && this.awaited.is_empty()) {
            ready!(this.poll_deadline(cx));
            this.give_up();
        }
        let late = this.late.next();
        Poll::Ready(late.map(|connection| {
            let answer = Err(InvokeError::Late(connection));
            Reply { connection, answer }
        }))
    }
}

impl<R> Unpin for Replies<R> {}

impl<R> fmt::Debug for Replies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("awaited", &self.awaited.len()).finish_non_exhaustive()
    }
}
