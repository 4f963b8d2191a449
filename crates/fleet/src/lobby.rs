//! Connections to the fleet's hub: those that have yet to say what they are there for, and what all of them
//! have shown on coming in.
//!
//! Who neither joins nor watches within a while goes, so that sockets that do nothing do not add up; of
//! those there are not more than so many at once. And when other grants count, those go that may not be
//! here any more.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use everwire_hub::{ConnectionId, Hub};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Grants, Pass, Right},
    clock,
};

/// The connections of a node. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Lobby {
    guests: Arc<Mutex<Guests>>,
    /// How long a connection may stay that neither joins nor watches.
    silent_max: Duration,
}

#[derive(Debug, Default)]
struct Guests {
    all: HashMap<ConnectionId, Guest>,
    /// Those that have said nothing yet, the oldest first; some may have by now.
    silent: VecDeque<(Instant, ConnectionId)>,
    /// How many of them have not.
    silent_count: usize,
}

#[derive(Debug)]
struct Guest {
    pass: Pass,
    /// What it joined as.
    app: Option<Box<str>>,
    is_silent: bool,
}

impl Lobby {
    pub(crate) fn new(silent_max: Duration) -> Self {
        Self { guests: Arc::default(), silent_max }
    }

    /// A connection has begun; gives one that has to go for it.
    pub(crate) fn enter(&self, id: ConnectionId, pass: Pass) -> Option<ConnectionId> {
        self.guests().enter(id, pass, clock::instant() + self.silent_max)
    }

    /// A connection watches something, or has joined as an instance of an application.
    pub(crate) fn settle(&self, id: ConnectionId, app: Option<&str>) {
        self.guests().settle(id, app);
    }

    /// A connection has ended.
    pub(crate) fn leave(&self, id: ConnectionId) {
        self.guests().leave(id);
    }

