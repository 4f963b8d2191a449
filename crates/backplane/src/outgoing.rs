//! What one node sends: numbered, kept until confirmed, and a little longer.
//!
//! One queue in the order of publishing, over all channels:
//! `confirmed lately · sent · not sent yet`. When a connection ends, what was sent is to be sent
//! again, with the same numbers; when the server has lost its memory, so is what was confirmed
//! lately. Receivers drop what they have.

use std::{collections::HashMap, collections::VecDeque, time::Duration};

use bytes::Bytes;
use everwire_proto::time::Time;

use crate::{Channel, History, Member, Origin, Refusal, envelope::Kind};

/// Where an entry goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// To everybody who follows the channel.
    Channel(Channel),
    /// To one node.
    Inbox(crate::NodeId),
}

/// One entry on its way, with what is to be told when it has arrived.
#[derive(Debug)]
pub(crate) struct Sent<T> {
    pub(crate) stream: Stream,
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    /// Where it is to be recorded in the same step.
    pub(crate) history: Option<History>,
    token: Option<T>,
}

/// What is to be sent.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) stream: Stream,
    pub(crate) kind: Kind,
    pub(crate) payload: Bytes,
    pub(crate) history: Option<History>,
}

/// The bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Entries that are not confirmed, and again as many that are.
    pub(crate) entries_max: usize,
    /// Their bytes, each with [`ENTRY_BYTES`] for itself.
    pub(crate) bytes_max: usize,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    member: Member,
    bounds: Bounds,
    queue: VecDeque<Sent<T>>,
    /// How many at the front are confirmed.
    confirmed: usize,
    /// How many at the front have been sent on this connection, or are confirmed.
    sent: usize,
    confirmed_bytes: usize,
    waiting_bytes: usize,
    numbers: HashMap<Stream, Numbers>,
}

#[derive(Debug)]
struct Numbers {
    last: u64,
    published: Time,
}

impl<T> Outgoing<T> {
    pub(crate) fn new(member: Member, bounds: Bounds) -> Self {
        Self {
            member,
            bounds,
            queue: VecDeque::new(),
            confirmed: 0,
            sent: 0,
            confirmed_bytes: 0,
            waiting_bytes: 0,
            numbers: HashMap::new(),
        }
    }

    pub(crate) const fn member(&self) -> Member {
        self.member
    }

    /// Numbers a message and queues it; gives its number.
    pub(crate) fn handle_publish(
        &mut self,
        parcel: Parcel,
        token: T,
        now: Time,
    ) -> Result<Origin, (Refusal, T)> {
        let Parcel { stream, kind, payload, history } = parcel;
        let bytes = payload.len() + ENTRY_BYTES;
        let waiting = self.queue.len() - self.confirmed;
        if waiting >= self.bounds.entries_max || self.waiting_bytes + bytes > self.bounds.bytes_max
        {
            return Err((Refusal::Full, token));
        }
        if self.numbers.len() >= STREAMS_MAX && !self.numbers.contains_key(&stream) {
            return Err((Refusal::TooManyChannels, token));
        }
        let fresh = Numbers { last: 0, published: now };
        let numbers = self.numbers.entry(stream.clone()).or_insert(fresh);
        numbers.last += 1;
        numbers.published = now;
        let origin = Origin { member: self.member, sequence: numbers.last };
        self.waiting_bytes += bytes;
        self.queue.push_back(Sent { stream, origin, kind, payload, history, token: Some(token) });
        Ok(origin)
    }

    /// The next entry to write on this connection.
    pub(crate) fn poll_send(&mut self) -> Option<&Sent<T>> {
        let entry = self.queue.get(self.sent)?;
        self.sent += 1;
        Some(entry)
    }

    /// Whether there is something to write.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.queue.len()
    }

    /// Whether everything is confirmed.
    pub(crate) fn is_settled(&self) -> bool {
        self.confirmed == self.queue.len()
    }

    /// The oldest entry that was sent has arrived; whom to tell, if it had not before.
    pub(crate) fn handle_confirmed(&mut self) -> Option<T> {
        if self.confirmed >= self.sent {
            return None;
        }
        let entry = self.queue.get_mut(self.confirmed)?;
        let bytes = entry.bytes();
        let token = entry.token.take();
        self.confirmed += 1;
        self.waiting_bytes -= bytes;
        self.confirmed_bytes += bytes;
        while self.confirmed > self.bounds.entries_max
            || self.confirmed_bytes > self.bounds.bytes_max
        {
            let Some(oldest) = self.queue.pop_front() else { break };
            self.confirmed -= 1;
            self.sent -= 1;
            self.confirmed_bytes -= oldest.bytes();
        }
        token
    }

    /// The connection has ended: what it did not confirm is to be sent again. How many those are.
    pub(crate) fn handle_cut(&mut self) -> usize {
        let again = self.sent - self.confirmed;
        self.sent = self.confirmed;
        again
    }

    /// The server may have lost what it had confirmed: everything that is still here goes again.
    pub(crate) fn handle_forgotten(&mut self) -> usize {
        let again = self.sent;
        self.sent = 0;
        self.confirmed = 0;
        self.waiting_bytes += self.confirmed_bytes;
        self.confirmed_bytes = 0;
        again
    }

    /// The others had given this node up. What comes next is of its next life; what is queued keeps
    /// its numbers, since some may have it.
    pub(crate) fn handle_expired(&mut self) -> Member {
        self.member.incarnation = self.member.incarnation.next();
        self.numbers.clear();
        self.member
    }

    /// Nothing more is sent: whoever waits for a token sees it dropped.
    pub(crate) fn end(&mut self) {
        *self = Self::new(self.member, self.bounds);
    }

    /// The last number of each stream that was published to lately, to be announced.
    pub(crate) fn announcements(&self, now: Time) -> impl Iterator<Item = (&Channel, Origin)> {
        self.numbers.iter().filter_map(move |(stream, numbers)| {
            let Stream::Channel(channel) = stream else { return None };
            let lately = now.saturating_since(numbers.published) <= ANNOUNCED_FOR;
            let origin = Origin { member: self.member, sequence: numbers.last };
            lately.then_some((channel, origin))
        })
    }

    /// What is still here of the messages that somebody misses.
    pub(crate) fn recall<'a>(
        &'a self,
        channel: &'a Channel,
        member: Member,
        first: u64,
        last: u64,
    ) -> impl Iterator<Item = &'a Sent<T>> {
        self.queue.iter().filter(move |entry| {
            entry.origin.member == member
                && (first..=last).contains(&entry.origin.sequence)
                && matches!(&entry.stream, Stream::Channel(other) if other == channel)
        })
    }
}

impl<T> Sent<T> {
    fn bytes(&self) -> usize {
        self.payload.len() + ENTRY_BYTES
    }
}

/// What an entry takes beside its payload, about.
pub(crate) const ENTRY_BYTES: usize = 128;

/// How long a channel's last number is announced after the last message.
pub(crate) const ANNOUNCED_FOR: Duration = Duration::from_secs(60);

/// Streams that one node publishes to in one life. A number that was forgotten would begin again, and
/// receivers would take the message for one they have.
const STREAMS_MAX: usize = 65_536;

#[cfg(test)]
mod tests;
