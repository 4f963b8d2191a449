//! Connections to one backend that wait for their next request.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::line::Line;
use crate::dial::Endpoint;

/// At most [`KEPT_MAX`] connections, each for at most [`KEPT_TIME`].
#[derive(Debug, Default)]
pub(crate) struct Kept {
    waiting: Mutex<Vec<Waiting>>,
    next_id: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    line: Line,
    _place: Place,
    /// Ends the wait.
    _expiry: AbortOnDropHandle<()>,
}

/// One of the places of the process.
#[derive(Debug)]
struct Place;

/// How many connections wait in the whole process.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Kept {
    /// The connection that was used last and can be used again.
    pub(super) fn take(&self) -> Option<Line> {
        let mut waiting = self.lock();
        waiting.retain(|waiting| !waiting.line.is_closed());
        let at = waiting.iter().rposition(|waiting| waiting.line.is_ready())?;
        Some(waiting.remove(at).line)
    }

    /// Keeps a connection of `endpoint`, whose own this is; closes it if there is no room.
    pub(super) fn put(&self, line: Line, endpoint: &Arc<Endpoint>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let id = self.next_id.fetch_add(1, Relaxed);
        let mut waiting = self.lock();
        waiting.retain(|waiting| !waiting.line.is_closed());
        if line.is_closed() || waiting.len() >= KEPT_MAX {
            return;
        }
        let Some(place) = Place::take() else { return };
        let endpoint = Arc::downgrade(endpoint);
        let expiry = runtime.spawn(async move {
            tokio::time::sleep(KEPT_TIME).await;
            if let Some(endpoint) = endpoint.upgrade() {
                let expired = endpoint.kept().forget(id);
                drop(expired);
            }
        });
        let expiry = AbortOnDropHandle::new(expiry);
        waiting.push(Waiting { id, line, _place: place, _expiry: expiry });
    }

    fn forget(&self, id: u64) -> Option<Waiting> {
        let mut waiting = self.lock();
        let at = waiting.iter().position(|waiting| waiting.id == id)?;
        Some(waiting.remove(at))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // Nothing panics while the lock is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }
}

impl Place {
    fn take() -> Option<Self> {
        // The place exists from here on, so that it is given back on every path.
        let (before, place) = (TAKEN.fetch_add(1, Relaxed), Self);
        (before < KEPT_OF_PROCESS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Relaxed);
    }
}

/// Connections that wait for one backend: more than this many requests at once seldom are short.
pub(super) const KEPT_MAX: usize = 32;

/// Connections that wait in the process: they use descriptors that clients do not have.
const KEPT_OF_PROCESS_MAX: usize = 256;

/// How long one waits. Node closes an idle connection after 5 s, most others later: whoever closes
/// first must be the one who would send next, or a request crosses the close.
const KEPT_TIME: Duration = Duration::from_secs(4);
