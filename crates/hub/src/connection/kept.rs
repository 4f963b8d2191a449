//! What a session keeps so that it outlives its socket: stateful reconnect, both directions. Pure.

use bytes::Bytes;
use everwire_proto::{
    session::resend::{NeverSent, RESEND_COUNT_MAX, Resend},
    signalr::{
        message::{HubMessage, SequenceId},
        reconnect::{Received, SequenceError},
    },
};

/// What the client has not acknowledged, and what it has said.
#[derive(Debug)]
pub(crate) struct Kept {
    sent: Resend,
    received: Received,
    /// Bytes beyond which the session is given up.
    bytes_max: usize,
}

/// Why a session cannot go on: the client's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutOfStep {
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    #[error(transparent)]
    Ack(#[from] NeverSent),
}

impl Kept {
    /// A session on which nothing has been said.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { sent: Resend::default(), received: Received::new(), bytes_max }
    }

    /// Keeps a frame that counts.
    pub(crate) fn keep(&mut self, frame: Bytes) {
        self.sent.push(frame);
    }

    /// Whether more is kept than may be.
    pub(crate) const fn is_over(&self) -> bool {
        self.sent.bytes() > self.bytes_max
    }

    /// Whether answers need not wait: no more than this many bytes are kept.
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.sent.bytes() <= bytes_max && self.sent.replay().len() < RESEND_COUNT_MAX
    }

    /// Judges a message of the client: whether it is new.
    pub(crate) fn judge(&mut self, message: &HubMessage) -> Result<bool, OutOfStep> {
        if let HubMessage::Ack(SequenceId(id)) = message {
            self.sent.acknowledge(*id)?;
        }
        Ok(self.received.judge(message)?)
    }

    /// What the client is to be told that it need not keep any longer.
    pub(crate) fn acknowledge(&mut self) -> Option<HubMessage> {
        self.received.acknowledge().map(HubMessage::Ack)
    }

    /// The session goes on with another socket: the first message on it, and the frames to follow.
    pub(crate) fn resume(&mut self) -> (HubMessage, impl Iterator<Item = &Bytes>) {
        self.received.resume();
        (HubMessage::Sequence(SequenceId(self.sent.first())), self.sent.replay())
    }
}
