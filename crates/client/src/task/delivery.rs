//! Handing over what the session gives: one thing at a time, and only where there is room.

use std::future::pending;

use everwire_proto::{
    signalr::{message::Invocation, payload::Payload},
    time::Time,
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{Task, waiting::Waiting};
use crate::{
    error::InvokeError,
    session::{Blocker, CallId, Epoch, Event},
};

/// What the session gave and nobody takes yet.
pub(super) enum Parked {
    Invocation(Epoch, Invocation),
    Item(CallId, Payload),
}

impl Task {
    /// Delivers what there is room for.
    pub(super) fn deliver(&mut self, now: Time) {
        if let Some(parked) = self.parked.take()
            && self.put(now, parked)
        {
            self.session.handle_unblocked(now);
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::State(state) => self.change(state),
                Event::Invocation(epoch, invocation) => {
                    self.put(now, Parked::Invocation(epoch, invocation));
                }
                Event::Item(id, item) => {
                    self.put(now, Parked::Item(id, item));
                }
                Event::Completed(id, outcome) => self.waiting.complete(id, Ok(outcome)),
                Event::Overrun(id, limit) => {
                    self.waiting.complete(id, Err(InvokeError::Overrun(limit)));
                }
                Event::CallsLost => {
                    self.waiting.lose_all();
                    self.uploads.abort_all();
                }
            }
        }
    }

    /// Hands something to whoever takes it, or keeps it until there is room; whether there was.
    fn put(&mut self, now: Time, parked: Parked) -> bool {
        let (refused, by) = match parked {
            Parked::Invocation(epoch, invocation) => {
                match self.calls.try_send((epoch, invocation)) {
                    Err(TrySendError::Full((epoch, invocation))) => {
                        (Parked::Invocation(epoch, invocation), Blocker::Handlers)
                    }
                    Ok(()) | Err(TrySendError::Closed(_)) => return true,
                }
            }
            Parked::Item(id, item) => match self.waiting.give(id, item) {
                Err(item) => (Parked::Item(id, item), Blocker::Stream(id)),
                Ok(()) => return true,
            },
        };
        self.session.handle_blocked(now, by);
        self.parked = Some(refused);
        false
    }
}

/// Waits until there is room for what is parked, or nobody takes it any more.
pub(super) async fn room(
    parked: Option<&Parked>,
    calls: &mpsc::Sender<(Epoch, Invocation)>,
    waiting: &Waiting,
) {
    match parked {
        None => pending().await,
        Some(Parked::Invocation(..)) => drop(calls.reserve().await),
        Some(Parked::Item(id, _)) => waiting.room(*id).await,
    }
}
