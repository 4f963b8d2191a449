//! A bounded queue from a bus to one reader: the bus never waits, and the reader learns of a loss.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Items for one reader, bounded by count and by bytes.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    inside: Mutex<Inside<T>>,
    items_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Inside<T> {
    /// Each with its bytes.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    reader: Option<Waker>,
    state: State,
    /// Whether what comes waits although somebody reads.
    is_held: bool,
}

#[derive(Debug, PartialEq)]
enum State {
    Open,
    /// Nothing more comes; what waits is still read.
    Ended,
    /// Nobody reads.
    Closed,
}

/// The item did not fit; nothing has changed.
#[derive(Debug, PartialEq)]
pub(crate) struct Overflow;

impl<T> Mailbox<T> {
    pub(crate) const fn new(items_max: usize, bytes_max: usize) -> Self {
        let inside = Inside {
            items: VecDeque::new(),
            bytes: 0,
            reader: None,
            state: State::Open,
            is_held: false,
        };
        Self { inside: Mutex::new(inside), items_max, bytes_max }
    }

    /// Appends. The first item always fits, however large.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), Overflow> {
        let mut inside = self.lock();
        if inside.state != State::Open {
            return Ok(());
        }
        if self.lacks_room(&inside, bytes) {
            return Err(Overflow);
        }
        inside.items.push_back((item, bytes));
        inside.bytes += bytes;
        wake(inside);
        Ok(())
    }

    /// Drops what waits; these few wait instead.
    pub(crate) fn replace(&self, items: impl IntoIterator<Item = T>) {
        let mut inside = self.lock();
        inside.items = items.into_iter().map(|item| (item, 0)).collect();
        inside.bytes = 0;
        wake(inside);
    }

    /// Has what comes wait, or be read again.
    pub(crate) fn hold(&self, is_held: bool) {
        let mut inside = self.lock();
        inside.is_held = is_held;
        wake(inside);
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        let mut inside = self.lock();
        if inside.state == State::Open {
            inside.state = State::Ended;
        }
        wake(inside);
    }

    /// Nobody reads any more.
    pub(crate) fn close(&self) {
        let mut inside = self.lock();
        inside.state = State::Closed;
        inside.items = VecDeque::new();
    }

    /// Whether an item of so many bytes would not fit.
    pub(crate) fn is_full(&self, bytes: usize) -> bool {
        self.lacks_room(&self.lock(), bytes)
    }

    fn lacks_room(&self, inside: &Inside<T>, bytes: usize) -> bool {
        let full = inside.items.len() >= self.items_max || inside.bytes + bytes > self.bytes_max;
        full && !inside.items.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().state == State::Closed
    }

    /// The next item; `None` after the end.
    pub(crate) fn poll_next(&self, ctx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inside = self.lock();
        if !inside.is_held
            && let Some((item, bytes)) = inside.items.pop_front()
        {
            inside.bytes -= bytes;
            return Poll::Ready(Some(item));
        }
        if inside.state != State::Open && !inside.is_held {
            return Poll::Ready(None);
        }
        inside.reader = Some(ctx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        // Nothing in here panics halfway through a change.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the reader after the lock is gone, so that it does not run into it.
fn wake<T>(mut inside: MutexGuard<'_, Inside<T>>) {
    let reader = inside.reader.take();
    drop(inside);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mailbox: &Mailbox<u8>) -> Poll<Option<u8>> {
        mailbox.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_stays() {
        let mailbox = Mailbox::new(2, 10);
        assert_eq!(mailbox.push(1, 11), Ok(()), "the first always fits");
        assert_eq!(mailbox.push(2, 0), Err(Overflow), "by bytes");
        assert_eq!(read(&mailbox), Poll::Ready(Some(1)));
        assert_eq!((mailbox.push(3, 5), mailbox.push(4, 5)), (Ok(()), Ok(())));
        assert_eq!(mailbox.push(5, 0), Err(Overflow), "by count");
        mailbox.replace([6]);
        assert_eq!(read(&mailbox), Poll::Ready(Some(6)));
        assert_eq!(read(&mailbox), Poll::Pending);
    }

    #[test]
    fn what_is_held_is_read_when_it_is_let_through_and_no_more_than_fits_waits() {
        let mailbox = Mailbox::new(2, 10);
        mailbox.hold(true);
        assert_eq!((mailbox.push(1, 1), mailbox.push(2, 1)), (Ok(()), Ok(())));
        assert_eq!(mailbox.push(3, 1), Err(Overflow));
        mailbox.end();
        assert_eq!(read(&mailbox), Poll::Pending);
        mailbox.hold(false);
        let all = [(); 3].map(|()| read(&mailbox));
        assert_eq!(all, [Poll::Ready(Some(1)), Poll::Ready(Some(2)), Poll::Ready(None)]);
    }

    #[test]
    fn what_waits_is_read_after_the_end_but_not_after_closing() {
        let mailbox = Mailbox::new(2, 10);
        mailbox.push(1, 1).unwrap();
        mailbox.end();
        mailbox.push(2, 1).unwrap();
        assert_eq!((read(&mailbox), read(&mailbox)), (Poll::Ready(Some(1)), Poll::Ready(None)));
        mailbox.close();
        assert!(mailbox.is_closed());
        assert_eq!(read(&mailbox), Poll::Ready(None));
    }
}
