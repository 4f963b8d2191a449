//! The sender's side: numbered messages, kept until they are confirmed.
//!
//! The bytes of a message are opaque here. A message grows while it is *open*, gets its number
//! when it is committed, and leaves when it is released. How much may be kept is the caller's
//! decision: [`Outbox::charged`] says what is held, and whoever fills the outbox stops in time.

use serde::{Deserialize, Serialize};

use super::{bytes::ByteQueue, lengths::Lengths};

/// Messages 1, 2, 3 … in order, from the first unconfirmed one on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outbox {
    bytes: ByteQueue,
    /// Length of each committed message that is kept, oldest first.
    lengths: Lengths,
    /// Number of the oldest message kept, committed or open.
    first: u64,
    /// Position at which the last committed message ends.
    committed: u64,
    /// Whether the bytes of the open message may be read before it is complete.
    exposed: bool,
}

/// What a receiver that returns gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Everything from this number on follows; nothing is missing.
    Replay {
        /// Number of the first message that will be sent.
        from: u64,
    },
    /// The messages before this number are gone.
    Gap {
        /// Number of the oldest message still kept.
        from: u64,
    },
    /// The receiver names a message that was never sent.
    Impossible,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes: ByteQueue::default(),
            lengths: Lengths::default(),
            first: 1,
            committed: 0,
            exposed: false,
        }
    }
}

impl Outbox {
    /// Number of the oldest message kept; of the next one if none is kept.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Number of the last committed message; 0 before the first.
    pub fn last(&self) -> u64 {
        self.first + self.lengths.len() as u64 - 1
    }

    /// Whether no committed message is kept.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether a message has been begun and not yet committed.
    pub const fn has_open(&self) -> bool {
        self.bytes.end() > self.committed || self.exposed
    }

    /// Memory held, in bytes.
    pub fn charged(&self) -> usize {
        self.bytes.charged() + self.lengths.charged()
    }

    /// Position of the first byte kept.
    pub const fn start(&self) -> u64 {
        self.bytes.start()
    }

    /// Position up to which a reader may read.
    pub const fn readable_end(&self) -> u64 {
        if self.exposed { self.bytes.end() } else { self.committed }
    }

    /// Length in bytes of a committed message that is kept.
    pub fn length(&self, number: u64) -> Option<u64> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.lengths.get(index).map(u64::from)
    }

    /// Kept bytes between two positions.
    pub fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        self.bytes.slices(from, to)
    }

    /// Copies kept bytes from a position on; gives how many.
    pub fn peek(&self, from: u64, into: &mut [u8]) -> usize {
        self.bytes.peek(from, into)
    }

    /// Adds bytes to the open message, beginning one where there is none.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.append(bytes);
    }

    /// Ends the open message and gives its number.
    pub fn commit(&mut self) -> u64 {
        let begin = self.committed.max(self.bytes.start());
        let length = self.bytes.end() - begin;
        self.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
        self.committed = self.bytes.end();
        self.exposed = false;
        self.last()
    }

    /// Adds a whole message and gives its number.
    pub fn push(&mut self, message: &[u8]) -> u64 {
        self.append(message);
        self.commit()
    }

    /// Drops the open message, as far as it has not been released.
    pub fn abort(&mut self) {
        self.bytes.truncate(self.committed);
        self.committed = self.bytes.end();
        self.exposed = false;
    }

    /// Lets a reader have the open message before it is complete, for one too large to be held.
    pub const fn expose(&mut self) {
        self.exposed = true;
    }

    /// Whether the open message may be read before it is complete.
    pub const fn is_exposed(&self) -> bool {
        self.exposed
    }

    /// Forgets all messages up to and including `number`.
    pub fn release_through(&mut self, number: u64) {
        let mut position = self.bytes.start();
        while self.first <= number {
            let Some(length) = self.lengths.pop() else { break };
            position += u64::from(length);
            self.first += 1;
        }
        self.bytes.release(position);
    }

    /// Forgets bytes of an exposed message, all of whose predecessors are released already.
    pub fn release_exposed(&mut self, position: u64) {
        debug_assert!(self.lengths.is_empty(), "an exposed message streams alone");
        self.bytes.release(position);
        self.committed = self.committed.max(position);
    }

    /// What a receiver gets that already has everything up to and including `received`.
    pub fn resume(&self, received: u64) -> Resume {
        if received > self.last() {
            Resume::Impossible
        } else if received + 1 < self.first {
            Resume::Gap { from: self.first }
        } else {
            Resume::Replay { from: received + 1 }
        }
    }
}

#[cfg(test)]
mod tests;
