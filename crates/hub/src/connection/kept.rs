//! What a session keeps so that it outlives its socket: stateful reconnect, both directions.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use everwire_proto::{
    session::resend::{NeverSent, RESEND_COUNT_MAX, Resend},
    signalr::{
        message::{HubMessage, SequenceId},
        reconnect::{Received, SequenceError},
    },
};

use super::Connection;
use crate::keepers::{Keepers, Ticket};

/// What the client has not acknowledged, and what it has said.
#[derive(Debug)]
pub(crate) struct Kept {
    sent: Resend,
    received: Received,
    /// Bytes beyond which the session is given up.
    bytes_max: usize,
    /// Whether nothing is kept any more, so that the session ends with its socket.
    is_given_up: bool,
    keepers: Arc<Keepers>,
    /// What all know to be kept here.
    charged: usize,
    /// Its place among those who wait for their client.
    ticket: Option<Ticket>,
    /// What is to be said that is not numbered yet, while the session is about to move: only who has
    /// it afterwards numbers it.
    held: Option<Held>,
}

#[derive(Debug, Default)]
struct Held {
    frames: Vec<Bytes>,
    bytes: usize,
}

/// What a session keeps, as another node goes on with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frozen {
    /// How many messages of the client were taken.
    pub(crate) taken: u64,
    /// How many messages the client has acknowledged.
    pub(crate) released: u64,
    /// The messages after those, as its transport carries them.
    pub(crate) unacknowledged: Vec<Bytes>,
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
    pub(crate) fn new(bytes_max: usize, keepers: Arc<Keepers>) -> Self {
        Self {
            sent: Resend::default(),
            received: Received::new(),
            bytes_max,
            is_given_up: false,
            keepers,
            charged: 0,
            ticket: None,
            held: None,
        }
    }

    /// A session that another node had, and that waits for its client.
    pub(crate) fn restored(frozen: Frozen, bytes_max: usize, keepers: Arc<Keepers>) -> Self {
        let Frozen { taken, released, unacknowledged } = frozen;
        let mut kept = Self::new(bytes_max, keepers);
        kept.sent = Resend::restored(released, unacknowledged);
        kept.received = Received::restored(taken);
        kept.charge();
        kept
    }

    /// Numbers nothing any more, until it is known who has the session; gives what it keeps.
    pub(crate) fn freeze(&mut self) -> Frozen {
        self.held = Some(Held::default());
        Frozen {
            taken: self.received.taken(),
            released: self.sent.first() - 1,
            unacknowledged: self.sent.replay().cloned().collect(),
        }
    }

    /// The session stays here.
    pub(crate) fn thaw(&mut self) {
        let held = self.held.take().unwrap_or_default();
        held.frames.into_iter().for_each(|frame| self.keep(frame));
    }

    /// Whether the session is about to move.
    pub(crate) const fn is_frozen(&self) -> bool {
        self.held.is_some()
    }

    /// Keeps a frame that counts.
    pub(crate) fn keep(&mut self, frame: Bytes) {
        if let Some(held) = &mut self.held {
            held.bytes += frame.len();
            return held.frames.push(frame);
        }
        self.sent.push(frame);
        if self.is_given_up {
            self.forget();
        }
        self.charge();
    }

    /// Keeps nothing any more; both ends go on counting.
    pub(crate) fn give_up(&mut self) {
        self.is_given_up = true;
        self.forget();
        self.charge();
    }

    /// Whether the session ends with its socket.
    pub(crate) const fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// All sessions, if they keep more than they may.
    pub(crate) fn crowd(&self) -> Option<Arc<Keepers>> {
        (!self.is_given_up && self.keepers.is_over()).then(|| Arc::clone(&self.keepers))
    }

    /// The session begins to wait for its client.
    pub(crate) fn wait(&mut self, connection: Weak<Connection>) {
        self.leave();
        self.ticket = Some(self.keepers.wait(connection));
    }

    fn leave(&mut self) {
        self.ticket.take().iter().for_each(|ticket| self.keepers.leave(ticket));
    }

    fn forget(&mut self) {
        // The last that was sent can always be acknowledged.
        let _ = self.sent.acknowledge(self.sent.last());
    }

    fn charge(&mut self) {
        let kept = self.sent.bytes() + self.sent.replay().len() * size_of::<Bytes>();
        self.keepers.charge(self.charged, kept);
        self.charged = kept;
    }

    /// Whether more is kept than may be.
    pub(crate) fn is_over(&self) -> bool {
        let held = self.held.as_ref().map_or(0, |held| held.bytes);
        self.sent.bytes() + held > self.bytes_max
    }

    /// Whether answers need not wait: no more than this many bytes are kept.
    pub(crate) fn has_room(&self, bytes_max: usize) -> bool {
        self.sent.bytes() <= bytes_max && self.sent.replay().len() < RESEND_COUNT_MAX
    }

    /// Judges a message of the client: whether it is new.
    pub(crate) fn judge(&mut self, message: &HubMessage) -> Result<bool, OutOfStep> {
        if let HubMessage::Ack(SequenceId(id)) = message {
            self.sent.acknowledge(*id)?;
            self.charge();
        }
        Ok(self.received.judge(message)?)
    }

    /// What the client is to be told that it need not keep any longer.
    pub(crate) fn acknowledge(&mut self) -> Option<HubMessage> {
        if self.is_frozen() {
            return None;
        }
        self.received.acknowledge().map(HubMessage::Ack)
    }

    /// The session goes on with another socket: the first message on it, and the frames to follow.
    pub(crate) fn resume(&mut self) -> (HubMessage, impl Iterator<Item = &Bytes>) {
        self.leave();
        self.received.resume();
        (HubMessage::Sequence(SequenceId(self.sent.first())), self.sent.replay())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.leave();
        self.keepers.charge(self.charged, 0);
    }
}
