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
        commands::{Command, Commands, Number},
    },
    name::InstanceName,
    roster::Roster,
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
    pub(crate) introduction: Introduction,
    /// Since when, in milliseconds since 1970.
    pub(crate) since: u64,
    /// What was given to it and has no outcome.
    given: Vec<CommandId>,
}

/// Who is to be given what, in the order in which it is to be given.
pub(crate) type Plan = BTreeMap<Number, Vec<ConnectionId>>;

impl Seats {
    /// A connection has come.
    pub(crate) fn add(&mut self, session: ConnectionId, introduction: Introduction, since: u64) {
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

    /// A connection has its instance's name; gives whether the connection is here. What it says of
    /// itself is shared with the roster from then on.
    pub(crate) fn seat(
        &mut self,
        name: &InstanceName,
        session: ConnectionId,
        roster: &Roster,
    ) -> bool {
        let Some(seat) = self.seats.get_mut(&session) else {
            self.current.remove(name);
            return false;
        };
        if let Some((name, there)) = roster.find(name)
            && there.session == session
        {
            let (instance, labels) = (name.clone(), Arc::clone(&there.labels));
            seat.introduction = Introduction { instance, labels, version: there.version.clone() };
        }
        self.current.insert(seat.introduction.instance.clone(), session);
        true
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
        let known = seat.given.iter().filter_map(|id| commands.find(*id));
        let mut bytes: usize = known.map(Command::bytes).sum();
        for number in commands.open_of(name) {
            let Some(command) = commands.get(number) else { continue };
            let order = &command.order;
            if order.deadline <= now || seat.given.contains(&order.id) {
                continue;
            }
            bytes += command.bytes();
            let is_full = seat.given.len() >= GIVEN_MAX || bytes > GIVEN_BYTES_MAX;
            if is_full && !seat.given.is_empty() {
                return;
            }
            seat.given.push(order.id);
            plan.entry(number).or_default().push(*session);
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

/// Bytes of them, but for a single one that is larger: half of what may wait for one client by default.
const GIVEN_BYTES_MAX: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use everwire_backplane::Version;
    use serde_json::{Value, json};

    use super::*;
    use crate::book::Fold;

    const SESSION: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "BAAAAAAAAAAAAAAAAAAAAA";

    fn name() -> InstanceName {
        "shop:0:a".parse().unwrap()
    }

    fn session(text: &str) -> ConnectionId {
        text.parse().unwrap()
    }

    fn introduction() -> Introduction {
        Introduction { instance: name(), labels: Arc::default(), version: None }
    }

    fn id(number: u64) -> CommandId {
        format!("{number:020x}").parse().unwrap()
    }

    fn fold(ledger: &mut Ledger, event: &Value) {
        let entry = json!({"v": 1, "events": [event]}).to_string();
        ledger.apply(Version(1), entry.as_bytes());
    }

    /// A ledger in which so many commands are open for the instance.
    fn ledger(commands: u64) -> Ledger {
        ledger_with(commands, &Value::Null)
    }

    fn ledger_with(commands: u64, args: &Value) -> Ledger {
        let mut ledger = Ledger::new();
        fold(
            &mut ledger,
            &json!({"type": "joined", "instance": name(), "session": SESSION,
            "node": "AAAAAAAAAAAAAAAA", "incarnation": 1, "at": 1}),
        );
        for number in 0..commands {
            let order = json!({"id": id(number), "target": "shop", "name": "x", "at": 1, "args": args,
                "deadline": 100 + number});
            fold(&mut ledger, &json!({"type": "accepted", "command": order}));
        }
        ledger
    }

    fn given(seats: &mut Seats, ledger: &Ledger, now: u64) -> Vec<u64> {
        let mut plan = Plan::new();
        seats.plan(&name(), ledger, now, &mut plan);
        plan.into_keys().map(|Number(number)| number).collect()
    }

    #[test]
    fn commands_are_given_once_in_order_and_not_more_than_may_be_at_a_time() {
        let mut ledger = ledger(GIVEN_MAX as u64 + 3);
        let mut seats = Seats::default();
        assert!(given(&mut seats, &ledger, 0).is_empty(), "it is not here");
        seats.add(session(SESSION), introduction(), 1);
        assert!(given(&mut seats, &ledger, 0).is_empty(), "it has not got its name");
        assert!(seats.seat(&name(), session(SESSION), ledger.roster()));
        let first: Vec<_> = (1..=GIVEN_MAX as u64).collect();
        assert_eq!(given(&mut seats, &ledger, 0), first);
        assert!(given(&mut seats, &ledger, 0).is_empty());
        fold(
            &mut ledger,
            &json!({"type": "outcome", "command": id(4), "instance": name(),
            "outcome": "done", "at": 2}),
        );
        assert_eq!(given(&mut seats, &ledger, 0), [GIVEN_MAX as u64 + 1]);
        seats.take_back(session(SESSION), id(6));
        assert_eq!(given(&mut seats, &ledger, 0), [7], "it was perhaps not given");
    }

    #[test]
    fn large_commands_are_given_a_few_at_a_time_and_a_huge_one_alone() {
        for (size, wanted) in [(GIVEN_BYTES_MAX / 3, vec![1, 2]), (GIVEN_BYTES_MAX, vec![1])] {
            let mut ledger = ledger_with(4, &json!("x".repeat(size)));
            let mut seats = Seats::default();
            seats.add(session(SESSION), introduction(), 1);
            seats.seat(&name(), session(SESSION), ledger.roster());
            assert_eq!(given(&mut seats, &ledger, 0), wanted);
            assert!(given(&mut seats, &ledger, 0).is_empty());
            fold(
                &mut ledger,
                &json!({"type": "outcome", "command": id(0), "instance": name(),
                "outcome": "done", "at": 2}),
            );
            assert_eq!(given(&mut seats, &ledger, 0), [wanted.len() as u64 + 1]);
        }
    }

    #[test]
    fn what_is_over_is_not_given() {
        let ledger = ledger(5);
        let mut seats = Seats::default();
        seats.add(session(SESSION), introduction(), 1);
        seats.seat(&name(), session(SESSION), ledger.roster());
        assert_eq!(given(&mut seats, &ledger, 102), [4, 5]);
    }

    #[test]
    fn another_connection_with_the_name_is_given_everything_anew() {
        let ledger = ledger(2);
        let mut seats = Seats::default();
        for session in [SESSION, OTHER].map(session) {
            seats.add(session, introduction(), 1);
            seats.seat(&name(), session, ledger.roster());
            assert_eq!(given(&mut seats, &ledger, 0), [1, 2]);
        }
        assert!(seats.remove(session(SESSION)).is_some(), "the older one goes");
        let plan_of = |seats: &mut Seats| {
            let ended = json!({"type": "cancelled", "command": id(0), "at": 1});
            let mut other = ledger_with(3, &Value::Null);
            fold(&mut other, &ended);
            given(seats, &other, 0)
        };
        assert_eq!(plan_of(&mut seats), [3], "the newer one keeps the name");
        assert_eq!(seats.unseat(&name()), Some(session(OTHER)));
        assert!(!seats.seat(&name(), session(SESSION), ledger.roster()), "it is not here any more");
        assert!(plan_of(&mut seats).is_empty());
    }

    #[test]
    fn one_that_has_nothing_to_do_takes_little() {
        assert!(
            size_of::<(ConnectionId, Seat)>() + size_of::<(InstanceName, ConnectionId)>() <= 160
        );
    }
}
