//! What waits for one client to take it: whole frames, bounded in bytes.
//!
//! Most of the time this is empty, for frames go straight to the socket. Pure: it neither writes
//! nor wakes anybody.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use bytes::{Buf, Bytes};

use crate::config::SlowPolicy;

/// Frames that wait, the first perhaps written in part.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Whether the rest of the first frame is all that waits of it.
    begun: bool,
}

#[derive(Debug)]
struct Waiting {
    frame: Bytes,
    kind: Kind,
}

/// Whether a frame may be dropped for the sake of later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is the client's own: an answer, an item, a ping.
    Own,
    /// It is a broadcast, and this is what conflation compares.
    Shared(Option<Arc<str>>),
}

/// The queue is full and the policy finds nothing to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a frame of the client's own. Whoever makes those waits while there is much.
    pub(crate) fn push_own(&mut self, frame: Bytes) {
        self.push(frame, Kind::Own);
    }

    /// Nothing of what waits now is dropped any more.
    pub(crate) fn keep_all(&mut self) {
        self.queue.iter_mut().for_each(|waiting| waiting.kind = Kind::Own);
    }

    /// Adds what is left of a frame whose first bytes have been written already.
    pub(crate) fn push_rest(&mut self, mut frame: Bytes, written: usize) {
        frame.advance(written);
        self.begun |= self.queue.is_empty() && written > 0;
        self.push(frame, Kind::Own);
    }

    /// Adds a broadcast; gives how many were dropped for it.
    ///
    /// # Errors
    /// If there is no room; nothing was added then.
    pub(crate) fn push_shared(
        &mut self,
        frame: &Bytes,
        key: Option<&Arc<str>>,
        policy: SlowPolicy,
        bytes_max: usize,
    ) -> Result<usize, Full> {
        let mut dropped = 0;
        if policy == SlowPolicy::Conflate && key.is_some() {
            dropped += self
                .drop_first(|kind| matches!(kind, Kind::Shared(there) if there.as_ref() == key));
        }
        while self.bytes + frame.len() > bytes_max {
            let made_room = match policy {
                SlowPolicy::DropOldest => self.drop_first(|kind| *kind != Kind::Own),
                SlowPolicy::Close | SlowPolicy::Conflate => 0,
            };
            if made_room == 0 {
                return Err(Full);
            }
            dropped += made_room;
        }
        self.push(frame.clone(), Kind::Shared(key.cloned()));
        Ok(dropped)
    }

    /// Lays the bytes to write next into `into`, in order; gives how many slices there are.
    pub(crate) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let pairs = into.iter_mut().zip(&self.queue);
        pairs.map(|(place, waiting)| *place = IoSlice::new(&waiting.frame)).count()
    }

    /// Notes that the first `count` bytes were written.
    pub(crate) fn wrote(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.queue.front_mut() {
            if count < first.frame.len() {
                first.frame.advance(count);
                self.begun |= count > 0;
                return;
            }
            count -= first.frame.len();
            self.begun = false;
            self.queue.pop_front();
        }
        self.release();
    }

    /// Takes everything, in order and in one piece, for who carries it away; `None` if there is
    /// nothing.
    pub(crate) fn take_all(&mut self) -> Option<Bytes> {
        let taken = std::mem::take(self);
        let mut frames = taken.queue.into_iter().map(|waiting| waiting.frame);
        let first = frames.next()?;
        let mut rest = frames.peekable();
        if rest.peek().is_none() {
            return Some(first);
        }
        let mut whole = Vec::with_capacity(taken.bytes);
        whole.extend_from_slice(&first);
        rest.for_each(|frame| whole.extend_from_slice(&frame));
        Some(whole.into())
    }

    /// Puts back what was [taken](Self::take_all) and has not reached the client.
    pub(crate) fn put_back(&mut self, whole: Bytes) {
        self.bytes += whole.len();
        self.queue.push_front(Waiting { frame: whole, kind: Kind::Own });
    }

    /// Drops everything that waits, and what has been begun.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn push(&mut self, frame: Bytes, kind: Kind) {
        self.bytes += frame.len();
        self.queue.push_back(Waiting { frame, kind });
    }

    /// Drops the first frame of this kind that has not been begun; gives how many that were.
    fn drop_first(&mut self, is_meant: impl Fn(&Kind) -> bool) -> usize {
        let begun = usize::from(self.begun);
        let at = self.queue.iter().skip(begun).position(|waiting| is_meant(&waiting.kind));
        let Some(dropped) = at.and_then(|at| self.queue.remove(at + begun)) else { return 0 };
        self.bytes -= dropped.frame.len();
        1
    }

    /// A client that was slow once does not hold the memory of its queue for ever.
    fn release(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outgoing: &Outgoing) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outgoing.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn shared(
        outgoing: &mut Outgoing,
        policy: SlowPolicy,
        key: &str,
        text: &str,
    ) -> Result<usize, Full> {
        let frame = Bytes::copy_from_slice(text.as_bytes());
        outgoing.push_shared(&frame, Some(&Arc::from(key)), policy, 10)
    }

    #[test]
    fn a_full_queue_closes() {
        let mut outgoing = Outgoing::default();
        assert_eq!(shared(&mut outgoing, SlowPolicy::Close, "a", "12345"), Ok(0));
        assert_eq!(shared(&mut outgoing, SlowPolicy::Close, "a", "67890"), Ok(0));
        assert_eq!(shared(&mut outgoing, SlowPolicy::Close, "a", "x"), Err(Full));
        assert_eq!(waiting(&outgoing), b"1234567890");
    }

    #[test]
    fn the_oldest_broadcast_goes_first_but_never_what_is_begun_or_own() {
        let mut outgoing = Outgoing::default();
        let policy = SlowPolicy::DropOldest;
        assert_eq!(shared(&mut outgoing, policy, "a", "1234"), Ok(0));
        outgoing.push_own(Bytes::from_static(b"own"));
        assert_eq!(shared(&mut outgoing, policy, "a", "56"), Ok(0));
        outgoing.wrote(1);
        assert_eq!(shared(&mut outgoing, policy, "a", "7890"), Ok(1));
        assert_eq!(waiting(&outgoing), b"234own7890");
        assert_eq!(shared(&mut outgoing, policy, "a", "12345678"), Err(Full));
        outgoing.wrote(6);
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.bytes(), 0);
    }

    #[test]
    fn what_is_to_be_kept_is_not_dropped() {
        let mut outgoing = Outgoing::default();
        let policy = SlowPolicy::DropOldest;
        assert_eq!(shared(&mut outgoing, policy, "a", "1234"), Ok(0));
        outgoing.keep_all();
        assert_eq!(shared(&mut outgoing, policy, "a", "56"), Ok(0));
        assert_eq!(shared(&mut outgoing, policy, "a", "789012"), Ok(1));
        assert_eq!(waiting(&outgoing), b"1234789012");
    }

    #[test]
    fn a_newer_broadcast_of_the_same_key_replaces_the_older() {
        let mut outgoing = Outgoing::default();
        let policy = SlowPolicy::Conflate;
        assert_eq!(shared(&mut outgoing, policy, "a", "a1"), Ok(0));
        assert_eq!(shared(&mut outgoing, policy, "b", "b1"), Ok(0));
        assert_eq!(shared(&mut outgoing, policy, "a", "a2"), Ok(1));
        assert_eq!(waiting(&outgoing), b"b1a2");
        assert_eq!(shared(&mut outgoing, policy, "c", "1234567"), Err(Full));
    }

    #[test]
    fn what_is_put_back_comes_first_and_stays() {
        let mut outgoing = Outgoing::default();
        for text in ["1", "2"] {
            assert_eq!(shared(&mut outgoing, SlowPolicy::DropOldest, "a", text), Ok(0));
        }
        let taken = outgoing.take_all().unwrap();
        assert_eq!(shared(&mut outgoing, SlowPolicy::DropOldest, "a", "3"), Ok(0));
        outgoing.put_back(taken);
        assert_eq!(shared(&mut outgoing, SlowPolicy::DropOldest, "a", "12345678"), Ok(1));
        assert_eq!((waiting(&outgoing), outgoing.bytes()), (b"1212345678".to_vec(), 10));
    }

    #[test]
    fn the_rest_of_a_frame_comes_first() {
        let mut outgoing = Outgoing::default();
        outgoing.push_rest(Bytes::from_static(b"abc"), 2);
        outgoing.push_own(Bytes::from_static(b"d"));
        assert_eq!(waiting(&outgoing), b"cd");
        outgoing.wrote(2);
        assert!(outgoing.is_empty());
    }
}
