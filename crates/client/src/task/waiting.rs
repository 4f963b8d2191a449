//! Who waits for which call.

use std::collections::HashMap;

use everwire_proto::signalr::{message::Outcome, payload::Payload};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    task::AbortHandle,
};

use crate::{call::Items, error::InvokeError, session::CallId};

/// The calls that are in flight.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<CallId, Waiter>);

/// Who waits for the end of a call, and the uploads that end with it.
#[derive(Debug)]
struct Waiter {
    end: End,
    uploads: Vec<AbortHandle>,
}

/// How a call is answered.
#[derive(Debug)]
pub(super) enum End {
    Once(oneshot::Sender<Result<Outcome, InvokeError>>),
    Stream(Items),
}

impl Waiting {
    pub(super) fn insert(&mut self, id: CallId, end: End, uploads: Vec<AbortHandle>) {
        self.0.insert(id, Waiter { end, uploads });
    }

    /// Hands an item to whoever takes it; gives it back if there is no room for it.
    ///
    /// An item that nobody takes any more is dropped: the cancellation is on its way.
    pub(super) fn give(&self, id: CallId, item: Payload) -> Result<(), Payload> {
        match self.items(id).map(|items| items.try_send(item)) {
            Some(Err(TrySendError::Full(item))) => Err(item),
            Some(Ok(()) | Err(TrySendError::Closed(_))) | None => Ok(()),
        }
    }

    /// Waits until there is room for an item, or nobody takes it any more.
    pub(super) async fn room(&self, id: CallId) {
        if let Some(items) = self.items(id) {
            drop(items.reserve().await);
        }
    }

    /// Ends a call for whoever waits for it; nobody may any more.
    pub(super) fn complete(&mut self, id: CallId, outcome: Result<Outcome, InvokeError>) {
        match self.forget(id) {
            None => {}
            Some(End::Once(waits)) => {
                let _ = waits.send(outcome);
            }
            Some(End::Stream(Items { end, .. })) => {
                let _ = end.send(match outcome {
                    Ok(Outcome::Error(error)) => Err(InvokeError::Server(error)),
                    Ok(Outcome::Void | Outcome::Result(_)) => Ok(()),
                    Err(error) => Err(error),
                });
            }
        }
    }

    /// Ends all calls for want of a connection.
    pub(super) fn lose_all(&mut self) {
        let ids: Vec<CallId> = self.0.keys().copied().collect();
        ids.into_iter().for_each(|id| self.complete(id, Err(InvokeError::Lost)));
    }

    /// Drops what belongs to a call, its uploads included.
    pub(super) fn forget(&mut self, id: CallId) -> Option<End> {
        let Waiter { end, uploads } = self.0.remove(&id)?;
        uploads.iter().for_each(AbortHandle::abort);
        Some(end)
    }

    fn items(&self, id: CallId) -> Option<&mpsc::Sender<Payload>> {
        match &self.0.get(&id)?.end {
            End::Stream(items) => Some(&items.items),
            End::Once(_) => None,
        }
    }
}
