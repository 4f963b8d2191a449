//! What travels between an application and the task of its connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use everwire_proto::signalr::{message::Outcome, payload::Payload};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    error::{InvokeError, SendError},
    session::CallId,
    upload::Pump,
};

/// Something to say to the server.
#[derive(Debug)]
pub(crate) struct Command {
    /// The message with its framing.
    pub(crate) message: Bytes,
    pub(crate) reply: Reply,
    /// Upload streams that begin once the message is said.
    pub(crate) uploads: Vec<Pump>,
}

/// Who waits for what.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Somebody waits until it is said.
    Said(oneshot::Sender<Result<(), SendError>>),
    /// Somebody waits for a completion.
    Once(CallId, oneshot::Sender<Result<Outcome, InvokeError>>),
    /// Somebody waits for items, once it is said.
    Stream(CallId, oneshot::Sender<Result<(), SendError>>, Items),
}

/// Where the items of a stream go.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) items: mpsc::Sender<Payload>,
    /// How the stream ends; apart from the items, because there is always room for it.
    pub(crate) end: oneshot::Sender<Result<(), InvokeError>>,
}

/// Calls that nobody waits for any more, for the task to hear of.
///
/// At most as many as are in flight: each is dropped once.
#[derive(Debug)]
pub(crate) struct Cancellations {
    /// `None` once there is no task.
    ids: Mutex<Option<Vec<CallId>>>,
    notify: Notify,
}

/// Cancels a call when it is dropped before the call has ended.
#[derive(Debug)]
pub(crate) struct CallGuard {
    id: CallId,
    cancellations: Arc<Cancellations>,
    is_over: bool,
}

impl Reply {
    /// Whether nobody waits any more.
    pub(crate) fn is_dropped(&self) -> bool {
        match self {
            Self::Said(waits) | Self::Stream(_, waits, _) => waits.is_closed(),
            Self::Once(_, waits) => waits.is_closed(),
        }
    }
}

impl Cancellations {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { ids: Mutex::new(Some(Vec::new())), notify: Notify::new() })
    }

    /// Waits until there are some and takes them.
    pub(crate) async fn take(&self) -> Vec<CallId> {
        loop {
            let ids = self.ids().as_mut().map(std::mem::take).unwrap_or_default();
            if !ids.is_empty() {
                return ids;
            }
            self.notify.notified().await;
        }
    }

    /// Nobody will take any more.
    pub(crate) fn close(&self) {
        *self.ids() = None;
    }

    fn ids(&self) -> MutexGuard<'_, Option<Vec<CallId>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallGuard {
    pub(crate) const fn new(id: CallId, cancellations: Arc<Cancellations>) -> Self {
        Self { id, cancellations, is_over: false }
    }

    /// The call has ended by itself.
    pub(crate) const fn disarm(&mut self) {
        self.is_over = true;
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some(ids) = self.cancellations.ids().as_mut() {
            ids.push(self.id);
        }
        self.cancellations.notify.notify_one();
    }
}
