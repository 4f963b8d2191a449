//! Following a channel: messages, where they stand, and what is missing.

use std::{
    fmt,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use crate::{Cursor, Member, mailbox::Mailbox};

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    Now,
    /// With what follows the position; what the backplane has no more is announced as a [`Gap`].
    After(Position),
}

/// A place in a channel. Later places compare greater, within the same epoch.
///
/// Written as `epoch.major-minor` in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which filling of the backplane: another one after it has been emptied.
    pub epoch: u64,
    /// The entry, as the backplane counts.
    pub entry: (u64, u64),
}

/// The text is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a position in a channel")]
pub struct NotAPosition;

/// Who published a message, and its number among what that member published to the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The publisher in the life in which it published.
    pub member: Member,
    /// 1, 2, 3 … for each member and channel.
    pub sequence: u64,
}

/// A message as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who published it.
    pub origin: Origin,
    /// Where it stands. Messages arrive with growing positions; a message that had to be asked for
    /// has the position of the one that revealed that it was missing.
    pub position: Position,
    /// Its place in the [history](crate::History) that it was recorded in. A recorded message without
    /// one had to be asked for; the history tells its place.
    pub recorded: Option<Cursor>,
    /// What was published, shared and not copied.
    pub payload: Bytes,
}

/// Why messages are missing. What comes next is complete again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Messages of this publisher are lost: from `first` to `last` of its numbers.
    Lost {
        /// Whose.
        member: Member,
        /// The first number that is missing.
        first: u64,
        /// The last number that is missing.
        last: u64,
    },
    /// The subscription was read too slowly, and what waited in it was dropped.
    Slow,
    /// The backplane was emptied: positions from before mean nothing any more.
    Emptied,
    /// The position at which to begin is older than what the backplane keeps.
    Trimmed,
}

/// What a subscription yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A message.
    Message(Message),
    /// Messages are missing here.
    Gap(Gap),
    /// Whether the backplane answers. While it does not, nothing is lost yet.
    Reachable(bool),
}

/// A channel being followed. Dropping it ends that.
///
/// Holds at most [`WAITING_MAX`] items and [`WAITING_BYTES_MAX`] bytes. One who reads so slowly that
/// more would wait loses what waits, and gets [`Gap::Slow`] in its place.
#[derive(Debug)]
pub struct Subscription(Arc<Mailbox<Item>>);

impl Subscription {
    /// The next item; `None` after the bus has ended.
    pub async fn next(&mut self) -> Option<Item> {
        std::future::poll_fn(|ctx| self.0.poll_next(ctx)).await
    }

    /// A subscription and the end into which a bus delivers.
    pub(crate) fn open() -> (Arc<Mailbox<Item>>, Self) {
        let mailbox = Arc::new(Mailbox::new(WAITING_MAX, WAITING_BYTES_MAX));
        (Arc::clone(&mailbox), Self(mailbox))
    }
}

impl Stream for Subscription {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.0.poll_next(ctx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Mailbox<Item> {
    /// Delivers, or announces that the reader was too slow.
    pub(crate) fn deliver(&self, item: Item) {
        let bytes = if let Item::Message(message) = &item { message.payload.len() } else { 0 };
        if self.push(item, bytes).is_err() {
            self.replace([Item::Gap(Gap::Slow)]);
        }
    }
}

/// The subscriptions of one node to one channel.
#[derive(Debug, Default)]
pub(crate) struct Followers(Vec<Arc<Mailbox<Item>>>);

impl Followers {
    pub(crate) fn add(&mut self, mailbox: Arc<Mailbox<Item>>) {
        self.0.push(mailbox);
    }

    /// Has what comes wait before all of them, or be read again.
    pub(crate) fn hold(&self, is_held: bool) {
        self.0.iter().for_each(|mailbox| mailbox.hold(is_held));
    }

    /// To all who still read; the others are forgotten.
    pub(crate) fn deliver(&mut self, item: &Item) {
        self.0.retain(|mailbox| !mailbox.is_closed());
        self.0.iter().for_each(|mailbox| mailbox.deliver(item.clone()));
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.retain(|mailbox| !mailbox.is_closed());
        self.0.is_empty()
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.0.iter().for_each(|mailbox| mailbox.end());
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.entry;
        write!(f, "{:x}.{major:x}-{minor:x}", self.epoch)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, entry) = text.split_once('.').ok_or(NotAPosition)?;
        let (major, minor) = entry.split_once('-').ok_or(NotAPosition)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| NotAPosition);
        Ok(Self { epoch: number(epoch)?, entry: (number(major)?, number(minor)?) })
    }
}

/// Items that wait for their reader: a second of a busy hub.
pub const WAITING_MAX: usize = 16_384;

/// Bytes of payload that wait for their reader.
pub const WAITING_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_as_it_was_written() {
        let position = Position { epoch: u64::MAX, entry: (0x1_0000, 7) };
        assert_eq!(position.to_string(), "ffffffffffffffff.10000-7");
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "1", "1.2", "1.2-", "g.1-1", "1.1-10000000000000000"] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }
}
