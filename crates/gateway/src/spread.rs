//! A counter that many threads move all the time and somebody reads now and then.

use std::{
    cell::Cell,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
};

/// A sum kept in parts: each thread adds to one that few others touch, so that no cache line
/// travels between processors at every message.
#[derive(Debug, Default)]
pub(crate) struct Spread([Part; PARTS]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicI64);

impl Spread {
    /// Adds, or takes away what this or another thread has added.
    pub(crate) fn add(&self, change: i64) {
        self.0[MINE.get()].0.fetch_add(change, Relaxed);
    }

    /// The sum of all parts; changes under way elsewhere may be in it by half.
    pub(crate) fn sum(&self) -> u64 {
        let sum: i64 = self.0.iter().map(|part| part.0.load(Relaxed)).sum();
        sum.max(0).unsigned_abs()
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<usize> = Cell::new(THREADS.fetch_add(1, Relaxed) % PARTS);
}

/// More than this many threads share.
const PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_adds_another_may_take_away() {
        let spread = Spread::default();
        std::thread::scope(|scope| {
            for _ in 0..PARTS + 3 {
                scope.spawn(|| spread.add(1000));
            }
        });
        spread.add(-1000 * (PARTS as i64 + 2));
        assert_eq!(spread.sum(), 1000);
    }
}
