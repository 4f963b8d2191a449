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
        self.bytes =
            self.bytes.saturating_sub(crate::ledger::commands::order_bytes(&command.order));
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
