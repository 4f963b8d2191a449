//! What this node has to say about its own instances: written down in the order in which it happened,
//! as soon as the log takes it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use crate::{
    book::{Book, ENTRY_MAX, Refused},
    entry::{Event, write_event},
    ledger::Ledger,
};

/// What has happened and is not written down.
#[derive(Debug)]
pub(crate) struct Facts {
    queue: Mutex<Queue>,
    wake: Notify,
    /// How many there are, those included that are being written.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Whether some were dropped since somebody looked.
    has_lost: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self { queue: Mutex::default(), wake: Notify::new(), count: watch::Sender::new(0) }
    }
}

impl Facts {
    /// Has something written down. What is beyond [`FACTS_MAX`] is dropped, and that is said.
    pub(crate) fn add(&self, event: &Event) {
        let event = write_event(event);
        let mut queue = self.queue();
        if queue.bytes + event.len() > FACTS_MAX {
            if !queue.has_lost {
                tracing::error!(
                    "more has happened than is kept while the log is away; some is lost"
                );
            }
            queue.has_lost = true;
            return;
        }
        queue.bytes += event.len();
        queue.events.push_back(event);
        self.count.send_modify(|count| *count += 1);
        drop(queue);
        self.wake.notify_one();
    }

    /// Whether something was dropped since the last time; not before all else is written down.
    pub(crate) fn take_lost(&self) -> bool {
        let mut queue = self.queue();
        queue.events.is_empty() && std::mem::take(&mut queue.has_lost)
    }

    /// Ready when everything is written down.
    pub(crate) async fn written(&self) {
        // It does not end before this does.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Writes down what happens, for as long as it is polled and the book is kept.
    pub(crate) async fn write(self: Arc<Self>, ledger: Book<Ledger>) {
        loop {
            let events = self.take();
            if events.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let mut is_refused = false;
            while let Err(refused) = ledger.append(events.clone()).await {
                if refused == Refused::Stopped {
                    return;
                }
                if !is_refused {
                    tracing::warn!(%refused, "cannot be written down; it is tried again");
                }
                is_refused = true;
                sleep(RETRY).await;
            }
            self.count.send_modify(|count| *count -= events.len());
        }
    }

    /// The oldest of them, as many as one entry takes.
    fn take(&self) -> Vec<Bytes> {
        let mut queue = self.queue();
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(next) = queue.events.front()
            && (events.is_empty() || bytes + next.len() < ENTRY_MAX)
        {
            bytes += next.len() + 1;
            events.extend(queue.events.pop_front());
        }
        queue.bytes -= events.iter().map(Bytes::len).sum::<usize>();
        if queue.events.is_empty() {
            queue.events = VecDeque::new();
        }
        events
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that wait for the log: what 10,000 instances do in some time without it.
pub(crate) const FACTS_MAX: usize = 32 << 20;

/// How soon a refused entry is tried again.
const RETRY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_kept_than_may_and_what_is_lost_is_said_at_the_end() {
        let facts = Facts::default();
        let (command, why) = (crate::command::CommandId::random(), Some("x".repeat(4000).into()));
        let event = Event::Cancelled { command, why, at: 0 };
        let size = write_event(&event).len();
        (0..FACTS_MAX / size + 2).for_each(|_| facts.add(&event));
        assert_eq!(facts.queue().events.len(), FACTS_MAX / size);
        assert!(!facts.take_lost(), "first what is kept is written");
        while !facts.take().is_empty() {}
        assert_eq!(facts.queue().bytes, 0);
        assert!(facts.take_lost() && !facts.take_lost());
    }
}
