//! Commands: whom each is for, who is to do it by now, and what became of it. Pure.
//!
//! Whom a command is for is fixed where it stands in the log: all instances that are known there, those
//! that are away too, and that match. Each of them has one outcome in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::news::News;
use crate::{
    command::{CommandId, Outcome},
    entry::{Event, Order, json_bytes},
    events::FleetEvent,
    name::InstanceName,
    rollout::{BATCH_MAX, Pace, Progress, Step},
    roster::Roster,
    target::Target,
};

/// The commands of a fleet, in the order in which they were accepted.
#[derive(Debug, Default)]
pub struct Commands {
    all: BTreeMap<Number, Command>,
    by_id: HashMap<CommandId, Number>,
    by_key: HashMap<Box<str>, Number>,
    /// What each instance is to do by now and has not said anything about, in order.
    open: HashMap<InstanceName, BTreeSet<Number>>,
    /// Those that somebody is still to do or say something about.
    running: BTreeSet<Number>,
    last: Number,
    records: usize,
    bytes: usize,
}

/// The place of a command among all: 1, 2, 3 …
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Number(pub u64);

/// A command, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What was wanted.
    pub order: Order,
    /// Why nobody else is to do it, if it was stopped.
    pub stopped: Option<Box<str>>,
    /// In the order of names.
    places: Vec<Place>,
    /// How many outcomes there are, of each kind.
    counts: [u32; Outcome::ALL.len()],
    /// How often some were released.
    batch: u32,
    /// When the last ones were, and how many.
    last: Option<(u64, u32)>,
    /// What the order takes, about.
    bytes: usize,
}

/// What is known of one instance that a command is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Who.
    pub instance: InstanceName,
    /// How far it is.
    pub standing: Standing,
}

/// How far a command is at an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It is not to do it yet.
    Waiting,
    /// It is to do it, and has not said anything.
    Open,
    /// This has become of it.
    Ended(Box<Ended>),
}

/// What has become of a command at an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// In a word.
    pub outcome: Outcome,
    /// In the instance's words.
    pub detail: Option<Box<str>>,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

impl Commands {
    /// The command of this id.
    pub fn find(&self, id: CommandId) -> Option<&Command> {
        self.all.get(self.by_id.get(&id)?)
    }

    /// The command of this key.
    pub fn find_key(&self, key: &str) -> Option<&Command> {
        self.all.get(self.by_key.get(key)?)
    }

    /// The command at this place.
    pub fn get(&self, number: Number) -> Option<&Command> {
        self.all.get(&number)
    }

    /// The place of a command.
    pub fn number(&self, id: CommandId) -> Option<Number> {
        self.by_id.get(&id).copied()
    }

