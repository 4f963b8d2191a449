//! The task of one set: it orders who comes and goes, what changes, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use everwire_hub::{GroupName, Hub, SendError};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Inner, Letter, Watcher, WayTo, Who,
    feed::Feed,
    tell::{Matter, Message, Teller},
};
use crate::{
    access::{Grants, Pass, Right},
    book::{Book, Cursor},
    clock,
    gate::Gate,
    name::SetName,
    seal::Sealer,
    set::Set,
    watch::{Desk, Pace, Past, Tell, Whom},
};

pub(super) struct Task {
    name: SetName,
    book: Book<Set>,
    changes: watch::Receiver<Cursor>,
    letters: mpsc::Receiver<Letter>,
    shelf: Weak<Inner>,
    grants: watch::Receiver<Grants>,
    desk: Desk<Who>,
    passes: BTreeMap<Who, Pass>,
    /// Of whoever watches through it; `None` if nobody does.
    hub: Option<Hub>,
    feeds: BTreeMap<Who, Feed>,
    /// The feeds that are live at each pace. Of the hub's clients its groups know.
    live: BTreeMap<Pace, BTreeSet<Who>>,
    /// When what is held back for a pace is told.
    due: BTreeMap<Pace, Instant>,
    /// When somebody is tried again who could not be told.
    retry: Option<Instant>,
    /// Ticks in a row without a watcher.
    idle: u32,
}

/// Somebody could not be told.
struct Failed;

impl Task {
    pub(super) fn new(
        name: SetName,
        book: Book<Set>,
        letters: mpsc::Receiver<Letter>,
        shelf: Weak<Inner>,
        gate: &Gate,
    ) -> Self {
        Self {
            name,
            changes: book.changes(),
            book,
            letters,
            shelf,
            grants: gate.changes(),
            desk: Desk::new(),
            passes: BTreeMap::new(),
            hub: None,
            feeds: BTreeMap::new(),
            live: BTreeMap::new(),
            due: BTreeMap::new(),
            retry: None,
            idle: 0,
        }
    }

