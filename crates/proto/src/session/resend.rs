//! The sender's side for whole encoded messages that many sessions share.
//!
//! Where an [`Outbox`](super::outbox::Outbox) copies the bytes of one session into memory of its
//! own, this keeps a reference to each message: one that was encoded once and sent to a thousand
//! sessions is kept once. Each session is charged with all of it nevertheless, because any of them
//! may be the last to hold it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of unacknowledged messages at which a sender waits, as in the official implementations.
pub const RESEND_MAX: usize = 100_000;

/// Messages at which a sender waits: what the queue itself costs stays near what the bytes do.
pub const RESEND_COUNT_MAX: usize = 4096;

/// Messages that a receiver has not acknowledged, numbered from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resend {
    kept: VecDeque<Bytes>,
    /// How many messages were released from the front.
    released: u64,
    bytes: usize,
}

/// A receiver acknowledged a message that was never sent: the peer's fault, or this is not the
/// state that its session was left in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("message {acknowledged} was acknowledged, the last one sent is {last}")]
pub struct NeverSent {
    /// The number that was named.
    pub acknowledged: u64,
    /// The last number that was given.
    pub last: u64,
}

impl Resend {
    /// What another sender left: so many messages were released, and these were not.
    pub fn restored(released: u64, kept: impl IntoIterator<Item = Bytes>) -> Self {
        let kept: VecDeque<Bytes> = kept.into_iter().collect();
        let bytes = kept.iter().map(Bytes::len).sum();
        Self { kept, released, bytes }
    }

    /// Keeps the next message and numbers it.
    pub fn push(&mut self, message: Bytes) -> u64 {
        self.bytes += message.len();
        self.kept.push_back(message);
        self.last()
    }

    /// Whether the sender must wait for an acknowledgement. The message that crosses the limit is
    /// still taken, so that one larger than the limit can be sent at all.
    pub fn is_full(&self) -> bool {
        self.bytes > RESEND_MAX || self.kept.len() >= RESEND_COUNT_MAX
    }

    /// Releases everything up to and including this number; an old one releases nothing.
    ///
    /// # Errors
    /// If no such message was sent; nothing is released then.
    pub fn acknowledge(&mut self, acknowledged: u64) -> Result<(), NeverSent> {
        let last = self.last();
        if acknowledged > last {
            return Err(NeverSent { acknowledged, last });
        }
        while self.released < acknowledged {
            let Some(message) = self.kept.pop_front() else { break };
            self.bytes -= message.len();
            self.released += 1;
        }
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
        Ok(())
    }

    /// The number of the first message that [`replay`](Self::replay) gives, or of the next new one
    /// if there is none to replay.
    pub const fn first(&self) -> u64 {
        self.released + 1
    }

    /// The number of the last message; 0 before the first.
    pub fn last(&self) -> u64 {
        self.released + self.kept.len() as u64
    }

    /// Everything that a resumed connection begins with, in order.
    pub fn replay(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.kept.iter()
    }

    /// Bytes of messages that are kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![7; length])
    }

    #[test]
    fn what_is_unacknowledged_is_replayed_in_order() {
        let mut resend = Resend::default();
        assert_eq!((resend.first(), resend.last()), (1, 0));
        let numbers: Vec<_> = (1..=4).map(|length| resend.push(message(length))).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(resend.acknowledge(2), Ok(()));
        assert_eq!((resend.first(), resend.last(), resend.bytes()), (3, 4, 7));
        assert_eq!(resend.replay().map(Bytes::len).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(resend.acknowledge(1), Ok(()), "an old acknowledgement says nothing new");
        assert_eq!(resend.acknowledge(4), Ok(()));
        assert_eq!((resend.first(), resend.last(), resend.bytes()), (5, 4, 0));
    }

    #[test]
    fn another_sender_goes_on_where_one_has_stopped() {
        let mut resend = Resend::default();
        (1..=4).for_each(|length| assert!(resend.push(message(length)) == length as u64));
        assert_eq!(resend.acknowledge(2), Ok(()));
        let next = Resend::restored(resend.first() - 1, resend.replay().cloned());
        assert_eq!(next, resend);
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut resend = Resend::default();
        resend.push(message(1));
        assert_eq!(resend.acknowledge(2), Err(NeverSent { acknowledged: 2, last: 1 }));
        assert_eq!(resend.replay().len(), 1);
    }

    #[test]
    fn a_sender_waits_at_either_limit() {
        let mut resend = Resend::default();
        resend.push(message(RESEND_MAX));
        assert!(!resend.is_full());
        resend.push(message(1));
        assert!(resend.is_full());
        assert_eq!(resend.acknowledge(1), Ok(()));
        assert!(!resend.is_full());
        (1..RESEND_COUNT_MAX).for_each(|_| assert!(resend.push(message(0)) > 2));
        assert!(resend.is_full());
    }

    #[test]
    fn a_process_that_continues_another_replays_the_same() {
        let mut resend = Resend::default();
        (1..=3).for_each(|length| assert!(resend.push(message(length)) > 0));
        assert_eq!(resend.acknowledge(1), Ok(()));
        let written = serde_json::to_string(&resend).unwrap();
        assert_eq!(serde_json::from_str::<Resend>(&written).unwrap(), resend);
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_messages(steps in vec((any::<bool>(), 0_usize..50), 0..100)) {
            let mut resend = Resend::default();
            for (pushes, size) in steps {
                if pushes {
                    resend.push(message(size));
                } else {
                    let _ = resend.acknowledge(resend.first() + size as u64 % 8);
                }
                prop_assert_eq!(resend.bytes(), resend.replay().map(Bytes::len).sum::<usize>());
                prop_assert_eq!(resend.first() + resend.replay().len() as u64, resend.last() + 1);
            }
        }
    }
}
