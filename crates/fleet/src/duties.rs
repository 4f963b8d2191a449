//! What one node does for all: ends what is over, lets rollouts go on, forgets what is old. Pure.
//!
//! That node is the one with the lowest name of those that are alive. That two take themselves for it
//! does no harm: what is said twice counts once.

use std::{collections::BTreeSet, time::Duration};

use everwire_backplane::Member;

use crate::{
    entry::{Event, Text},
    ledger::{
        Ledger,
        commands::{BYTES_MAX, COMMANDS_MAX, Command, RECORDS_MAX},
    },
    rollout::Step,
};

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// An instance that is away.
    pub(crate) instances: Duration,
    /// So many commands.
    pub(crate) commands: usize,
    /// Each no longer than this.
    pub(crate) commands_age: Duration,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Duties {
    /// What is to be said.
    pub(crate) events: Vec<Event>,
    /// When there may be more to do, in milliseconds since 1970, whatever happens until then.
    pub(crate) next: Option<u64>,
}

impl Duties {
    /// What is to be done about commands.
    pub(crate) fn of_commands(ledger: &Ledger, now: u64) -> Self {
        let mut duties = Self::default();
        for (_, command) in ledger.commands().running() {
            if duties.events.len() >= EVENTS_MAX {
                break;
            }
            let id = command.order.id;
            if command.order.deadline <= now {
                duties.events.push(Event::Expired { command: id, at: now });
                continue;
            }
            duties.not_later_than(command.order.deadline);
            match command.step(ledger.roster(), now) {
                (Step::Release(_), instances) => {
                    let batch = command.batch() + 1;
                    duties.events.push(Event::Released { command: id, batch, instances, at: now });
                }
                (Step::Stop, _) => {
                    let why = Some("as many instances as may fail have failed".into());
                    duties.events.push(Event::Cancelled { command: id, why, at: now });
                }
                (Step::Wait(Some(at)), _) => duties.not_later_than(at),
                (Step::Wait(None), _) => {}
            }
        }
        duties
    }

    /// What is to be forgotten.
    pub(crate) fn of_age(ledger: &Ledger, now: u64, keep: &Keep) -> Vec<Event> {
        let is_old =
            |since: u64, age: Duration| u128::from(now.saturating_sub(since)) > age.as_millis();
        let mut events = Vec::new();
        let away = ledger
            .roster()
            .iter()
            .filter(|(_, there)| there.away.is_some_and(|since| is_old(since, keep.instances)));
        let instances: Vec<_> = away.map(|(name, _)| name.clone()).take(NAMES_MAX).collect();
        if !instances.is_empty() {
            events.push(Event::Forgot { instances });
        }
        let commands = ledger.commands();
        let mut spare = Spare {
            commands: commands.len().saturating_sub(keep.commands.min(COMMANDS_KEPT)),
            records: commands.records().saturating_sub(RECORDS_KEPT),
            bytes: commands.bytes().saturating_sub(BYTES_KEPT),
        };
        let mut ids = Vec::new();
        for (_, command) in commands.iter() {
            let is_spare = spare.is_some() || is_old(command.order.at, keep.commands_age);
            if !is_spare || ids.len() >= NAMES_MAX {
                break;
            }
            if command.unfinished() == 0 {
                spare.less(command);
                ids.push(command.order.id);
            }
        }
        if !ids.is_empty() {
            events.push(Event::DroppedCommands { ids });
        }
        events
    }

    /// That nodes have ended whose connections are known and who are not alive.
    pub(crate) fn of_nodes(gone: &BTreeSet<Member>, now: u64) -> Vec<Event> {
        let gone = gone.iter().map(|member| Event::NodeGone {
            node: Text(member.node),
            incarnation: member.incarnation.0,
            at: now,
        });
        gone.collect()
    }

    fn not_later_than(&mut self, at: u64) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Nodes in those of their lives in which instances are connected to them.
pub(crate) fn nodes(ledger: &Ledger) -> BTreeSet<Member> {
    let present = ledger.roster().iter().filter(|(_, there)| there.away.is_none());
    present.map(|(_, there)| there.member()).collect()
}

/// What is more than is kept.
struct Spare {
    commands: usize,
    records: usize,
    bytes: usize,
}

impl Spare {
    const fn is_some(&self) -> bool {
        self.commands > 0 || self.records > 0 || self.bytes > 0
    }

    fn less(&mut self, command: &Command) {
        self.commands = self.commands.saturating_sub(1);
        self.records = self.records.saturating_sub(command.places().len());
        self.bytes = self.bytes.saturating_sub(command.bytes());
    }
}

/// Events of one pass; the next one says more.
const EVENTS_MAX: usize = 256;

/// Names in one event.
const NAMES_MAX: usize = 1000;

/// What of the limits is kept free for new commands.
const COMMANDS_KEPT: usize = COMMANDS_MAX / 2;
const RECORDS_KEPT: usize = RECORDS_MAX / 4 * 3;
const BYTES_KEPT: usize = BYTES_MAX / 4 * 3;

#[cfg(test)]
mod tests {
    use everwire_backplane::{Incarnation, Version};
    use serde_json::{Value, json};