    /// Tells watchers until nobody has used the set for a while, or the node stops.
    pub(super) async fn run(mut self, sealer: Arc<Sealer>, stop: CancellationToken) {
        let teller = Teller { set: self.name.clone(), sealer };
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut letters = Vec::new();
        loop {
            let wake = self.due.values().chain(&self.retry).min().copied();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                count = self.letters.recv_many(&mut letters, LETTERS_AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                }
                Ok(()) = self.changes.changed() => {}
                Ok(()) = self.grants.changed() => self.grants.mark_changed(),
                () = sleep_until(wake.unwrap_or_else(far)), if wake.is_some() => {}
                _ = ticks.tick() => {
                    if self.tick(&mut letters) {
                        return;
                    }
                }
            }
            self.judge();
            for letter in letters.drain(..) {
                self.obey(letter);
            }
            self.look(&teller);
        }
        self.feeds.values().for_each(|feed| feed.end(STOPPING));
    }

    /// Looks after what nobody says: gives whether the set was put away.
    fn tick(&mut self, letters: &mut Vec<Letter>) -> bool {
        self.desk.grow_impatient();
        let gone: Vec<_> = self.desk.watchers().filter(|who| !self.is_there(*who)).collect();
        gone.into_iter().for_each(|who| self.leave(who));
        if self.desk.len() > 0 {
            self.idle = 0;
            return false;
        }
        self.hub = None;
        self.idle += 1;
        if self.idle < IDLE_TICKS {
            return false;
        }
        let Some(shelf) = self.shelf.upgrade() else { return true };
        match shelf.put_away(&self.name, &mut self.letters) {
            None => true,
            Some((last, more)) => {
                letters.extend(last);
                self.letters = more;
                false
            }
        }
    }

    fn is_there(&self, who: Who) -> bool {
        match who {
            Who::Client(id) => self.hub.as_ref().is_some_and(|hub| hub.has(id)),
            Who::Stream(_) => self.feeds.get(&who).is_some_and(|feed| !feed.is_over()),
        }
    }

    fn obey(&mut self, letter: Letter) {
        match letter {
            Letter::Watch(watcher) => self.watch(watcher),
            Letter::Unwatch(who) => self.leave(who),
        }
    }

    fn watch(&mut self, watcher: Watcher) {
        let Watcher { who, way, pass, seed, pace } = watcher;
        match way {
            WayTo::Hub(hub) => self.hub = Some(hub),
            WayTo::Feed(feed) => drop(self.feeds.insert(who, feed)),
        }
        self.idle = 0;
        // It may have gone before this was read.
        if !self.is_there(who) {
            return self.leave(who);
        }
        self.passes.insert(who, pass);
        if !self.is_allowed(pass) {
            return self.dismiss(who);
        }
        let tells = self.desk.watch(who, seed, pace);
        self.regroup(tells);
    }

    fn leave(&mut self, who: Who) {
        let tells = self.desk.unwatch(who);
        self.regroup(tells);
        self.passes.remove(&who);
        self.feeds.remove(&who);
    }

    /// What says only who is live needs nothing of the set.
    fn regroup(&mut self, tells: Vec<Tell<Who>>) {
        for tell in tells {
            match tell {
                Tell::Joins(who, pace) => drop(self.join(who, pace)),
                Tell::Parts(who, pace) => self.part(who, pace),
                Tell::Snapshot { .. } | Tell::Since { .. } => {}
            }
        }
    }

    fn is_allowed(&self, pass: Pass) -> bool {
        self.grants.borrow().allows_set(pass, Right::Read, &self.name)
    }

    /// Nobody is told anything who may not read the set any more.
    fn judge(&mut self) {
        if !self.grants.has_changed().unwrap_or(false) {
            return;
        }
        self.grants.mark_unchanged();
        let passes: Vec<_> = self.passes.iter().map(|(who, pass)| (*who, *pass)).collect();
        for (who, pass) in passes {
            if !self.is_allowed(pass) {
                self.dismiss(who);
            }
        }
    }

    /// Ends the watch of somebody who may not read the set any more, and the connection with it.
    fn dismiss(&mut self, who: Who) {
        let reason = format!("the right to read {} was withdrawn", self.name);
        tracing::info!(set = %self.name, ?who, "may not read it any more");
        if let Some(feed) = self.feeds.get(&who) {
            feed.end(reason.clone());
        }
        if let (Who::Client(id), Some(hub)) = (who, &self.hub) {
            let mut ended = hub.connections([id]).end(Some(&reason));
            // Much is under way, and this is not to wait: the group is left in any case.
            if ended.is_err() {
                ended = hub.connections([id]).end(None);
            }
            if let Err(error) = ended {
                tracing::warn!(set = %self.name, %error, "a connection was not ended; it hears nothing more");
            }
        }
        self.leave(who);
    }

    /// Tells whatever is to be told by now.
    fn look(&mut self, teller: &Teller) {
        let now = clock::instant();
        self.retry = self.retry.filter(|retry| *retry > now);
        let due = self.due.iter().filter(|(_, due)| **due <= now).map(|(pace, _)| *pace);
        let due: Vec<_> = due.collect();
        let desk = &mut self.desk;
        let looked = self.book.look(|cursor, set| {
            if cursor.epoch == 0 || desk.len() == 0 {
                return None;
            }
            let mut tells = desk.advance(cursor, set);
            due.iter().for_each(|pace| tells.extend(desk.flush(*pace, set)));
            let matter = Matter::of(&tells, set, cursor);
            Some((tells, matter))
        });
        self.changes.mark_unchanged();
        if let Some((tells, matter)) = looked {
            self.tell(tells, &matter, teller);
        }
        self.plan(now);
    }

    /// When there is something to do without being told.
    fn plan(&mut self, now: Instant) {
        let held: Vec<_> = self.desk.held().collect();
        self.due.retain(|pace, _| held.contains(pace));
        for pace in held {
            if let Pace::After(millis) = pace {
                let due = now + Duration::from_millis(u64::from(millis));
                self.due.entry(pace).or_insert(due);
            }
        }
        if self.retry.is_none() && self.desk.is_behind() {
            self.retry = Some(now + RETRY);
        }
    }

    fn tell(&mut self, tells: Vec<Tell<Who>>, matter: &Matter, teller: &Teller) {
        let mut tells: VecDeque<_> = tells.into();
        while let Some(tell) = tells.pop_front() {
            if self.tell_one(&tell, matter, teller).is_err() {
                tells.extend(self.desk.failed(&tell));
            }
        }
    }

    fn tell_one(
        &mut self,
        tell: &Tell<Who>,
        matter: &Matter,
        teller: &Teller,
    ) -> Result<(), Failed> {
        match tell {
            Tell::Snapshot { to, gap } => {
                let to = Receivers::of(to);
                if *gap {
                    self.send(&to, &teller.gap())?;
                }
                self.send(&to, &teller.snapshot(matter))
            }
            Tell::Since { to, after, as_one } => {
                let to = match to {
                    Whom::One(who) => Receivers::of(&[*who]),
                    Whom::Live(pace) => self.live_at(*pace),
                };
                let changes = teller.changes(matter, after.0, *as_one);
                changes.iter().try_for_each(|change| self.send(&to, change))
            }
            Tell::Joins(who, pace) => self.join(*who, *pace),
            Tell::Parts(who, pace) => {
                self.part(*who, *pace);
                Ok(())
            }
        }
    }

    fn live_at(&self, pace: Pace) -> Receivers {
        let feeds = self.live.get(&pace).into_iter().flatten().copied().collect();
        Receivers { clients: Clients::Group(self.group(pace)), feeds }
    }

    fn send(&self, to: &Receivers, message: &Message) -> Result<(), Failed> {
        if !to.feeds.is_empty() {
            let event = message.event();
            for feed in to.feeds.iter().filter_map(|who| self.feeds.get(who)) {
                // Who does not take it has been told, and is let go with the next tick.
                let _ = feed.send(&event);
            }
        }
        let Some(hub) = &self.hub else { return Ok(()) };
        let recipients = match &to.clients {
            Clients::Some(ids) if ids.is_empty() => return Ok(()),
            Clients::Some(ids) => hub.connections(ids.iter().copied()),
            Clients::Group(group) => hub.group(group.clone()),
        };
        recipients.send(message.target(), &(message,)).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &SendError) -> Failed {
        tracing::warn!(set = %self.name, %error, "watchers are told anew as soon as that is possible");
        Failed
    }

    fn join(&mut self, who: Who, pace: Pace) -> Result<(), Failed> {
        match (who, &self.hub) {
            (Who::Stream(_), _) => drop(self.live.entry(pace).or_default().insert(who)),
            (Who::Client(id), Some(hub)) => {
                hub.groups().add(id, self.group(pace)).map_err(|error| {
                    tracing::warn!(set = %self.name, connection = %id, %error, "cannot watch");
                    Failed
                })?;
            }
            (Who::Client(_), None) => {}
        }
        Ok(())
    }

    fn part(&mut self, who: Who, pace: Pace) {
        if let Some(live) = self.live.get_mut(&pace) {
            live.remove(&who);
            if live.is_empty() {
                self.live.remove(&pace);
            }
        }
        if let (Who::Client(id), Some(hub)) = (who, &self.hub) {
            // One that is gone is in no group.
            let _ = hub.groups().remove(id, self.group(pace));
        }
    }

    /// Who is live at a pace among the clients of this node.
    fn group(&self, pace: Pace) -> GroupName {
        match pace {
            Pace::Each => format!("set:{}", self.name).into(),
            Pace::After(millis) => format!("set:{}:{millis}", self.name).into(),
        }
    }
}

