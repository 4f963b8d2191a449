//! Histories: what was published lately, in one order, so that a reader who was away can go on.
//!
//! A message that is [recorded](crate::Bus::record) gets the next number of its history and goes to
//! everybody who follows the channel, in one step. Whoever has a [`Cursor`] reads what came after it,
//! or learns that this is not there any more.

pub(crate) mod reel;

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::{Channel, Origin};

/// A place in a history: everything up to `offset` is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Which beginning of the history: another one after it was lost, and offsets begin again. Less
    /// than [`EPOCH_MAX`].
    pub epoch: u64,
    /// The number of the last message that is behind: 1, 2, 3 …, or 0 for none.
    pub offset: u64,
}

/// How much of a history is kept; what is beyond any of these goes, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Messages. Default: 1,000.
    pub count_max: u64,
    /// How long a message is kept. Default: one hour, which is longer than most are away.
    pub age_max: Duration,
    /// Bytes of the messages, about. Default: 1 MiB.
    pub bytes_max: usize,
}

/// A history, and how much of it is kept; the same on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Its name, which no channel's and no log's meets.
    pub name: Channel,
    /// How much is kept.
    pub retention: Retention,
}

/// One message of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub offset: u64,
    /// Who published it. In a history that begins again, messages come again that some have: this
    /// tells them apart.
    pub origin: Origin,
    /// What was published.
    pub payload: Bytes,
}

/// A part of a history, and what the history is like where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Which beginning.
    pub epoch: u64,
    /// The number of the oldest message that is kept; one more than `last` if there is none.
    pub first: u64,
    /// The number of the latest message.
    pub last: u64,
    /// What was asked for, or less of it, without a hole.
    pub entries: Vec<Recorded>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { count_max: 1000, age_max: Duration::from_secs(3600), bytes_max: 1 << 20 }
    }
}

impl Cursor {
    /// The place behind so many further messages.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self { epoch: self.epoch, offset: self.offset.saturating_add(count) }
    }
}

impl Stretch {
    /// The place behind everything there is.
    pub const fn end(&self) -> Cursor {
        Cursor { epoch: self.epoch, offset: self.last }
    }

    /// Whether everything is there that came after a cursor.
    pub const fn continues(&self, cursor: Cursor) -> bool {
        self.epoch == cursor.epoch
            && cursor.offset <= self.last
            && cursor.offset.saturating_add(1) >= self.first
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.offset)
    }
}

/// An epoch that no history has had: few enough digits for a number in JavaScript.
pub(crate) fn random_epoch() -> u64 {
    rand::random::<u64>() % (EPOCH_MAX - 1) + 1
}

/// Epochs are less than this, so that every client can read one as a number.
pub const EPOCH_MAX: u64 = 1 << 53;

/// Bytes of payload in one part of a history, about.
pub(crate) const STRETCH_BYTES_MAX: usize = 1 << 20;
