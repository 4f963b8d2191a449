//! What waits for a call's turn, in the order in which it came.

use std::collections::VecDeque;

use everwire_proto::signalr::{
    message::{Call, InvocationId, Outcome},
    payload::Payload,
};

use super::{Answers, MethodId, Signature};

/// A call that was found good and has not begun.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) id: Option<InvocationId>,
    pub(super) call: Call,
    pub(super) method: MethodId,
    pub(super) signature: Signature,
}

/// What waits.
#[derive(Debug)]
pub(super) enum Waits {
    Call(Called),
    /// An item for an upload of a call that waits.
    Item(InvocationId, Payload),
    /// The end of an upload of a call that waits.
    End(InvocationId, Outcome),
}

/// What waits, in its order.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: VecDeque<Waits>,
    bytes: usize,
}

impl Called {
    /// Whether it runs beside all others.
    pub(super) const fn streams(&self) -> bool {
        matches!(self.signature.answers, Answers::Stream) || self.signature.uploads > 0
    }
}

impl Waiting {
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, waits: Waits) {
        self.bytes += waits.charged();
        self.queue.push_back(waits);
    }

    pub(super) fn front(&self) -> Option<&Waits> {
        self.queue.front()
    }

    pub(super) fn pop(&mut self) -> Option<Waits> {
        self.take(0)
    }

    /// Takes out the first call of this id.
    pub(super) fn take_call(&mut self, id: &InvocationId) -> Option<Called> {
        let at =
            self.calls().position(|called| called.is_some_and(|it| it.id.as_ref() == Some(id)))?;
        match self.take(at)? {
            Waits::Call(called) => Some(called),
            Waits::Item(..) | Waits::End(..) => None,
        }
    }

    /// Whether a call that waits has an upload of this id.
    pub(super) fn announces(&self, id: &InvocationId) -> bool {
        self.calls().flatten().any(|called| called.call.streams.contains(id))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// All that waits, with `None` for what is no call.
    fn calls(&self) -> impl Iterator<Item = Option<&Called>> {
        self.queue.iter().map(|waits| match waits {
            Waits::Call(called) => Some(called),
            Waits::Item(..) | Waits::End(..) => None,
        })
    }

    fn take(&mut self, at: usize) -> Option<Waits> {
        let waits = self.queue.remove(at)?;
        self.bytes -= waits.charged();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(waits)
    }
}

impl Waits {
    /// Bytes that it keeps of what the client said.
    fn charged(&self) -> usize {
        match self {
            Self::Call(Called { call, .. }) => {
                let streams = call.streams.iter().map(|id| id.as_str().len()).sum::<usize>();
                call.target.len() + call.arguments.payload().charged() + streams
            }
            Self::Item(_, item) => item.charged(),
            Self::End(_, Outcome::Result(result)) => result.charged(),
            Self::End(_, Outcome::Error(error)) => error.len(),
            Self::End(_, Outcome::Void) => 0,
        }
    }
}