    /// All commands, the newest last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Number, &Command)> {
        self.all.iter().map(|(number, command)| (*number, command))
    }

    /// Those before a place, the newest first.
    pub fn before(&self, number: Number) -> impl Iterator<Item = (Number, &Command)> {
        self.all.range(..number).rev().map(|(number, command)| (*number, command))
    }

    /// Those that are not finished, the newest last.
    pub fn running(&self) -> impl Iterator<Item = (Number, &Command)> {
        self.running.iter().filter_map(|number| Some((*number, self.all.get(number)?)))
    }

    /// What an instance is to do by now and has not said anything about, in order.
    pub fn open_of(&self, instance: &InstanceName) -> impl Iterator<Item = Number> {
        self.open.get(instance).into_iter().flatten().copied()
    }

    /// Whether an instance is to do this by now and has not said anything about it.
    pub fn is_open(&self, instance: &InstanceName, number: Number) -> bool {
        self.open.get(instance).is_some_and(|open| open.contains(&number))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many instances all commands are for, each counted for each.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// What their orders take, in bytes, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether one more command for so many instances, of so many bytes, has room.
    pub fn has_room(&self, instances: usize, bytes: usize) -> bool {
        self.all.len() < COMMANDS_MAX
            && self.records + instances <= RECORDS_MAX
            && self.bytes + bytes <= BYTES_MAX
    }

    pub(super) fn fold(&mut self, event: Event, roster: &Roster, news: &mut News) {
        match event {
            Event::Accepted { command } => self.accept(*command, roster, news),
            Event::Released { command, batch, instances, at } => {
                self.release(command, batch, instances, at, news);
            }
            Event::Outcome { command, instance, outcome, detail, at } => {
                let Some(number) = self.number(command) else { return };
                self.end(number, &instance, Ended { outcome, detail, at }, news);
                self.finish(number, at, news);
            }
            Event::Expired { command, at } => self.expire(command, roster, at, news),
            Event::Cancelled { command, why, at } => self.cancel(command, why, at, news),
            Event::DroppedCommands { ids } => ids.into_iter().for_each(|id| self.forget(id)),
            _ => {}
        }
    }

    fn accept(&mut self, order: Order, roster: &Roster, news: &mut News) {
        let is_known = self.by_id.contains_key(&order.id)
            || order.key.as_ref().is_some_and(|key| self.by_key.contains_key(key));
        let Ok(pattern) = order.target.parse() else { return };
        if is_known {
            return;
        }
        let target = Target { pattern, labels: order.labels.clone() };
        let meant = roster.iter().filter(|(name, there)| target.matches(name, &there.labels));
        let is_for_all = order.rollout.pace == Pace::All;
        let standing = if is_for_all { Standing::Open } else { Standing::Waiting };
        let place =
            |name: &InstanceName| Place { instance: name.clone(), standing: standing.clone() };
        let places: Vec<_> = meant.map(|(name, _)| place(name)).collect();
        let bytes = order_bytes(&order);
        if !self.has_room(places.len(), bytes) {
            return;
        }
        let (id, at) = (order.id, order.at);
        let (name, expected) = (order.name.clone(), places.len());
        news.add(FleetEvent::CommandAccepted {
            id,
            name,
            target: order.target.clone(),
            expected,
            at,
        });
        let number = Number(self.last.0 + 1);
        self.put(number, Command::new(order, places, bytes));
        self.finish(number, at, news);
    }

    /// Takes in a command that nothing is known of yet.
    pub(super) fn put(&mut self, number: Number, command: Command) {
        self.last = self.last.max(number);
        self.by_id.insert(command.order.id, number);
        if let Some(key) = &command.order.key {
            self.by_key.insert(key.clone(), number);
        }
        for place in command.places.iter().filter(|place| place.standing == Standing::Open) {
            self.open.entry(place.instance.clone()).or_default().insert(number);
        }
        self.records += command.places.len();
        self.bytes += command.bytes;
        self.running.insert(number);
        if command.unfinished() == 0 {
            self.running.remove(&number);
        }
        self.all.insert(number, command);
    }

    fn release(
        &mut self,
        id: CommandId,
        batch: u32,
        instances: Vec<InstanceName>,
        at: u64,
        news: &mut News,
    ) {
        let Some(number) = self.number(id) else { return };
        let Some(command) = self.all.get_mut(&number) else { return };
        if batch != command.batch + 1 {
            return;
        }
        command.batch = batch;
        let mut released = Vec::new();
        for instance in instances {
            let Some(place) = command.place_mut(&instance) else { continue };
            if place.standing == Standing::Waiting {
                place.standing = Standing::Open;
                self.open.entry(instance.clone()).or_default().insert(number);
                released.push(instance);
            }
        }
        command.last = Some((at, released.len() as u32));
        news.add(FleetEvent::CommandReleased { id, instances: released, at });
    }

    /// An instance has said what became of it; gives whether that is the first time.
    fn end(
        &mut self,
        number: Number,
        instance: &InstanceName,
        ended: Ended,
        news: &mut News,
    ) -> bool {
        let Some(command) = self.all.get_mut(&number) else { return false };
        let id = command.order.id;
        let Some(place) = command.place_mut(instance) else { return false };
        if place.standing != Standing::Open {
            return false;
        }
        let Ended { outcome, detail, at } = ended;
        // Told by who cuts it; what is longer was not written by a node.
        let detail = detail.filter(|detail| detail.len() <= DETAIL_MAX);
        let told = detail.clone();
        place.standing = Standing::Ended(Box::new(Ended { outcome, detail, at }));
        command.counts[outcome as usize] += 1;
        self.close(instance, number);
        let instance = instance.clone();
        news.add(FleetEvent::CommandOutcome { id, instance, outcome, detail: told, at });
        true
    }

    /// An instance has nothing more to say about a command.
    fn close(&mut self, instance: &InstanceName, number: Number) {
        if let Some(open) = self.open.get_mut(instance) {
            open.remove(&number);
            if open.is_empty() {
                self.open.remove(instance);
            }
        }
    }

    /// Notes that a command is finished, if it is.
    fn finish(&mut self, number: Number, at: u64, news: &mut News) {
        let Some(command) = self.all.get(&number) else { return };
        if command.unfinished() == 0 && self.running.remove(&number) {
            news.add(FleetEvent::CommandFinished {
                id: command.order.id,
                counts: command.counts().collect(),
                at,
            });
        }
    }

    fn expire(&mut self, id: CommandId, roster: &Roster, at: u64, news: &mut News) {
        let Some(number) = self.number(id) else { return };
        let Some(command) = self.all.get(&number) else { return };
        let open: Vec<_> = command.who(&Standing::Open).cloned().collect();
        self.withhold(number, at, news);
        for instance in open {
            let is_there = roster.is_present(&instance);
            let outcome = if is_there { Outcome::TimedOut } else { Outcome::Gone };
            self.end(number, &instance, Ended { outcome, detail: None, at }, news);
        }
        self.finish(number, at, news);
    }

    fn cancel(&mut self, id: CommandId, why: Option<Box<str>>, at: u64, news: &mut News) {
        let Some(number) = self.number(id) else { return };
        let Some(command) = self.all.get_mut(&number) else { return };
        if command.stopped.is_some() || command.unfinished() == 0 {
            return;
        }
        let why = why.filter(|why| why.len() <= DETAIL_MAX).unwrap_or_else(|| "cancelled".into());
        command.stopped = Some(why.clone());
        news.add(FleetEvent::CommandStopped { id, why, at });
        self.withhold(number, at, news);
        self.finish(number, at, news);
    }

    /// Who is not to do it yet never is.
    fn withhold(&mut self, number: Number, at: u64, news: &mut News) {
        let Some(command) = self.all.get_mut(&number) else { return };
        let (id, mut withheld) = (command.order.id, 0);
        for place in &mut command.places {
            if place.standing != Standing::Waiting {
                continue;
            }
            let ended = Ended { outcome: Outcome::Withheld, detail: None, at };
            place.standing = Standing::Ended(Box::new(ended));
            withheld += 1;
            let (instance, outcome) = (place.instance.clone(), Outcome::Withheld);
            news.add(FleetEvent::CommandOutcome { id, instance, outcome, detail: None, at });
        }
        command.counts[Outcome::Withheld as usize] += withheld;
    }

    /// A command is forgotten, if it is finished.
    fn forget(&mut self, id: CommandId) {
        let Some(number) = self.number(id).filter(|number| !self.running.contains(number)) else {
            return;
        };
        let Some(command) = self.all.remove(&number) else { return };
        self.by_id.remove(&id);
        if let Some(key) = &command.order.key {
            self.by_key.remove(key);
        }
        self.records -= command.places.len();
        self.bytes -= command.bytes;
    }

    pub(super) const fn last(&self) -> Number {
        self.last
    }

    pub(super) fn set_last(&mut self, last: Number) {
        self.last = self.last.max(last);
    }
}