/// Who hears a message.
struct Receivers {
    clients: Clients,
    feeds: Vec<Who>,
}

enum Clients {
    Some(Vec<everwire_hub::ConnectionId>),
    Group(GroupName),
}

impl Receivers {
    fn of(all: &[Who]) -> Self {
        let clients = all.iter().filter_map(|who| match who {
            Who::Client(id) => Some(*id),
            Who::Stream(_) => None,
        });
        let feeds = all.iter().filter(|who| matches!(who, Who::Stream(_))).copied().collect();
        Self { clients: Clients::Some(clients.collect()), feeds }
    }
}

impl Past for Set {
    fn has_since(&self, version: everwire_backplane::Version) -> bool {
        self.since(version.0).is_some()
    }
}

/// A moment that does not come while anybody waits for it.
fn far() -> Instant {
    clock::instant() + TICK
}

/// How often it is looked after those who went without a word.
const TICK: Duration = Duration::from_secs(10);

/// Ticks after which a set that nobody watches is put away: a minute, in which who comes back finds it
/// read already.
const IDLE_TICKS: u32 = 6;

/// How soon somebody is tried again who could not be told.
const RETRY: Duration = Duration::from_millis(50);

/// Letters that are obeyed together, so that newcomers get one snapshot and not each their own.
const LETTERS_AT_ONCE: usize = 1024;

const STOPPING: &str = "the node stops; connect again";
