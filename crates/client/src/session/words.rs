//! The words in which a session and its caller talk.

use std::time::Duration;

use bytes::Bytes;
use everwire_proto::signalr::{
    TransferFormat,
    message::{Invocation, Outcome},
    payload::Payload,
};

use crate::state::State;

/// Names a call that is in flight; an upload stream has a number of the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallId(pub(crate) u64);

/// Which connection something belongs to: an answer to one server is none to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(pub(super) u64);

/// How a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// By a completion.
    Once,
    /// By items and a completion.
    Stream,
}

/// What is to be delivered.
#[derive(Debug)]
pub(crate) enum Event {
    /// The state has changed. The end is not told here but by [`Wish::End`].
    State(State),
    /// The server calls a method of ours.
    Invocation(Epoch, Invocation),
    /// An item for a call.
    Item(CallId, Payload),
    /// A call has ended.
    Completed(CallId, Outcome),
    /// A stream has ended, because nobody took its items for this long.
    Overrun(CallId, Duration),
    /// All calls in flight have failed.
    CallsLost,
}

/// Who holds up what comes from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// The handlers: their queue is full.
    Handlers,
    /// Whoever takes the items of this call.
    Stream(CallId),
}

/// Bytes to write, as one message where the transport has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) format: TransferFormat,
    pub(crate) bytes: Bytes,
}
