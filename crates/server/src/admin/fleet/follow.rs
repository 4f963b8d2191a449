//! Follows one set for an operator: a snapshot, then version by version, secrets masked.

use std::{collections::VecDeque, time::Duration};

use everwire_fleet::{
    Fleet,
    events::{EventStream, FleetEvent},
    name::SetName,
    sets::{SetState, ShownVersion},
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// One who follows a set.
pub(super) struct Follower {
    fleet: Fleet,
    set: SetName,
    /// Tells that there is something new.
    events: EventStream,
    /// What has been told: epoch and version.
    place: Option<(Box<str>, u64)>,
    /// What is to be told next.
    ready: VecDeque<Told>,
}

/// One event.
pub(super) struct Told {
    /// What whoever comes back says that it has.
    pub(super) id: Option<String>,
    pub(super) name: &'static str,
    pub(super) data: Value,
}

impl Follower {
    /// Begins behind the event with this id, if that can be.
    pub(super) fn new(fleet: Fleet, set: SetName, id: Option<&str>) -> Self {
        let events = fleet.events(None);
        let place = id.and_then(|id| {
            let (epoch, version) = id.rsplit_once('-')?;
            Some((epoch.into(), version.parse().ok()?))
        });
        Self { fleet, set, events, place, ready: VecDeque::new() }
    }

    /// The next event; `None` when the fleet has ended.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(told);
            }
            match self.look().await {
                true => self.wait().await?,
                // A log that cannot be read now is read later.
                false => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Waits until the set may have changed. An event may be missed, so it is looked at anyway.
    async fn wait(&mut self) -> Option<()> {
        if !self.ready.is_empty() {
            return Some(());
        }
        let changed = timeout(LOOK_ANYWAY, async {
            while let Some(told) = self.events.next().await {
                match &*told.event {
                    FleetEvent::Gap => return true,
                    FleetEvent::SetChanged { set, .. } if *set == self.set => return true,
                    _ => {}
                }
            }
            false
        });
        changed.await.unwrap_or(true).then_some(())
    }

    /// Looks what is new; `false` if that cannot be known now.
    async fn look(&mut self) -> bool {
        let Ok(state) = self.fleet.set(&self.set).await else { return false };
        match self.place.take() {
            Some((epoch, version)) if epoch == state.epoch && version <= state.version => {
                self.place = Some((epoch, version));
                self.catch_up(&state, version).await
            }
            None => self.tell_all(&state),
            // The log was emptied, or the id is that of something else.
            Some(_) => self.gap(&state),
        }
    }

    /// Tells the versions between one and the latest, or that they are not known any more.
    async fn catch_up(&mut self, state: &SetState, version: u64) -> bool {
        let (mut before, mut missing) = (None, Vec::new());
        while version < before.unwrap_or(state.version + 1) - 1 {
            let Ok(page) = self.fleet.history(&self.set, before, PAGE).await else { return false };
            if page.oldest > version + 1 || page.items.is_empty() {
                return self.gap(state);
            }
            before = page.items.last().map(|last| last.version);
            missing.extend(page.items.into_iter().filter(|item| item.version > version));
        }
        for item in missing.into_iter().rev().filter(|item| item.version <= state.version) {
            self.tell_version(state, &item);
        }
        true
    }

    fn gap(&mut self, state: &SetState) -> bool {
        self.ready.push_back(Told { id: None, name: "gap", data: json!({ "set": state.set }) });
        self.tell_all(state)
    }

    fn tell_all(&mut self, state: &SetState) -> bool {
        let values =
            state.values.iter().map(|item| (item.key.as_str().to_owned(), (&*item.value).into()));
        let mut data = self.head(state, state.version);
        data["values"] = values.collect::<serde_json::Map<_, Value>>().into();
        self.tell("snapshot", state, state.version, data);
        true
    }

    fn tell_version(&mut self, state: &SetState, item: &ShownVersion) {
        let change = |change: &everwire_fleet::sets::ShownChange| json!({ "key": change.key, "value": change.after });
        let mut data = self.head(state, item.version);
        data["changes"] = item.changes.iter().map(change).collect();
        self.tell("changed", state, item.version, data);
    }

    fn head(&self, state: &SetState, version: u64) -> Value {
        json!({ "set": state.set, "version": version, "epoch": state.epoch })
    }

    fn tell(&mut self, name: &'static str, state: &SetState, version: u64, data: Value) {
        self.place = Some((state.epoch.clone(), version));
        let id = Some(format!("{}-{version}", state.epoch));
        self.ready.push_back(Told { id, name, data });
    }
}

/// Versions that are read at once.
const PAGE: usize = 100;

/// How long an event that was missed goes unnoticed.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
