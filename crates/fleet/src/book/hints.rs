//! Hints that a log has something to read: one channel for all logs of the fleet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::AcqRel},
    },
};

use bytes::Bytes;
use everwire_backplane::{Bus, Channel, Item, Start, Version};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The books that want to be told.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<HashMap<Channel, Vec<Weak<Bell>>>>);

/// Wakes the task of one book.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// What there is to read, as far as was heard since somebody looked.
    hinted: AtomicU64,
    wake: Notify,
}

impl Bell {
    /// There is something to do.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// There may be entries up to this version.
    fn hint(&self, version: u64) {
        self.hinted.fetch_max(version, AcqRel);
        self.wake();
    }

    /// Up to which version there is something to read, as was heard since the last look.
    pub(super) fn hinted(&self) -> Version {
        Version(self.hinted.swap(0, AcqRel))
    }

    /// Ready when there is something to do.
    pub(super) async fn rung(&self) {
        self.wake.notified().await;
    }
}

impl Hints {
    /// A bell that rings when there is something in this log.
    pub(super) fn bell(&self, log: &Channel) -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = bells.entry(log.clone()).or_default();
        there.retain(|bell| bell.strong_count() > 0);
        there.push(Arc::downgrade(&bell));
        bell
    }

    /// Rings for what other nodes say, and for everybody when something they said may be lost.
    pub(super) async fn listen(self: Arc<Self>, bus: Arc<dyn Bus>, stop: CancellationToken) {
        let Ok(channel) = Channel::new(HINTS) else { return };
        let mut said = bus.subscribe(&channel, Start::Now);
        while let Some(Some(item)) = stop.run_until_cancelled(said.next()).await {
            match item {
                Item::Message(message) => match read_hint(&message.payload) {
                    Some((log, version)) => self.ring(&log, version),
                    None => tracing::debug!(node = %message.origin.member, "not a hint"),
                },
                Item::Gap(_) | Item::Reachable(true) => self.ring_all(),
                Item::Reachable(false) => {}
            }
        }
    }

    fn ring(&self, log: &Channel, version: u64) {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(there) = bells.get_mut(log) else { return };
        there.retain(|bell| bell.upgrade().inspect(|bell| bell.hint(version)).is_some());
        if there.is_empty() {
            bells.remove(log);
        }
    }

    fn ring_all(&self) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.values().flatten().filter_map(Weak::upgrade).for_each(|bell| bell.hint(u64::MAX));
    }
}

/// Tells everybody, this node included, that a log has this version.
pub(super) fn tell(bus: &dyn Bus, log: &Channel, version: Version) {
    if let Ok(channel) = Channel::new(HINTS) {
        let hint = format!("{version} {log}");
        // Who does not hear of it reads a little later.
        drop(bus.publish(&channel, Bytes::from(hint)));
    }
}

fn read_hint(payload: &[u8]) -> Option<(Channel, u64)> {
    let (version, log) = str::from_utf8(payload).ok()?.split_once(' ')?;
    Some((Channel::new(log).ok()?, version.parse().ok()?))
}

/// The channel of hints: the version in decimal digits, a space, the log's name.
pub const HINTS: &str = "fleet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_a_log_and_its_version() {
        let (log, version) = read_hint(b"17 fleet/sets/a b").unwrap();
        assert_eq!((log.as_str(), version), ("fleet/sets/a b", 17));
        for wrong in [&b""[..], b"17", b"17 ", b"x log", b"\xff log", b"-1 log"] {
            assert!(read_hint(wrong).is_none());
        }
    }

    #[test]
    fn who_is_gone_is_told_nothing_and_forgotten() {
        let hints = Hints::default();
        let log = Channel::new("log").unwrap();
        let (one, other) = (hints.bell(&log), hints.bell(&log));
        hints.ring(&log, 7);
        hints.ring(&log, 3);
        assert_eq!((one.hinted(), one.hinted()), (Version(7), Version(0)));
        drop(one);
        hints.ring_all();
        assert_eq!(other.hinted(), Version(u64::MAX));
        drop(other);
        hints.ring(&log, 8);
        assert!(hints.0.lock().unwrap().is_empty());
    }
}
