//! What others ask of a pipe, and the waker they ring it with.
//!
//! A pipe looks here at every turn, so looking must cost nothing: one plain load. The waker is put
//! down once, for a task has the same one for life, and stays when it is rung.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
};

/// What may be asked of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ask {
    /// Leave the backend for another.
    Move = 1,
    /// End: somebody wants it.
    Close = 2,
    /// End: the gateway stops.
    Stop = 4,
    /// End: the process holds too much.
    Shed = 8,
}

/// A set of [`Ask`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked(u8);

impl Asked {
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn has(self, ask: Ask) -> bool {
        self.0 & ask as u8 != 0
    }
}

/// Rung by anybody, answered by one pipe.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    asked: AtomicU8,
    /// Addresses of what `waker` wakes and how; only the pipe writes them, together with `waker`.
    known: [AtomicUsize; 2],
    waker: Mutex<Option<Waker>>,
}

impl Bell {
    /// Asks something of the pipe and wakes it.
    pub(crate) fn ring(&self, ask: Ask) {
        self.asked.fetch_or(ask as u8, Relaxed);
        // The lock orders this with `answer_to`: either the waker is there, or the pipe has yet to
        // look at what was asked. It is not held while a stranger's code wakes.
        let waker = self.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Has `waker` woken from now on; for the pipe itself. Gives whether it is another one than
    /// before: whatever else holds the pipe's waker has to be told as well.
    pub(crate) fn answer_to(&self, waker: &Waker) -> bool {
        // The slot's own waker keeps what is at these addresses alive, so that nothing else can
        // have come to stand there.
        let addresses = [waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr()];
        if self.known.each_ref().map(|known| known.load(Relaxed)) == addresses {
            return false;
        }
        *self.lock() = Some(waker.clone());
        for (known, address) in self.known.iter().zip(addresses) {
            known.store(address, Relaxed);
        }
        true
    }

    /// Takes what has been asked since the last time; for the pipe itself.
    pub(crate) fn take(&self) -> Asked {
        if self.asked.load(Relaxed) == 0 {
            return Asked(0);
        }
        Asked(self.asked.swap(0, Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn every_ring_wakes_the_waker_put_down_last() {
        let bell = Bell::default();
        let [old, new] = [(); 2].map(|()| Arc::new(Counting::default()));
        bell.ring(Ask::Move);
        assert!(bell.answer_to(&old.clone().into()), "the first waker is another one");
        assert!(!bell.answer_to(&old.clone().into()));
        bell.ring(Ask::Close);
        assert!(bell.answer_to(&new.clone().into()), "the pipe has moved to another task");
        bell.ring(Ask::Stop);
        bell.ring(Ask::Stop);
        assert_eq!([old, new].map(|woken| woken.0.load(Relaxed)), [1, 2]);
    }

    #[test]
    fn what_was_asked_is_taken_once_and_together() {
        let bell = Bell::default();
        bell.ring(Ask::Move);
        bell.ring(Ask::Shed);
        let asked = bell.take();
        assert!(asked.has(Ask::Move) && asked.has(Ask::Shed) && !asked.has(Ask::Close));
        assert!(bell.take().is_empty());
    }
}
