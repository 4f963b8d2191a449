//! What requests bring for a connection, and who waits to carry away what it has for its client.

use std::sync::{Mutex, PoisonError};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use tokio::sync::Notify;

/// Between the requests of a client and the task of its connection.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Bodies that the task has not read.
    brought: Mutex<Vec<Bytes>>,
    /// Told when the task has read them.
    read: Notify,
    carrier: AtomicWaker,
}

impl Mail {
    /// Puts a body down, and gives whether there is room for more.
    pub(crate) fn bring(&self, body: Bytes) {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    }

    /// Ready once the task has read what was brought.
    pub(crate) async fn read(&self) {
        loop {
            let read = self.read.notified();
            if self.brought.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
            read.await;
        }
    }

    /// Everything that was brought; for the task.
    pub(crate) fn take(&self) -> Vec<Bytes> {
        let brought =
            std::mem::take(&mut *self.brought.lock().unwrap_or_else(PoisonError::into_inner));
        if !brought.is_empty() {
            self.read.notify_waiters();
        }
        brought
    }

    pub(crate) const fn carrier(&self) -> &AtomicWaker {
        &self.carrier
    }
}
