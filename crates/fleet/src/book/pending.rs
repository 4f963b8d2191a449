//! What waits to be appended, and who waits for it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use everwire_backplane::{PAYLOAD_MAX, Refusal, Version};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Refused;

/// Where the answer to a call goes.
pub(super) type Tell = oneshot::Sender<Result<Version, Refused>>;

/// Something to be appended.
#[derive(Debug)]
pub(super) struct Call {
    what: What,
    tell: Tell,
}

#[derive(Debug)]
enum What {
    /// Events that go into an entry with others.
    Some(Vec<Bytes>),
    /// An entry of its own, behind this version.
    Exact(Version, Bytes),
}

/// What is appended next.
#[derive(Debug)]
pub(super) enum Batch {
    /// Events of several calls.
    Some(Vec<Bytes>, Vec<Tell>),
    /// An entry behind a version.
    Exact(Version, Bytes, Tell),
}

/// Calls that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: Mutex<Queue>,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    calls: VecDeque<Call>,
    bytes: usize,
}

impl Call {
    pub(super) const fn some(events: Vec<Bytes>, tell: Tell) -> Self {
        Self { what: What::Some(events), tell }
    }

    pub(super) const fn exact(version: Version, entry: Bytes, tell: Tell) -> Self {
        Self { what: What::Exact(version, entry), tell }
    }

    fn bytes(&self) -> usize {
        match &self.what {
            // Each has a comma behind it.
            What::Some(events) => events.iter().map(|event| event.len() + 1).sum(),
            What::Exact(_, entry) => entry.len(),
        }
    }
}

impl Pending {
    pub(super) fn add(&self, call: Call) -> Result<(), Refused> {
        let bytes = call.bytes();
        if bytes > PAYLOAD_MAX - FRAME {
            return Err(Refused::NotStored(Refusal::TooLarge));
        }
        let mut queue = self.queue();
        if self.closed.is_cancelled() {
            return Err(Refused::Stopped);
        }
        if queue.bytes + bytes > PENDING_MAX || queue.calls.len() >= CALLS_MAX {
            return Err(Refused::Full);
        }
        queue.bytes += bytes;
        queue.calls.push_back(call);
        Ok(())
    }

    /// What is to be appended next: what goes together, in the order in which it came.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut queue = self.queue();
        let (mut events, mut tells, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = queue.calls.front() {
            let size = next.bytes();
            if matches!(next.what, What::Exact(..)) && !tells.is_empty() {
                break;
            }
            if bytes + size > ENTRY_MAX && !tells.is_empty() {
                break;
            }
            let Some(call) = queue.calls.pop_front() else { break };
            queue.bytes -= size;
            bytes += size;
            match call.what {
                What::Exact(version, entry) => {
                    return Some(Batch::Exact(version, entry, call.tell));
                }
                What::Some(more) => {
                    events.extend(more);
                    tells.push(call.tell);
                }
            }
        }
        (!tells.is_empty()).then_some(Batch::Some(events, tells))
    }

    /// Nothing is appended any more; who waits is told so.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        self.closed.cancel();
        *queue = Queue::default();
    }

    /// Ready when nothing is appended any more.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of events that go into one entry together; one call's stay together beyond that, up to what
/// an entry may have. Some thousand outcomes.
pub const ENTRY_MAX: usize = 256 * 1024;

/// Bytes that may wait for the log: those of a hundred thousand outcomes.
pub const PENDING_MAX: usize = 32 << 20;

/// Calls that may wait for the log.
const CALLS_MAX: usize = 262_144;

/// What an entry has besides its events, at most.
const FRAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn some(size: usize) -> Call {
        let event = Bytes::from(vec![b'1'; size]);
        Call::some(vec![event], oneshot::channel().0)
    }

    #[test]
    fn what_waits_goes_together_up_to_a_size() {
        let pending = Pending::default();
        for size in [1, 2, ENTRY_MAX, 3] {
            pending.add(some(size)).unwrap();
        }
        pending.add(Call::exact(Version(4), "{}".into(), oneshot::channel().0)).unwrap();
        pending.add(some(5)).unwrap();
        let mut sizes = Vec::new();
        while let Some(batch) = pending.take() {
            sizes.push(match batch {
                Batch::Some(events, tells) => {
                    assert_eq!(events.len(), tells.len());
                    events.iter().map(Bytes::len).collect()
                }
                Batch::Exact(version, _, _) => vec![version.0 as usize],
            });
        }
        assert_eq!(sizes, [vec![1, 2], vec![ENTRY_MAX], vec![3], vec![4], vec![5]]);
        assert_eq!(pending.queue().bytes, 0);
    }

    #[test]
    fn no_more_waits_than_may() {
        let pending = Pending::default();
        let size = PAYLOAD_MAX / 2;
        let taken = (0..).take_while(|_| pending.add(some(size)).is_ok()).count();
        assert_eq!(taken, PENDING_MAX / (size + 1));
        assert_eq!(pending.add(some(size)), Err(Refused::Full));
        assert_eq!(pending.add(some(1)), Ok(()), "a smaller one has room");
        let huge = pending.add(some(PAYLOAD_MAX));
        assert_eq!(huge, Err(Refused::NotStored(Refusal::TooLarge)));
        pending.close();
        assert_eq!(pending.add(some(1)), Err(Refused::Stopped));
        assert!(pending.take().is_none());

        let many = Pending::default();
        let taken = (0..).take_while(|_| many.add(some(1)).is_ok()).count();
        assert_eq!(taken, CALLS_MAX);
    }
}
