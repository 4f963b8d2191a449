//! The task of a node that does something about what the fleet knows: it gives names and commands to
//! the connections here, writes down their answers, and does for all what one node does.

mod asking;
mod leading;

use std::sync::Arc;

use everwire_backplane::{Item, Start};
use everwire_hub::{ConnectionId, Hub};
use serde::Serialize;
use tokio::time::sleep;

use self::{asking::Asked, leading::Lead};
use crate::{
    answer::Meaning,
    command::CommandId,
    duties::Keep,
    entry::{Event, Text, Why},
    events::FleetEvent,
    hub::{Notice, SetNotice, notices},
    ledger::{Ledger, news::News},
    name::InstanceName,
    node::Node,
    seats::Plan,
};

/// The task's own.
pub(crate) struct Steward {
    node: Arc<Node>,
    hub: Hub,
    asked: Asked,
    lead: Lead,
    plan: Plan,
}

/// What an instance is told that has its name.
#[derive(Serialize)]
struct Welcome<'a> {
    cluster: &'a str,
    instance: &'a InstanceName,
    epoch: String,
}

impl Steward {
    pub(crate) fn new(node: Arc<Node>, hub: Hub, keep: Keep) -> Self {
        let (asked, lead) = (Asked::default(), Lead::new(keep));
        Self { node, hub, asked, lead, plan: Plan::new() }
    }

