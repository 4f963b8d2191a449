//! What happens in a fleet, for who wants to follow it: kept for a while, so that who was away goes on
//! where it was.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use everwire_backplane::{NodeId, Version};
use everwire_hub::ConnectionId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    book::Cursor,
    command::{CommandId, Outcome},
    entry::Text,
    name::{InstanceName, SetName},
};

/// Something that has happened. As JSON, `type` says what; times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FleetEvent {
    /// An instance has connected.
    InstanceJoined {
        /// Who.
        instance: InstanceName,
        /// Where.
        node: Text<NodeId>,
        /// Which version of the application it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<Box<str>>,
        /// When.
        at: u64,
        /// By which connection.
        #[serde(skip)]
        session: Text<ConnectionId>,
        /// Which connection had the name until then, and where.
        #[serde(skip)]
        replaced: Option<(ConnectionId, NodeId)>,
    },
    /// A connection did not get the name that it wanted.
    JoinRefused {
        /// Which name.
        instance: InstanceName,
        /// Which connection.
        #[serde(skip)]
        session: Text<ConnectionId>,
        /// Whether there are as many instances as may be; otherwise a newer connection has the name.
        is_full: bool,
        /// When.
        at: u64,
    },
    /// The connection of an instance was lost.
    InstanceAway {
        /// Whose.
        instance: InstanceName,
        /// When.
        at: u64,
    },
    /// An instance took its leave.
    InstanceLeft {
        /// Who.
        instance: InstanceName,
        /// When.
        at: u64,
    },
    /// An instance was away for so long that nobody waits for it any more.
    InstanceForgotten {
        /// Who.
        instance: InstanceName,
    },
    /// A node has ended.
    NodeGone {
        /// Which.
        node: Text<NodeId>,
        /// In which of its lives.
        incarnation: u64,
        /// When.
        at: u64,
    },
    /// An instance has something to tell.
    Notified {
        /// Who.
        instance: InstanceName,
        /// What.
        name: Box<str>,
        /// More about it.
        #[serde(skip_serializing_if = "Value::is_null")]
        data: Value,
        /// When.
        at: u64,
    },
    /// A command was accepted.
    CommandAccepted {
        /// Which.
        id: CommandId,
        /// What is to be done.
        name: Box<str>,
        /// By whom.
        target: Box<str>,
        /// How many they are.
        expected: usize,
        /// When.
        at: u64,
    },
    /// Some more are to do a command now.
    CommandReleased {
        /// Which.
        id: CommandId,
        /// Who.
        instances: Vec<InstanceName>,
        /// When.
        at: u64,
    },
    /// Something has become of a command at an instance.
    CommandOutcome {
        /// Which.
        id: CommandId,
        /// Where.
        instance: InstanceName,
        /// What.
        outcome: Outcome,
        /// In the instance's words.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Box<str>>,
        /// When.
        at: u64,
    },
    /// Nobody else is to do a command.
    CommandStopped {
        /// Which.
        id: CommandId,
        /// Why.
        why: Box<str>,
        /// When.
        at: u64,
    },
    /// Every instance that a command was for has an outcome.
    CommandFinished {
        /// Which.
        id: CommandId,
        /// How many outcomes there are of each kind.
        counts: BTreeMap<Outcome, u32>,
        /// When.
        at: u64,
    },
    /// A set was created.
    SetCreated {
        /// Which.
        set: SetName,
    },
    /// A set was changed.
    SetChanged {
        /// Which.
        set: SetName,
        /// The version that it has now.
        version: u64,
        /// Who did it, as far as is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Box<str>>,
        /// When.
        at: u64,
    },
    /// What happened between the event before and the next one is not told here: it was too much, or
    /// too long ago. What the lists say is right.
    Gap,
}

/// An event, and where it stands.
#[derive(Clone, Debug)]
pub struct Told {
    /// Who gives this when it comes back misses nothing, but may be told the last ones once more.
    /// `None` of an event that stands nowhere, and of a gap.
    pub cursor: Option<Cursor>,
    /// What has happened.
    pub event: Arc<FleetEvent>,
}

/// What happens, one after the other.
#[derive(Debug)]
pub struct EventStream {
    feed: Arc<Feed>,
    /// The number of the next event.
    next: u64,
    changes: watch::Receiver<u64>,
    /// Whether something is missing before that.
    has_gap: bool,
}