impl Command {
    const fn new(order: Order, places: Vec<Place>, bytes: usize) -> Self {
        let counts = [0; Outcome::ALL.len()];
        Self { order, stopped: None, places, counts, batch: 0, last: None, bytes }
    }

    /// A command of which this is known.
    pub(super) fn known(
        order: Order,
        stopped: Option<Box<str>>,
        (batch, last): (u32, Option<(u64, u32)>),
        places: Vec<Place>,
    ) -> Self {
        let bytes = order_bytes(&order);
        let mut command = Self { stopped, batch, last, ..Self::new(order, places, bytes) };
        for place in &command.places {
            if let Standing::Ended(ended) = &place.standing {
                command.counts[ended.outcome as usize] += 1;
            }
        }
        command
    }

    /// All whom it is for, in the order of names.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// What its order takes, in bytes, about.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often some were released.
    pub const fn batch(&self) -> u32 {
        self.batch
    }

    /// When some were released last, in milliseconds since 1970, and how many.
    pub const fn last(&self) -> Option<(u64, u32)> {
        self.last
    }

    /// What is known of one of them.
    pub fn place(&self, instance: &InstanceName) -> Option<&Place> {
        let at = self.places.binary_search_by(|place| place.instance.cmp(instance)).ok()?;
        self.places.get(at)
    }

