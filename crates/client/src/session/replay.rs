//! Stateful reconnect: what both ends have counted.

use std::time::Duration;

use bytes::Bytes;
use everwire_proto::{
    session::resend::{RESEND_COUNT_MAX, RESEND_MAX, Resend},
    signalr::{
        Protocol,
        message::{HubMessage, SequenceId},
        reconnect::Received,
    },
    time::Time,
};

use super::{encode, open::OVERFULL};
use crate::error::Loss;

/// What survives a socket.
#[derive(Debug, Default)]
pub(super) struct Replay {
    resend: Resend,
    received: Received,
    /// When to acknowledge what has come.
    acknowledge_at: Option<Time>,
    /// Bytes that have come since the last acknowledgement.
    unacknowledged: usize,
}

impl Replay {
    pub(super) fn keep(&mut self, message: &Bytes) {
        self.resend.push(message.clone());
    }

    pub(super) fn is_full(&self) -> bool {
        self.resend.is_full()
    }

    /// Whether no more is kept, whoever says it.
    pub(super) fn is_overfull(&self) -> bool {
        self.resend.bytes() >= RESEND_MAX * OVERFULL
            || self.resend.replay().len() >= RESEND_COUNT_MAX * OVERFULL
    }

    /// Judges a message of this many bytes: whether it is to be acted upon.
    pub(super) fn judge(
        &mut self,
        now: Time,
        message: &HubMessage,
        length: usize,
    ) -> Result<bool, Loss> {
        let is_new = self.received.judge(message).map_err(Loss::Sequence)?;
        if let HubMessage::Ack(sequence) = message
            && is_new
        {
            self.resend.acknowledge(sequence.0).map_err(|_| Loss::NeverSent)?;
        }
        if is_new && message.is_tracked() {
            self.unacknowledged += length;
            let due = if self.unacknowledged >= ACKNOWLEDGE_BYTES { now } else { now + INTERVAL };
            self.acknowledge_at = Some(self.acknowledge_at.map_or(due, |at| at.min(due)));
        }
        Ok(is_new)
    }

    pub(super) const fn poll_timeout(&self) -> Option<Time> {
        self.acknowledge_at
    }

    pub(super) fn acknowledge(&mut self, now: Time) -> Option<SequenceId> {
        if self.acknowledge_at.is_none_or(|at| at > now) {
            return None;
        }
        self.acknowledge_at = None;
        self.unacknowledged = 0;
        self.received.acknowledge()
    }

    /// What another socket begins with: from which number on messages are said again, and they.
    pub(super) fn resume(&mut self, now: Time, protocol: Protocol) -> Vec<Bytes> {
        self.received.resume();
        self.acknowledge_at = Some(now + INTERVAL);
        let first = HubMessage::Sequence(SequenceId(self.resend.first()));
        let first = encode(protocol, &first);
        std::iter::once(first).chain(self.resend.replay().cloned()).collect()
    }
}

/// How long an acknowledgement may wait for more to acknowledge, as in the official clients.
const INTERVAL: Duration = Duration::from_secs(1);
/// Bytes that are acknowledged at once: a server waits at [`RESEND_MAX`] of them, and by then this
/// has long arrived.
const ACKNOWLEDGE_BYTES: usize = RESEND_MAX / 4;
