//! A first-in, first-out queue of bytes with absolute positions.
//!
//! Owns how waiting bytes lie in memory: in segments that grow with what is kept and go when it
//! has gone, so that an idle session holds nothing and a full one holds little more than its data.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes in order, each with a position that never changes; appended at the end, released at the
/// front.
#[derive(Debug, Default, Clone)]
pub struct ByteQueue {
    /// Position of the first byte kept.
    start: u64,
    /// Position after the last byte kept.
    end: u64,
    /// Where the bytes lie; there is nothing while no byte is kept.
    store: Option<Box<Store>>,
}

#[derive(Debug, Default, Clone)]
struct Store {
    /// Position of the first byte of `front`; not after the queue's start.
    base: u64,
    /// The oldest segment, outside of `rest`: a short backlog costs one allocation.
    front: Vec<u8>,
    rest: VecDeque<Vec<u8>>,
    /// Sum of the capacities of all segments.
    capacity: usize,
}

impl ByteQueue {
    /// Position of the first byte kept.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Position after the last byte kept.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Whether no byte is kept.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Memory held, in bytes: capacities and bookkeeping, not just what is visible.
    pub fn charged(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.charged())
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let base = self.end;
        self.store
            .get_or_insert_with(|| Box::new(Store { base, ..Store::default() }))
            .append(bytes);
        self.end += bytes.len() as u64;
    }

    /// Forgets everything before `position`.
    pub fn release(&mut self, position: u64) {
        debug_assert!(position <= self.end, "only what was appended can be released");
        self.start = self.start.max(position.min(self.end));
        match &mut self.store {
            Some(store) if self.start < self.end => store.release(self.start),
            _ => self.store = None,
        }
    }

    /// Forgets everything from `position` on.
    pub fn truncate(&mut self, position: u64) {
        let end = position.clamp(self.start, self.end);
        match &mut self.store {
            Some(store) if self.start < end => store.cut(self.end - end),
            _ => self.store = None,
        }
        self.end = end;
    }

    /// The bytes of `from..to` in order, as the slices they lie in.
    pub fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        debug_assert!(self.start <= from && to <= self.end, "the range must be kept");
        self.store.iter().flat_map(move |store| store.slices(from, to))
    }

    /// Copies bytes from `from` on into `into`, as many as are kept; gives how many.
    pub fn peek(&self, from: u64, into: &mut [u8]) -> usize {
        let to = self.end.min(from + into.len() as u64);
        let mut copied = 0;
        for slice in self.slices(from, to) {
            into[copied..copied + slice.len()].copy_from_slice(slice);
            copied += slice.len();
        }
        copied
    }
}

impl Store {
    fn charged(&self) -> usize {
        let segments = usize::from(self.front.capacity() > 0) + self.rest.capacity();
        size_of::<Self>() + self.capacity + segments * SEGMENT_OVERHEAD
    }

    fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let segment = self.spare_segment(bytes.len());
            let (now, later) = bytes.split_at(bytes.len().min(segment.capacity() - segment.len()));
            segment.extend_from_slice(now);
            bytes = later;
        }
    }

    fn release(&mut self, start: u64) {
        while start >= self.base + self.front.len() as u64 {
            self.base += self.front.len() as u64;
            self.capacity -= self.front.capacity();
            self.front = self.rest.pop_front().unwrap_or_default();
        }
    }

    /// Drops bytes at the end.
    fn cut(&mut self, mut excess: u64) {
        while excess > 0 {
            let last = self.rest.back_mut().unwrap_or(&mut self.front);
            let part = excess.min(last.len() as u64);
            last.truncate(last.len() - part as usize);
            excess -= part;
            if last.is_empty()
                && let Some(last) = self.rest.pop_back()
            {
                self.capacity -= last.capacity();
            }
        }
    }

    fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        let mut at = self.base;
        std::iter::once(&self.front).chain(&self.rest).filter_map(move |segment| {
            let begin = at;
            at += segment.len() as u64;
            let low = from.max(begin);
            let high = to.min(at);
            (low < high).then(|| &segment[(low - begin) as usize..(high - begin) as usize])
        })
    }

    /// The last segment, or a new one where that is full.
    fn spare_segment(&mut self, wanted: usize) -> &mut Vec<u8> {
        let last = self.rest.back().unwrap_or(&self.front);
        if last.len() == last.capacity() {
            let doubled = (last.capacity() * 2).min(SEGMENT_MAX);
            let segment = Vec::with_capacity(wanted.min(SEGMENT_MAX).max(doubled).max(SEGMENT_MIN));
            self.capacity += segment.capacity();
            if self.front.capacity() == 0 {
                self.front = segment;
            } else {
                self.rest.push_back(segment);
            }
        }
        self.rest.back_mut().unwrap_or(&mut self.front)
    }
}

/// The form in which a queue is written down: where it starts and what it holds.
#[derive(Serialize, Deserialize)]
struct Written {
    start: u64,
    bytes: Vec<u8>,
}

impl Serialize for ByteQueue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.slices(self.start, self.end).flatten().copied().collect();
        Written { start: self.start, bytes }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ByteQueue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { start, bytes } = Written::deserialize(deserializer)?;
        let mut queue = Self { start, end: start, store: None };
        queue.append(&bytes);
        Ok(queue)
    }
}

/// The smallest segment: a usual chat message with its header fits.
const SEGMENT_MIN: usize = 256;
/// The largest segment. Small enough that a slow peer's backlog is given back bit by bit.
const SEGMENT_MAX: usize = 32 * 1024;
/// What a segment costs beside its bytes: its `Vec` and the allocator's header.
const SEGMENT_OVERHEAD: usize = size_of::<Vec<u8>>() + 16;

#[cfg(test)]
mod tests;
