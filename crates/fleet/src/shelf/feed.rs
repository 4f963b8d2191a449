//! A stream of server-sent events: what waits for one reader to take it, bounded in bytes and in events.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

/// Where events for one reader are put. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Mutex<Waiting>>);

/// What the reader takes. The feed ends with it.
#[derive(Debug)]
pub(crate) struct Stream(Arc<Mutex<Waiting>>);

/// The reader has not taken what it was sent, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTaken;

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Bytes>,
    bytes: usize,
    state: State,
    waker: Option<Waker>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The reader is to be told why, last.
    Ending(Cow<'static, str>),
    Ended,
    /// The reader is gone.
    Left,
}

/// Both ends of a stream.
pub(crate) fn feed() -> (Feed, Stream) {
    let waiting = Arc::new(Mutex::default());
    (Feed(Arc::clone(&waiting)), Stream(waiting))
}

impl Feed {
    /// Sends an event. If as much waits as may, what waits is dropped and the reader told that it was too
    /// slow: it comes back with the id of the last event that it has.
    pub(crate) fn send(&self, event: &Bytes) -> Result<(), NotTaken> {
        let mut waiting = lock(&self.0);
        if waiting.state != State::Open {
            return Err(NotTaken);
        }
        // One event may be as large as it is, or a large set could not be watched at all.
        let is_full = waiting.events.len() >= EVENTS_MAX
            || (!waiting.events.is_empty() && waiting.bytes + event.len() > BYTES_MAX);
        if is_full {
            waiting.events.clear();
            waiting.end(TOO_SLOW.into());
            return Err(NotTaken);
        }
        waiting.bytes += event.len();
        waiting.events.push_back(event.clone());
        waiting.wake();
        Ok(())
    }

    /// Ends the stream behind what was sent, and tells the reader why.
    pub(crate) fn end(&self, reason: impl Into<Cow<'static, str>>) {
        lock(&self.0).end(reason.into());
    }

    /// Whether the reader is gone or has been told of the end.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.0).state != State::Open
    }
}

impl Stream {
    /// The next events; `None` when the reader has been told all.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut waiting = lock(&self.0);
        if let Some(event) = waiting.events.pop_front() {
            waiting.bytes -= event.len();
            return Poll::Ready(Some(event));
        }
        match std::mem::take(&mut waiting.state) {
            State::Open => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Ending(reason) => {
                waiting.state = State::Ended;
                Poll::Ready(Some(farewell(&reason)))
            }
            over @ (State::Ended | State::Left) => {
                waiting.state = over;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0);
        waiting.state = State::Left;
        waiting.events.clear();
    }
}

impl Waiting {
    fn end(&mut self, reason: Cow<'static, str>) {
        if self.state == State::Open {
            self.state = State::Ending(reason);
            self.wake();
        }
    }

    fn wake(&mut self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last event of a stream.
fn farewell(reason: &str) -> Bytes {
    let reason = serde_json::json!({ "reason": reason });
    format!("event: end\ndata: {reason}\n\n").into()
}

/// Events that wait for one reader.
pub(crate) const EVENTS_MAX: usize = 1024;

/// Bytes that wait for one reader: those of the largest snapshot, about, and changes behind it.
pub(crate) const BYTES_MAX: usize = 8 << 20;

const TOO_SLOW: &str =
    "the reader takes less than the set changes; connect again with the id of the last event";

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn next(stream: &Stream) -> Poll<Option<Bytes>> {
        stream.poll_next(&Context::from_waker(Waker::noop()))
    }

    fn event(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn events_come_in_order_and_the_reason_comes_last() {
        let (feed, stream) = feed();
        assert!(next(&stream).is_pending());
        feed.send(&event("a")).unwrap();
        feed.send(&event("b")).unwrap();
        feed.end("enough");
        feed.end("not told");
        assert_eq!(feed.send(&event("c")), Err(NotTaken));
        assert_eq!(next(&stream), Poll::Ready(Some(event("a"))));
        assert_eq!(next(&stream), Poll::Ready(Some(event("b"))));
        let end = event("event: end\ndata: {\"reason\":\"enough\"}\n\n");
        assert_eq!(next(&stream), Poll::Ready(Some(end)));
        assert_eq!(next(&stream), Poll::Ready(None));
    }

    #[test]
    fn a_slow_reader_is_told_so_and_holds_nothing_any_more() {
        let (feed, stream) = feed();
        for _ in 0..EVENTS_MAX {
            feed.send(&event("a")).unwrap();
        }
        assert_eq!(feed.send(&event("a")), Err(NotTaken));
        let Poll::Ready(Some(end)) = next(&stream) else { panic!("there is a reason") };
        assert!(String::from_utf8_lossy(&end).contains("connect again with the id"));
        assert!(feed.is_over());

        let (feed, stream) = super::feed();
        let large = Bytes::from(vec![b'x'; BYTES_MAX + 1]);
        feed.send(&large).unwrap();
        assert_eq!(feed.send(&event("a")), Err(NotTaken), "one event, however large");
        drop(stream);
        assert!(feed.is_over());
    }
}