    /// How many outcomes there are of each kind that there is.
    pub fn counts(&self) -> impl Iterator<Item = (Outcome, u32)> {
        let counts = Outcome::ALL.into_iter().zip(self.counts);
        counts.filter(|(_, count)| *count > 0)
    }

    /// Those who have not said anything, nor need not.
    pub fn unfinished(&self) -> usize {
        self.places.len() - self.counts.iter().sum::<u32>() as usize
    }

    /// What is to be done next about its rollout, and who are next if that is more of them.
    pub fn step(&self, roster: &Roster, now: u64) -> (Step, Vec<InstanceName>) {
        if self.stopped.is_some() || self.order.rollout.pace == Pace::All {
            return (Step::Wait(None), Vec::new());
        }
        let present = |name: &&InstanceName| roster.is_present(name);
        let next = self.who(&Standing::Waiting).filter(present);
        let mut next: Vec<_> = next.take(BATCH_MAX as usize).cloned().collect();
        let failures = self.counts().filter(|(outcome, _)| outcome.is_failure());
        let progress = Progress {
            busy: self.who(&Standing::Open).filter(present).count() as u32,
            failures: failures.map(|(_, count)| count).sum(),
            waiting: next.len() as u32,
            last: self.last,
        };
        let step = self.order.rollout.step(&progress, now);
        let count = if let Step::Release(count) = step { count as usize } else { 0 };
        next.truncate(count);
        (step, next)
    }

    /// Those who are this far.
    pub fn who<'a>(&'a self, standing: &'a Standing) -> impl Iterator<Item = &'a InstanceName> {
        let there = self.places.iter().filter(move |place| place.standing == *standing);
        there.map(|place| &place.instance)
    }

    fn place_mut(&mut self, instance: &InstanceName) -> Option<&mut Place> {
        let at = self.places.binary_search_by(|place| place.instance.cmp(instance)).ok()?;
        self.places.get_mut(at)
    }
}

/// What an order takes, about: arguments are most of it.
pub fn order_bytes(order: &Order) -> usize {
    let labels = order.labels.iter().map(|(label, value)| label.len() + value.len());
    let by = order.by.as_ref().map_or(0, |by| by.len());
    let key = order.key.as_ref().map_or(0, |key| key.len());
    let args = json_bytes(&order.args);
    args + order.name.len() + order.target.len() + labels.sum::<usize>() + by + key
}

/// Commands that are known, finished or not; beyond that none is accepted.
pub const COMMANDS_MAX: usize = 10_000;

/// Instances that all known commands are for, each counted for each: 40 commands to 10,000. Each takes
/// some 100 bytes.
pub const RECORDS_MAX: usize = 400_000;

/// Bytes of all known orders.
pub const BYTES_MAX: usize = 64 << 20;

/// Bytes of what an instance says of an outcome.
pub const DETAIL_MAX: usize = 4096;
