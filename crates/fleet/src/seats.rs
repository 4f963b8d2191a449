//! The connections of instances at one node, and which commands to give to which. Pure.
//!
//! A connection has its seat when it has come, and its instance's name when the ledger says so. To each
//! instance commands are given in the order in which they were accepted, and no more than some at a
//! time, until the ledger knows what became of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use everwire_hub::ConnectionId;

use crate::{
    command::CommandId,
    introduction::Introduction,
    ledger::{
        Ledger,
        commands::{Commands, Number},
    },
    name::InstanceName,
};

/// The connections of instances at one node.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    seats: HashMap<ConnectionId, Seat>,
    /// Whose name is at which of them.
    current: HashMap<InstanceName, ConnectionId>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What its instance says of itself.
    pub(crate) introduction: Arc<Introduction>,
    /// Since when, in milliseconds since 1970.
    pub(crate) since: u64,
    /// What was given to it and has no outcome.
    given: Vec<CommandId>,
}

/// Who is to be given what, in the order in which it is to be given.
pub(crate) type Plan = BTreeMap<Number, Vec<ConnectionId>>;

impl Seats {
    /// A connection has come.
    pub(crate) fn add(
        &mut self,
        session: ConnectionId,
        introduction: Arc<Introduction>,
        since: u64,
    ) {
        self.seats.insert(session, Seat { introduction, since, given: Vec::new() });
    }

    /// A connection has gone; gives what was there.
    pub(crate) fn remove(&mut self, session: ConnectionId) -> Option<Seat> {
        let seat = self.seats.remove(&session)?;
        let name = &seat.introduction.instance;
        if self.current.get(name) == Some(&session) {
            self.current.remove(name);
        }
        Some(seat)
    }

    /// A connection of this node.
    pub(crate) fn get(&self, session: ConnectionId) -> Option<&Seat> {
        self.seats.get(&session)
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &Seat)> {
        self.seats.iter().map(|(session, seat)| (*session, seat))
    }

    /// A connection has its instance's name; gives whether the connection is here.
    pub(crate) fn seat(&mut self, name: &InstanceName, session: ConnectionId) -> bool {
        let is_here = self.seats.contains_key(&session);
        match is_here {
            true => drop(self.current.insert(name.clone(), session)),
            false => drop(self.current.remove(name)),
        }
        is_here
    }

    /// No connection here has this name; gives the one that had it.
    pub(crate) fn unseat(&mut self, name: &InstanceName) -> Option<ConnectionId> {
        self.current.remove(name)
    }

    /// No connection here has a name.
    pub(crate) fn unseat_all(&mut self) {
        self.current.clear();
    }

    /// A command that was given to a connection is to be given once more.
    pub(crate) fn take_back(&mut self, session: ConnectionId, command: CommandId) {
        if let Some(seat) = self.seats.get_mut(&session) {
            seat.given.retain(|given| *given != command);
        }
    }

    /// What is to be given to an instance now, added to a plan; it counts as given.
    pub(crate) fn plan(&mut self, name: &InstanceName, ledger: &Ledger, now: u64, plan: &mut Plan) {
        let Some(session) = self.current.get(name) else { return };
        let Some(seat) = self.seats.get_mut(session) else { return };
        let commands = ledger.commands();
        seat.settle(name, commands);
        for number in commands.open_of(name) {
            if seat.given.len() >= GIVEN_MAX {
                return;
            }
            let Some(order) = commands.get(number).map(|command| &command.order) else { continue };
            if order.deadline > now && !seat.given.contains(&order.id) {
                seat.given.push(order.id);
                plan.entry(number).or_default().push(*session);
            }
        }
    }
}

impl Seat {
    /// What has an outcome needs none any more.
    fn settle(&mut self, name: &InstanceName, commands: &Commands) {
        let is_open =
            |id: &CommandId| commands.number(*id).is_some_and(|at| commands.is_open(name, at));
        self.given.retain(is_open);
        if self.given.is_empty() {
            // Most have nothing to do most of the time.
            self.given = Vec::new();
        }
    }
}

/// Commands that were given to one instance and have no outcome: enough that none waits for a round
/// trip, few enough for a slow one.
pub(crate) const GIVEN_MAX: usize = 16;
