//! What a fleet tells of its instances and commands, as JSON says it too.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use serde::Serialize;
use serde_json::Value;

use crate::{
    command::{CommandId, Outcome},
    ledger::commands::{Command, Commands, Number, Standing},
    name::InstanceName,
    rollout::Rollout,
    roster::{Instance, Labels, Roster},
    target::Target,
};

/// An instance. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstanceState {
    /// Its name.
    pub name: InstanceName,
    /// What it runs.
    pub app: Box<str>,
    /// Which of the copies it is.
    pub index: Box<str>,
    /// Which of those that were this copy.
    pub id: Box<str>,
    /// What it says of itself.
    pub labels: Labels,
    /// Which version of the application it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// Whether it is there.
    pub state: Presence,
    /// Where it is connected, or was last.
    pub node: String,
    /// Since when it is there, or away.
    pub since: u64,
    /// When it was there last.
    pub last_seen: u64,
}

/// Whether an instance is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is.
    Present,
    /// It was, and may come back.
    Away,
}

/// Some instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstancePage {
    /// In the order of their names.
    pub items: Vec<InstanceState>,
    /// How many there are on all pages.
    pub total: usize,
    /// Behind which the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<InstanceName>,
}

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Somebody has not said what became of it.
    Running,
    /// Everybody has an outcome.
    Finished,
    /// It was stopped: nobody else is to do it.
    Stopped,
}

/// A command in short. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandSummary {
    /// Its id.
    pub id: CommandId,
    /// What is to be done.
    pub name: Box<str>,
    /// By whom.
    pub target: Box<str>,
    /// Labels that they have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// How far it is.
    pub state: Progress,
    /// Why it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Box<str>>,
    /// How many instances it is for.
    pub expected: usize,
    /// How many of them have which outcome; under `open`, how many have none.
    pub counts: BTreeMap<&'static str, u32>,
    /// When it was accepted.
    pub at: u64,
    /// Until when it is worth doing.
    pub deadline: u64,
    /// How many do it at once.
    pub rollout: Rollout,
    /// What its sender knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// Who wanted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
}

/// A command, and what became of it at each instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandState {
    /// In short.
    #[serde(flatten)]
    pub summary: CommandSummary,
    /// With what it is to be done.
    pub args: Value,
    /// Who has not said anything, in the order of names.
    pub missing: Vec<Missing>,
    /// What became of it, in the order of names.
    pub outcomes: Vec<Said>,
}

/// An instance that has not said what became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Who.
    pub instance: InstanceName,
    /// Whether it is there.
    pub present: bool,
    /// Whether it is to do it by now; otherwise the rollout has not come to it.
    pub released: bool,
}

/// What became of a command at an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Where.
    pub instance: InstanceName,
    /// What.
    pub outcome: Outcome,
    /// In the instance's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
    /// When it was said.
    pub at: u64,
}

/// Some commands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CommandPage {
    /// The newest first.
    pub items: Vec<CommandSummary>,
    /// How many there are on all pages.
    pub total: usize,
    /// Behind which the next page begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<CommandId>,
}

impl InstanceState {
    pub(super) fn of(name: &InstanceName, there: &Instance, now: u64) -> Self {
        let [app, index, id] = name.parts().map(Box::from);
        Self {
            name: name.clone(),
            app,
            index,
            id,
            labels: Arc::clone(&there.labels),
            version: there.version.clone(),
            state: if there.away.is_none() { Presence::Present } else { Presence::Away },
            node: there.node.to_string(),
            since: there.away.unwrap_or(there.joined),
            last_seen: there.away.unwrap_or(now),
        }
    }
}

impl InstancePage {
    pub(super) fn of(
        roster: &Roster,
        target: &Target,
        after: Option<&InstanceName>,
        limit: usize,
        now: u64,
    ) -> Self {
        let limit = limit.min(PAGE_MAX);
        let is_meant =
            |(name, there): &(&InstanceName, &Instance)| target.matches(name, &there.labels);
        let total = roster.iter().filter(is_meant).count();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = roster.range(from).filter(is_meant);
        let items: Vec<_> = behind
            .by_ref()
            .take(limit)
            .map(|(name, there)| InstanceState::of(name, there, now))
            .collect();
        let has_more = behind.next().is_some();
        let next = items.last().filter(|_| has_more).map(|last| last.name.clone());
        Self { items, total, next }
    }
}

impl CommandSummary {
    fn of(command: &Command) -> Self {
        let order = &command.order;
        let open = command.unfinished();
        let mut counts: BTreeMap<_, _> =
            command.counts().map(|(outcome, count)| (outcome.as_str(), count)).collect();
        if open > 0 {
            counts.insert("open", open as u32);
        }
        let state = match (&command.stopped, open) {
            (Some(_), _) => Progress::Stopped,
            (None, 0) => Progress::Finished,
            (None, _) => Progress::Running,
        };
        Self {
            id: order.id,
            name: order.name.clone(),
            target: order.target.clone(),
            labels: order.labels.clone(),
            state,
            stopped: command.stopped.clone(),
            expected: command.places().len(),
            counts,
            at: order.at,
            deadline: order.deadline,
            rollout: order.rollout,
            key: order.key.clone(),
            by: order.by.clone(),
        }
    }
}

impl CommandState {
    pub(super) fn of(command: &Command, roster: &Roster) -> Self {
        let (mut missing, mut outcomes) = (Vec::new(), Vec::new());
        for place in command.places() {
            let instance = place.instance.clone();
            match &place.standing {
                Standing::Ended(ended) => outcomes.push(Said {
                    instance,
                    outcome: ended.outcome,
                    detail: ended.detail.clone(),
                    at: ended.at,
                }),
                standing => missing.push(Missing {
                    present: roster.is_present(&instance),
                    released: *standing == Standing::Open,
                    instance,
                }),
            }
        }
        let args = command.order.args.clone();
        Self { summary: CommandSummary::of(command), args, missing, outcomes }
    }
}

impl CommandPage {
    pub(super) fn of(commands: &Commands, after: Option<CommandId>, limit: usize) -> Self {
        let limit = limit.min(PAGE_MAX);
        // Behind one that is forgotten is nothing: what was accepted before it is, too.
        let before = after.map_or(Number(u64::MAX), |id| commands.number(id).unwrap_or_default());
        let mut behind = commands.before(before).map(|(_, command)| command);
        let items: Vec<_> = behind.by_ref().take(limit).map(CommandSummary::of).collect();
        let has_more = behind.next().is_some();
        let next = items.last().filter(|_| has_more).map(|last| last.id);
        Self { items, total: commands.len(), next }
    }
}

/// Items of one page.
pub const PAGE_MAX: usize = 1000;