    /// Sends away who stays for nothing, and who may not stay, until the node stops.
    pub(crate) async fn run(
        self,
        hub: Hub,
        mut grants: watch::Receiver<Grants>,
        stop: CancellationToken,
    ) {
        loop {
            let is_new = tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = grants.changed() => true,
                () = tokio::time::sleep(SWEEP) => false,
            };
            let late = self.guests().take_late(clock::instant());
            end(&hub, late, LATE);
            if is_new {
                let now = grants.borrow_and_update().clone();
                let unwelcome = self.guests().unwelcome(&now);
                end(&hub, unwelcome, UNWELCOME);
            }
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn enter(&mut self, id: ConnectionId, pass: Pass, until: Instant) -> Option<ConnectionId> {
        self.leave(id);
        self.all.insert(id, Guest { pass, app: None, is_silent: true });
        self.silent.push_back((until, id));
        self.silent_count += 1;
        (self.silent_count > SILENT_COUNT_MAX).then(|| self.take_oldest()).flatten()
    }

    fn settle(&mut self, id: ConnectionId, app: Option<&str>) {
        let Some(guest) = self.all.get_mut(&id) else { return };
        if let Some(app) = app {
            guest.app = Some(app.into());
        }
        if std::mem::take(&mut guest.is_silent) {
            self.silent_count -= 1;
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        if self.all.remove(&id).is_some_and(|guest| guest.is_silent) {
            self.silent_count -= 1;
        }
    }

    /// The one that has been silent for longest: it is forgotten.
    fn take_oldest(&mut self) -> Option<ConnectionId> {
        while let Some((_, id)) = self.silent.pop_front() {
            if self.all.get(&id).is_some_and(|guest| guest.is_silent) {
                self.leave(id);
                return Some(id);
            }
        }
        None
    }

    /// Those that have been silent for too long.
    fn take_late(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut late = Vec::new();
        while let Some((until, id)) = self.silent.front().copied() {
            let is_silent = self.all.get(&id).is_some_and(|guest| guest.is_silent);
            if is_silent && until > now {
                break;
            }
            self.silent.pop_front();
            if is_silent {
                self.leave(id);
                late.push(id);
            }
        }
        late
    }

    /// Those that may not be here any more.
    fn unwelcome(&self, grants: &Grants) -> Vec<ConnectionId> {
        let is_unwelcome = |guest: &Guest| match &guest.app {
            Some(app) => !grants.allows_app(guest.pass, Right::Join, app),
            None => !grants.admits(guest.pass),
        };
        let all: BTreeMap<_, _> = self.all.iter().filter(|(_, it)| is_unwelcome(it)).collect();
        all.into_keys().copied().collect()
    }
}

fn end(hub: &Hub, ids: Vec<ConnectionId>, reason: &str) {
    if ids.is_empty() {
        return;
    }
    tracing::info!(connections = ids.len(), reason, "ended");
    if let Err(error) = hub.connections(ids).end(Some(reason)) {
        tracing::warn!(%error, "some connections were not ended");
    }
}

/// How long a connection may stay that neither joins nor watches: several round trips, however slow.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(30);

/// Connections that may be there at once which neither have joined nor watch.
pub(crate) const SILENT_COUNT_MAX: usize = 1000;

/// How often it is looked who has been silent for too long.
const SWEEP: Duration = Duration::from_secs(1);

/// What a connection is told that goes for another one.
pub(crate) const CROWDED: &str =
    "too many connections neither joined nor watched anything, and this one did so for longest";

const LATE: &str = "the connection neither joined nor watched anything; put app=… or set=… into its URL, or \
                    call Join or Watch within 30 seconds";
const UNWELCOME: &str = "the token was withdrawn, or is for less than before";

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::access::Grant;

    fn pass() -> Pass {
        Pass::new(Some("token-of-the-shop"))
    }

    fn id(number: u16) -> ConnectionId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes).parse().unwrap()
    }

    #[test]
    fn pred_k15_who_says_nothing_goes_and_who_does_stays() {
        let start = clock::instant();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut guests = Guests::default();
        for number in 0..4_u16 {
            assert_eq!(guests.enter(id(number), pass(), after(30 + u64::from(number))), None);
        }
        guests.settle(id(1), None);
        guests.leave(id(2));
        assert_eq!(guests.take_late(after(29)), []);
        assert_eq!(guests.take_late(after(32)), [id(0)]);
        guests.settle(id(3), Some("shop"));
        assert_eq!(guests.take_late(after(99)), []);
        assert!(guests.silent.is_empty() && guests.silent_count == 0);
    }

    #[test]
    fn pred_k15_those_who_say_nothing_are_not_many() {
        let until = clock::instant() + SILENT_MAX;
        let mut guests = Guests::default();
        let all: Vec<_> = (0..SILENT_COUNT_MAX as u16 + 2).map(id).collect();
        for id in &all[..SILENT_COUNT_MAX] {
            assert_eq!(guests.enter(*id, pass(), until), None);
        }
        guests.settle(all[0], None);
        assert_eq!(guests.enter(all[SILENT_COUNT_MAX], pass(), until), None, "one has settled");
        assert_eq!(guests.enter(all[SILENT_COUNT_MAX + 1], pass(), until), Some(all[1]));
    }

    #[test]
    fn pred_k14_who_may_not_be_here_any_more_is_found() {
        let grant = |app| {
            let grant = Grant::new("token-of-the-shop", app, [], [Right::Join]).unwrap();
            Grants::new([grant]).unwrap()
        };
        let until = clock::instant() + SILENT_MAX;
        let mut guests = Guests::default();
        guests.enter(id(0), pass(), until);
        guests.settle(id(0), Some("shop"));
        guests.enter(id(1), pass(), until);
        guests.enter(id(2), Pass::new(None), until);
        assert_eq!(guests.unwelcome(&grant("shop")), [id(2)]);
        assert_eq!(guests.unwelcome(&grant("bank")), [id(0), id(2)]);
        assert_eq!(guests.unwelcome(&Grants::default()), []);
    }
}
