//! What nodes do with one another, whatever lies between them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    Asking, Channel, Health, History, LogUnreachable, LogWork, Member, Members, NodeId, Observer,
    Origin, Position, Questions, Start, Stretch, Subscription,
};

/// One node's end of the bus. Shared as `Arc<dyn Bus>`.
///
/// Nothing here waits: what takes time is a future or a stream, and may be dropped at any moment.
pub trait Bus: Send + Sync {
    /// This node in its present life. Every message it publishes has this as its origin.
    ///
    /// The incarnation grows when the others had given the node up and it came back.
    fn member(&self) -> Member;

    /// Sends a message to everybody who follows the channel, this node included.
    ///
    /// It is numbered and queued before this returns, so that two calls arrive in their order; the
    /// future tells what became of it, and dropping it changes nothing. A payload over
    /// [`PAYLOAD_MAX`] and one for which the queue has no room are refused at once.
    fn publish(&self, channel: &Channel, payload: Bytes) -> Publishing;

    /// The same, and the message is kept in a history: its number there, its place in the history and
    /// its way to everybody are one step, done once however often an answer is lost. All receive it
    /// with that [number](crate::Message::recorded), in the order of numbers but where a subscription
    /// has missed something; the history has it then.
    fn record(&self, channel: &Channel, history: &History, payload: Bytes) -> Publishing;

    /// At most `limit` messages of a history after a number, oldest first, and no more than some
    /// 1 MiB of them at once. A history that does not exist begins.
    fn replay(
        &self,
        history: &History,
        after: u64,
        limit: usize,
    ) -> LogWork<Result<Stretch, LogUnreachable>>;

    /// Follows a channel. The first item is [`Item::Reachable`](crate::Item::Reachable)`(true)`:
    /// what is published from then on arrives.
    fn subscribe(&self, channel: &Channel, from: Start) -> Subscription;

    /// Asks one node whoever takes its questions of this topic.
    fn ask(&self, node: NodeId, topic: &Channel, payload: Bytes, within: Duration) -> Asking;

    /// Takes the questions of this topic. Who takes them last gets them.
    fn questions(&self, topic: &Channel) -> Questions;

    /// Who is alive: first a [`Membership::Joined`](crate::Membership::Joined) for each node, this
    /// one included, then what changes.
    fn members(&self) -> Members;

    /// Tells that this observer has cleaned up its part of what a node left behind. When all have that
    /// were told of it and still look on, nobody is asked to do it again when this node ends.
    fn cleaned(&self, observer: Observer, member: Member);

    /// Takes leave: the others see this node [leave](crate::Membership::Left), and not expire.
    /// Later publishes are refused.
    fn leave(&self) -> Leaving;

    /// Whether the backplane answers, and what was counted so far.
    fn health(&self) -> Health;
}

/// What became of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The backplane has it. The position is at or after the one at which receivers see it.
    Stored(Position),
    /// Nobody will receive it.
    NotStored(Refusal),
    /// It was sent and may have been received: the bus ended before it was confirmed.
    Unknown,
}

/// Why something was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The queue of what the backplane has not confirmed is full: it is away or too slow.
    #[error("too much is waiting for the backplane")]
    Full,
    /// The payload is larger than [`PAYLOAD_MAX`].
    #[error("the payload has more than {PAYLOAD_MAX} bytes")]
    TooLarge,
    /// This node publishes to more channels than it can keep numbers for.
    #[error("too many channels")]
    TooManyChannels,
    /// The backplane does not answer, and nothing was sent. Of logs only: a message would wait.
    #[error("the backplane does not answer")]
    Unreachable,
    /// The journal's disk does not take it. Of logs only.
    #[error("the disk cannot be written")]
    Disk,
    /// This node has taken its leave.
    #[error("the node has left the bus")]
    Left,
}

/// What will become of a message. Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "a message that is refused is lost unless somebody looks; `drop` says that you mean it"]
pub struct Publishing {
    state: State,
    origin: Option<Origin>,
}

#[derive(Debug)]
enum State {
    Known(Fate),
    Waiting(oneshot::Receiver<Fate>),
}

impl Publishing {
    /// What is known already.
    pub const fn known(fate: Fate) -> Self {
        Self { state: State::Known(fate), origin: None }
    }

    pub(crate) fn waiting() -> (oneshot::Sender<Fate>, Self) {
        let (tell, told) = oneshot::channel();
        (tell, Self { state: State::Waiting(told), origin: None })
    }

    /// The same for a message that was given this number.
    pub(crate) fn of(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// What receivers see the message come from; `None` if it was refused.
    pub const fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The fate if it is known by now, such as a refusal.
    pub fn now(&mut self) -> Option<Fate> {
        if let State::Waiting(told) = &mut self.state {
            match told.try_recv() {
                Ok(fate) => self.state = State::Known(fate),
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.state = State::Known(Fate::Unknown);
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
        match self.state {
            State::Known(fate) => Some(fate),
            State::Waiting(_) => None,
        }
    }
}

impl Future for Publishing {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Fate> {
        match &mut self.state {
            State::Known(fate) => Poll::Ready(*fate),
            State::Waiting(told) => Pin::new(told).poll(ctx).map(|told| {
                // The bus ended with the message underway.
                told.unwrap_or(Fate::Unknown)
            }),
        }
    }
}

/// Taking leave of the others; done when they know, or when they cannot be told.
#[must_use = "a node that does not wait may end before the others know, and then has to expire"]
pub struct Leaving(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Leaving {
    /// Leaving is over when the future is.
    pub fn new(leaving: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Box::pin(leaving))
    }
}

impl Future for Leaving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(ctx)
    }
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaving")
    }
}

/// Bytes of one payload. Larger than what a client may send by default, so that what one node
/// accepted can reach the others.
pub const PAYLOAD_MAX: usize = 4 << 20;
