//! The client's body on its way to a backend.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use everwire_proto::time::Time;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};

use crate::clock;

type Fault = Box<dyn Error + Send + Sync>;

/// A body that tells how far it has come. Fields behind it are dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<UnsyncBoxBody<Bytes, Fault>>,
    progress: Progress,
}

/// How far a body has come, for whoever waits for the answer.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    /// When a piece last passed, in milliseconds.
    at: AtomicU64,
    state: AtomicU8,
}

const COMING: u8 = 0;
const DONE: u8 = 1;
const FAILED: u8 = 2;

impl Upload {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Fault>,
    {
        let state = if body.is_end_stream() { DONE } else { COMING };
        let at = clock::now().as_millis();
        let seen = Seen { at: AtomicU64::new(at), state: AtomicU8::new(state) };
        let body = body.map_err(Into::into).boxed_unsync();
        Self { body: Some(body), progress: Progress(Arc::new(seen)) }
    }

    /// The body of a request that has none and is sent again.
    pub(super) fn empty(progress: &Progress) -> Self {
        Self { body: None, progress: progress.clone() }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Progress {
    /// When a piece last passed.
    pub(super) fn at(&self) -> Time {
        Time::from_millis(self.0.at.load(Relaxed))
    }

    /// Whether all of it has passed.
    pub(super) fn is_done(&self) -> bool {
        self.0.state.load(Relaxed) == DONE
    }

    /// Whether the client broke it off.
    pub(super) fn has_failed(&self) -> bool {
        self.0.state.load(Relaxed) == FAILED
    }

    fn note(&self, state: u8) {
        self.0.at.store(clock::now().as_millis(), Relaxed);
        self.0.state.store(state, Relaxed);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
            let is_last = body.is_end_stream();
            return Poll::Ready(match frame {
                None => {
                    self.progress.note(DONE);
                    None
                }
                Some(Err(error)) => {
                    self.progress.note(FAILED);
                    Some(Err(error))
                }
                Some(Ok(frame)) if frame.is_data() => {
                    self.progress.note(if is_last { DONE } else { COMING });
                    Some(Ok(frame))
                }
                Some(Ok(_)) => continue,
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