/// The latest events of a node.
#[derive(Debug)]
pub(crate) struct Feed {
    kept: Mutex<Kept>,
    /// How many there were.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Told>,
    /// The number of the first one.
    first: u64,
    /// What had happened before the first one.
    before: Option<Cursor>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { kept: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Feed {
    /// Tells what has happened up to a version of an epoch.
    pub(crate) fn tell_all(&self, epoch: u64, events: Vec<(Version, FleetEvent)>) {
        let mut kept = self.kept();
        for (version, event) in events {
            kept.add(Told { cursor: Some(Cursor { epoch, version }), event: Arc::new(event) });
        }
        self.count(&kept);
    }

    /// Tells something that stands nowhere.
    pub(crate) fn tell(&self, event: FleetEvent) {
        let mut kept = self.kept();
        kept.add(Told { cursor: None, event: Arc::new(event) });
        self.count(&kept);
    }

    /// What happened before this is not told.
    pub(crate) fn begin_anew(&self, cursor: Cursor) {
        let mut kept = self.kept();
        kept.first += kept.events.len() as u64;
        kept.events.clear();
        kept.before = Some(cursor);
        kept.add(Told { cursor: None, event: Arc::new(FleetEvent::Gap) });
        self.count(&kept);
    }

    /// Ready when something has been told: that what happened before is not.
    pub(crate) async fn begun(&self) {
        // It does not end before this does.
        let _ = self.count.subscribe().wait_for(|count| *count > 0).await;
    }

    /// Nothing happens any more.
    pub(crate) fn end(&self) {
        self.count.send_replace(ENDED);
    }

    fn count(&self, kept: &Kept) {
        self.count.send_replace(kept.first + kept.events.len() as u64);
    }

    /// What happens after a cursor, or from now on.
    pub(crate) fn follow(self: &Arc<Self>, after: Option<Cursor>) -> EventStream {
        let kept = self.kept();
        let now = kept.first + kept.events.len() as u64;
        let (next, has_gap) = match after {
            None => (now, false),
            Some(after) => kept.find(after).map_or((now, true), |next| (next, false)),
        };
        EventStream { feed: Arc::clone(self), next, changes: self.count.subscribe(), has_gap }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, told: Told) {
        if self.events.len() >= EVENTS_MAX
            && let Some(gone) = self.events.pop_front()
        {
            self.first += 1;
            self.before = gone.cursor.or(self.before);
        }
        self.events.push_back(told);
    }

    /// The number of the first event after a cursor; `None` if that is not known.
    fn find(&self, after: Cursor) -> Option<u64> {
        let is_known =
            |before: Cursor| before.epoch == after.epoch && before.version <= after.version;
        let is_after = |told: &Told| {
            told.cursor
                .is_some_and(|there| there.epoch == after.epoch && there.version > after.version)
        };
        if !self.before.is_some_and(is_known) {
            return None;
        }
        let at = self.events.iter().position(is_after).unwrap_or(self.events.len());
        Some(self.first + at as u64)
    }

    fn get(&self, number: u64) -> Option<&Told> {
        self.events.get(number.checked_sub(self.first)? as usize)
    }
}

impl EventStream {
    /// The next event, as soon as there is one; `None` after the fleet has ended. Dropping this loses
    /// nothing.
    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.now() {
                return Some(told);
            }
            let next = self.next;
            if *self.changes.wait_for(|count| *count > next).await.ok()? == ENDED {
                return None;
            }
        }
    }

    /// The next event if there is one.
    pub fn now(&mut self) -> Option<Told> {
        let kept = self.feed.kept();
        if self.next < kept.first {
            self.next = kept.first;
            self.has_gap = true;
        }
        if std::mem::take(&mut self.has_gap) {
            return Some(Told { cursor: None, event: Arc::new(FleetEvent::Gap) });
        }
        let told = kept.get(self.next)?.clone();
        self.next += 1;
        Some(told)
    }
}

/// What is counted when nothing happens any more.
const ENDED: u64 = u64::MAX;

/// Events that are kept for who was away, and for who is slow: those of a command to some thousands.
pub const EVENTS_MAX: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn forgotten(number: usize) -> FleetEvent {
        let instance = format!("shop:0:{number}").parse().unwrap();
        FleetEvent::InstanceForgotten { instance }
    }

    fn feed() -> Arc<Feed> {
        let feed = Arc::<Feed>::default();
        feed.begin_anew(cursor(0));
        feed
    }

    fn cursor(version: u64) -> Cursor {
        Cursor { epoch: 7, version: Version(version) }
    }

    fn tell(feed: &Feed, versions: std::ops::Range<u64>) {
        let events = versions.map(|version| (Version(version), forgotten(version as usize)));
        feed.tell_all(7, events.collect());
    }

    fn versions(stream: &mut EventStream) -> Vec<Option<u64>> {
        let told = std::iter::from_fn(|| stream.now());
        told.map(|told| told.cursor.map(|cursor| cursor.version.0)).collect()
    }

    #[test]
    fn who_was_away_goes_on_where_it_was() {
        let feed = feed();
        let mut live = feed.follow(None);
        tell(&feed, 1..5);
        assert_eq!(versions(&mut live), [1, 2, 3, 4].map(Some));
        assert_eq!(versions(&mut feed.follow(Some(cursor(2)))), [3, 4].map(Some));
        assert_eq!(versions(&mut feed.follow(Some(cursor(4)))), []);
        assert_eq!(versions(&mut feed.follow(None)), []);
        let other = Cursor { epoch: 8, version: Version(2) };
        assert_eq!(versions(&mut feed.follow(Some(other))), [None], "a gap");
        feed.begin_anew(cursor(9));
        assert_eq!(versions(&mut live), [None]);
        assert_eq!(versions(&mut feed.follow(Some(cursor(4)))), [None]);
    }

    #[test]
    fn who_is_too_slow_is_told_of_a_gap() {
        let feed = feed();
        let mut slow = feed.follow(None);
        tell(&feed, 1..EVENTS_MAX as u64 + 11);
        let told = versions(&mut slow);
        assert_eq!((told.len(), told[0], told[1]), (EVENTS_MAX + 1, None, Some(11)));
        assert_eq!(versions(&mut feed.follow(Some(cursor(9)))), [None]);
        assert_eq!(versions(&mut feed.follow(Some(cursor(10)))).len(), EVENTS_MAX);
    }

    #[test]
    fn an_event_says_what_it_is() {
        let json = serde_json::to_string(&forgotten(1)).unwrap();
        assert_eq!(json, r#"{"type":"instance_forgotten","instance":"shop:0:1"}"#);
        let counts = BTreeMap::from([(Outcome::Done, 3)]);
        let id = "0".repeat(20).parse().unwrap();
        let json = serde_json::to_value(FleetEvent::CommandFinished { id, counts, at: 5 }).unwrap();
        assert_eq!(json["counts"], serde_json::json!({"done": 3}));
    }
}