    use super::*;
    use crate::{book::Fold, command::CommandId};

    const NODE: &str = "AAAAAAAAAAAAAAAA";
    const SESSION: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    fn ledger(events: &[Value]) -> Ledger {
        let mut ledger = Ledger::new();
        let entry = json!({"v": 1, "events": events}).to_string();
        ledger.apply(Version(1), entry.as_bytes());
        ledger
    }

    fn id(number: usize) -> CommandId {
        format!("{number:020x}").parse().unwrap()
    }

    fn joined(number: usize) -> Value {
        json!({"type": "joined", "instance": format!("shop:0:{number}"), "session": SESSION,
            "node": NODE, "incarnation": 1, "at": 1})
    }

    #[expect(clippy::needless_pass_by_value, reason = "a test says what it means")]
    fn accepted(number: usize, target: &str, rollout: Value) -> Value {
        let order = json!({"id": id(number), "target": target, "name": "x", "at": 1000,
            "deadline": 9000, "rollout": rollout});
        json!({"type": "accepted", "command": order})
    }

    const KEEP: Keep = Keep {
        instances: Duration::from_secs(60),
        commands: 3,
        commands_age: Duration::from_secs(3600),
    };

    #[test]
    fn what_is_over_is_ended_and_what_is_not_says_when() {
        let known = ledger(&[joined(0), accepted(1, "shop", json!({"all": true}))]);
        let duties = Duties::of_commands(&known, 5000);
        assert!(duties.events.is_empty());
        assert_eq!(duties.next, Some(9000));
        let duties = Duties::of_commands(&known, 9000);
        assert_eq!(duties.events, [Event::Expired { command: id(1), at: 9000 }]);
        let finished = ledger(&[accepted(1, "shop", json!({"all": true}))]);
        assert!(Duties::of_commands(&finished, 9000).events.is_empty(), "it is for nobody");
    }

    #[test]
    fn a_rollout_goes_on_or_stops() {
        let rollout = json!({"per_second": 1, "stop_after": 1});
        let mut events = vec![joined(0), joined(1), accepted(1, "shop", rollout)];
        let first = Duties::of_commands(&ledger(&events), 1000);
        let [Event::Released { batch: 1, instances, .. }] = &first.events[..] else {
            panic!("not released: {first:?}");
        };
        assert_eq!(instances[0].as_str(), "shop:0:0");
        events.push(serde_json::to_value(&first.events[0]).unwrap());
        assert_eq!(Duties::of_commands(&ledger(&events), 1500).next, Some(2000));
        events.push(json!({"type": "outcome", "command": id(1), "instance": "shop:0:0",
            "outcome": "failed", "at": 2}));
        let last = Duties::of_commands(&ledger(&events), 2000).events;
        assert!(matches!(last[..], [Event::Cancelled { .. }]), "{last:?}");
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten_but_for_what_is_not_finished() {
        let lost = json!({"type": "left", "instance": "shop:0:1", "session": SESSION, "why": "lost",
            "at": 1000});
        let mut events = vec![joined(0), joined(1), lost];
        events.push(accepted(0, "shop", json!({"all": true})));
        events.extend((1..6).map(|number| accepted(number, "nobody", json!({"all": true}))));
        let known = ledger(&events);
        let forgotten = Duties::of_age(&known, 61_000, &KEEP);
        let dropped = Event::DroppedCommands { ids: vec![id(1), id(2), id(3)] };
        assert_eq!(forgotten, [dropped], "it is away for no longer than a minute");
        let forgotten = Duties::of_age(&known, 61_001, &KEEP);
        assert_eq!(forgotten[0], Event::Forgot { instances: vec!["shop:0:1".parse().unwrap()] });
        let old = Duties::of_age(&known, 4_000_000, &Keep { commands: 100, ..KEEP });
        let all = Event::DroppedCommands { ids: (1..6).map(id).collect() };
        assert_eq!(old[1], all);
    }

    #[test]
    fn no_more_is_said_at_once_than_may_be() {
        let many = (0..=EVENTS_MAX).map(|number| accepted(number, "shop", json!({"all": true})));
        let known: Vec<_> = std::iter::once(joined(0)).chain(many).collect();
        assert_eq!(Duties::of_commands(&ledger(&known), 9000).events.len(), EVENTS_MAX);
        let many = (0..=NAMES_MAX).map(|number| accepted(number, "nobody", json!({"all": true})));
        let known = ledger(&many.collect::<Vec<_>>());
        let dropped = Duties::of_age(&known, 1000, &Keep { commands: 0, ..KEEP });
        let [Event::DroppedCommands { ids }] = &dropped[..] else { panic!("not dropped") };
        assert_eq!(ids.len(), NAMES_MAX);
    }

    #[test]
    fn nodes_are_those_where_somebody_is_connected() {
        let member = Member { node: NODE.parse().unwrap(), incarnation: Incarnation(1) };
        let known = ledger(&[joined(0)]);
        assert_eq!(nodes(&known), [member].into());
        let gone = Duties::of_nodes(&nodes(&known), 5);
        let after = ledger(&[joined(0), serde_json::to_value(&gone[0]).unwrap()]);
        assert!(nodes(&after).is_empty());
    }
}
