//! Stateful reconnect: counting what a peer sends, so that what it repeats is taken once.
//!
//! Both ends number the messages that they send, types 1 to 5 alone, without writing the numbers
//! down. When a connection is lost, the client opens another for the same session; there is no
//! second handshake. Each end's first message is then a `Sequence` with the number of the first
//! message that it *replays*, or of its next new one where there is nothing to replay; the
//! unacknowledged messages follow, and after them new ones. (The protocol's text names the number
//! of the next new message. Both official implementations do as said here, and so do their
//! clients.) About once a second a receiver acknowledges the last number it has taken.
//!
//! What is sent is kept in a [`Resend`](crate::session::resend::Resend).

use serde::{Deserialize, Serialize};

use super::message::{HubMessage, SequenceId};

/// What one peer has sent and what of it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Number of the next message on this connection; at most one beyond what was taken.
    next: u64,
    /// Number of the last message that was taken.
    taken: u64,
    acknowledged: u64,
    phase: Phase,
}

/// Whether the numbers on a connection are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Counting,
    AwaitingSequence,
}

/// A peer's `Sequence` that does not fit what it has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// Messages before this number have never arrived, and the peer will not send them.
    #[error("Sequence ID greater than amount of messages we've received.")]
    Missing,
    /// Numbers begin at 1.
    #[error("Sequence ID 0 is no message's.")]
    Zero,
}

impl Received {
    /// What a new session has received: nothing.
    pub const fn new() -> Self {
        Self { next: 1, taken: 0, acknowledged: 0, phase: Phase::Counting }
    }

    /// What a session has received that another endpoint began, and that waits for a connection to
    /// continue it: this was the last message that was taken.
    pub const fn restored(taken: u64) -> Self {
        let next = taken.saturating_add(1);
        Self { next, taken, acknowledged: 0, phase: Phase::AwaitingSequence }
    }

    /// The number of the last message that was taken; 0 before the first.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// A new connection continues the session: nothing counts before its `Sequence`, and what was
    /// taken is acknowledged anew, because the acknowledgement may have been lost with the old one.
    pub const fn resume(&mut self) {
        self.phase = Phase::AwaitingSequence;
        self.acknowledged = 0;
    }

    /// Judges a message: whether it is to be acted upon, rather than dropped because it is repeated
    /// or precedes the `Sequence` of a resumed connection. A `Sequence` is acted upon here.
    ///
    /// # Errors
    /// If a `Sequence` leaves messages out; the session must end then.
    pub fn judge(&mut self, message: &HubMessage) -> Result<bool, SequenceError> {
        match message {
            HubMessage::Sequence(id) => self.continue_from(*id).map(|()| false),
            _ if self.phase == Phase::AwaitingSequence => Ok(false),
            tracked if tracked.is_tracked() => Ok(self.count()),
            _ => Ok(true),
        }
    }

    /// The number to acknowledge, if it has not been yet.
    pub const fn acknowledge(&mut self) -> Option<SequenceId> {
        if self.acknowledged == self.taken {
            return None;
        }
        self.acknowledged = self.taken;
        Some(SequenceId(self.taken))
    }

    /// Counts a message; whether it is new.
    const fn count(&mut self) -> bool {
        let is_new = self.next > self.taken;
        if is_new {
            self.taken = self.next;
        }
        self.next += 1;
        is_new
    }

    const fn continue_from(&mut self, id: SequenceId) -> Result<(), SequenceError> {
        if id.0 == 0 {
            return Err(SequenceError::Zero);
        }
        // The official server compares with the next number of the last connection, which is less
        // if that was lost within a replay; what was acknowledged then is not sent again.
        if id.0 > self.taken + 1 {
            return Err(SequenceError::Missing);
        }
        self.next = id.0;
        self.phase = Phase::Counting;
        Ok(())
    }
}

impl Default for Received {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