    /// Works for as long as it is polled and the node lives.
    pub(crate) async fn run(mut self) {
        let mut changes = self.node.ledger.changes();
        let mut members = self.node.books.bus().members();
        let Ok(channel) = notices() else { return };
        let mut notices = self.node.books.bus().subscribe(&channel, Start::Now);
        loop {
            changes.borrow_and_update();
            self.act();
            let pause = self.lead.begin(&self.node);
            tokio::select! {
                // What is said first counts first; none of these is ready for ever.
                biased;
                changed = changes.changed() => if changed.is_err() { return },
                answers = self.asked.answers() => self.heard(answers),
                change = members.next() => match change {
                    Some(change) => self.lead.changed(change),
                    None => return,
                },
                item = notices.next() => match item {
                    Some(item) => self.noticed(item),
                    None => return,
                },
                () = self.lead.done() => {}
                () = self.node.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Does what is to be done about what is new.
    fn act(&mut self) {
        let cursor = self.node.ledger.cursor();
        let News { is_everything, events, .. } = self.node.ledger.take(Ledger::take_news);
        if cursor.epoch == 0 {
            return;
        }
        if is_everything || self.node.facts.take_lost() {
            self.look_at_everything();
            self.node.feed.begin_anew(cursor);
        }
        for (_, event) in &events {
            self.happened(event);
        }
        self.give();
        if !events.is_empty() {
            self.node.feed.tell_all(cursor.epoch, events);
        }
    }

    fn happened(&mut self, event: &FleetEvent) {
        match event {
            FleetEvent::InstanceJoined { instance, session, replaced, .. } => {
                self.joined(instance, session.0);
                if let Some((replaced, node)) = replaced
                    && *node == self.node.member().node
                {
                    self.dismiss(*replaced, instance, TAKEN_OVER);
                }
            }
            FleetEvent::JoinRefused { instance, session, is_full, .. } => {
                let why = if *is_full { FULL } else { TAKEN_OVER };
                self.dismiss(session.0, instance, why);
            }
            FleetEvent::InstanceAway { instance, .. } => self.given_up(instance),
            FleetEvent::InstanceLeft { instance, .. }
            | FleetEvent::InstanceForgotten { instance } => {
                self.node.seats().unseat(instance);
            }
            FleetEvent::CommandAccepted { id, .. } => self.plan_for_all(*id),
            FleetEvent::CommandReleased { instances, .. } => {
                instances.iter().for_each(|instance| self.plan_for(instance));
            }
            FleetEvent::CommandOutcome { instance, .. } => self.plan_for(instance),
            _ => {}
        }
    }

    /// An instance has its name, here or elsewhere.
    fn joined(&mut self, instance: &InstanceName, session: ConnectionId) {
        let mut seats = self.node.seats();
        if !self.node.ledger.read(|ledger| seats.seat(instance, session, ledger.roster())) {
            return;
        }
        drop(seats);
        let epoch = format!("{:x}", self.node.ledger.cursor().epoch);
        let cluster = self.node.ledger.read(|ledger| ledger.cluster().map(str::to_owned));
        let cluster = cluster.unwrap_or_default();
        let welcome = Welcome { cluster: &cluster, instance, epoch };
        // One that is gone is not welcomed, and one that takes nothing ends by its queue.
        if let Err(error) = self.hub.connection(session).send("Welcome", &(welcome,)) {
            tracing::debug!(%instance, %error, "was not welcomed");
        }
        self.plan_for(instance);
    }

    /// An instance is taken for away. If its connection is here, it is not.
    fn given_up(&self, instance: &InstanceName) {
        let mut seats = self.node.seats();
        let Some(session) = seats.unseat(instance) else { return };
        let there = seats.get(session).map(|seat| (seat.introduction.clone(), seat.since));
        drop(seats);
        if let Some((introduction, since)) = there {
            self.node.come_again(session, &introduction, since);
        }
    }

    /// Says of all connections here what is not known of them, and of those that were here that they
    /// are not.
    fn look_at_everything(&mut self) {
        let me = self.node.member();
        let (mut seats, now) = (self.node.seats(), self.node.clock.now());
        seats.unseat_all();
        let all: Vec<_> =
            seats.iter().map(|(id, seat)| (id, seat.introduction.clone(), seat.since)).collect();
        self.node.ledger.read(|ledger| {
            if ledger.cluster().is_none() {
                let cluster = format!("{:032x}", rand::random::<u128>()).into();
                self.node.facts.add(&Event::Founded { cluster });
            }
            for (session, introduction, since) in all {
                let there = ledger.roster().get(&introduction.instance);
                let is_known = there.is_some_and(|there| {
                    there.session == session && there.away.is_none() && there.member() == me
                });
                match is_known {
                    true => {
                        seats.seat(&introduction.instance, session, ledger.roster());
                        seats.plan(&introduction.instance, ledger, now, &mut self.plan);
                    }
                    false => self.node.come_again(session, &introduction, since),
                }
            }
            for (name, there) in ledger.roster().iter() {
                if there.node == me.node
                    && there.away.is_none()
                    && seats.get(there.session).is_none()
                {
                    let (instance, session) = (name.clone(), Text(there.session));
                    self.node.facts.add(&Event::Left {
                        instance,
                        session,
                        why: Why::Lost,
                        at: now,
                    });
                }
            }
        });
    }

    /// Plans what an instance is to do now.
    fn plan_for(&mut self, instance: &InstanceName) {
        let now = self.node.clock.now();
        let plan = &mut self.plan;
        let mut seats = self.node.seats();
        self.node.ledger.read(|ledger| seats.plan(instance, ledger, now, plan));
    }

    /// Plans for all here that a command is for.
    fn plan_for_all(&mut self, id: CommandId) {
        let now = self.node.clock.now();
        let plan = &mut self.plan;
        let mut seats = self.node.seats();
        self.node.ledger.read(|ledger| {
            let Some(command) = ledger.commands().find(id) else { return };
            for place in command.places() {
                seats.plan(&place.instance, ledger, now, plan);
            }
        });
    }

    /// Gives what is planned.
    fn give(&mut self) {
        for (number, sessions) in std::mem::take(&mut self.plan) {
            let order = self.node.ledger.read(|ledger| {
                let command = ledger.commands().get(number)?;
                Some((command.order.clone(), ledger.cluster().unwrap_or_default().to_owned()))
            });
            let Some((order, cluster)) = order else { continue };
            if let Err(error) =
                self.asked.ask(&self.hub, &order, &cluster, &sessions, &self.node.clock)
            {
                tracing::warn!(command = %order.id, %error, "was not given to all; it is tried again");
                self.take_back(order.id, &sessions);
            }
        }
    }

    /// A command was perhaps not given: it is, a little later.
    fn take_back(&mut self, command: CommandId, sessions: &[ConnectionId]) {
        let mut seats = self.node.seats();
        for session in sessions {
            seats.take_back(*session, command);
            if let Some(seat) = seats.get(*session) {
                self.asked.again_later(seat.introduction.instance.clone());
            }
        }
    }

    /// Instances have answered.
    fn heard(&mut self, answers: Vec<(CommandId, ConnectionId, Meaning)>) {
        for (command, session, meaning) in answers {
            let seats = self.node.seats();
            let Some(seat) = seats.get(session) else { continue };
            let instance = seat.introduction.instance.clone();
            drop(seats);
            match meaning {
                Meaning::Said(outcome, detail) => {
                    let at = self.node.clock.now();
                    self.node.facts.add(&Event::Outcome { command, instance, outcome, detail, at });
                }
                Meaning::Later => {}
                Meaning::NotAsked => self.take_back(command, &[session]),
            }
        }
        for instance in self.asked.due() {
            self.plan_for(&instance);
        }
    }

    fn noticed(&self, item: Item) {
        let Item::Message(message) = item else { return };
        if let Ok(notice) = serde_json::from_slice::<Notice>(&message.payload) {
            self.node.feed.tell(notice.into());
        } else if let Ok(change) = serde_json::from_slice::<SetNotice>(&message.payload) {
            self.node.feed.tell(change.into());
        }
    }

    /// Ends a connection and says why; its client does not come back by itself.
    fn dismiss(&self, session: ConnectionId, instance: &InstanceName, why: &str) {
        let error = format!("{instance} {why}");
        if let Err(error) = self.hub.connections([session]).end(Some(&error)) {
            tracing::warn!(%instance, %error, "its old connection was not ended");
        }
    }
}

/// What a client is told whose instance has another connection.
const TAKEN_OVER: &str =
    "was taken over by a newer connection. If both are meant to run, give each an id of its own.";

/// What a client is told when there are too many instances.
const FULL: &str = "was not let in: the fleet has as many instances as it may have.";
