//! What a fleet knows: instances, commands, and what became of them. Pure: a fold of one log.
//!
//! Whoever folds the same entries knows the same. An entry that is there twice counts once; what is
//! said of something unknown counts for nothing; each outcome that is said first stays.

pub mod commands;
mod kept;
pub mod news;

use std::collections::BTreeSet;

use bytes::Bytes;
use everwire_backplane::{Incarnation, Member, Version};

use self::{commands::Commands, news::News};
use crate::{
    book::Fold,
    entry::{Event, Joined, Text, Writers, read_events},
    events::FleetEvent,
    name::SetName,
    roster::{Departure, Roster, Seating},
};

/// What a fleet knows.
#[derive(Debug, Default)]
pub struct Ledger {
    cluster: Option<Box<str>>,
    roster: Roster,
    commands: Commands,
    sets: BTreeSet<SetName>,
    writers: Writers,
    /// Entries and events that were not understood.
    unknown: u64,
    /// What has happened, for who acts on it on this node. Not part of what is known.
    news: News,
}

impl Ledger {
    /// The id of the cluster, once it has one.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The instances.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The commands.
    pub const fn commands(&self) -> &Commands {
        &self.commands
    }

    /// The sets that there are.
    pub const fn sets(&self) -> &BTreeSet<SetName> {
        &self.sets
    }

    /// How many entries and events were not understood: written by a newer version, or damaged.
    pub const fn unknown(&self) -> u64 {
        self.unknown
    }

    /// What has happened since the last time.
    pub fn take_news(&mut self) -> News {
        self.news.take()
    }

    fn fold(&mut self, event: Event) {
        match event {
            Event::Founded { cluster }
                if self.cluster.is_none() && cluster.len() <= CLUSTER_MAX =>
            {
                self.cluster = Some(cluster);
            }
            Event::Founded { .. } => {}
            Event::Joined(joined) => self.join(joined),
            Event::Left { instance, session: Text(session), why, at } => {
                match self.roster.leave(&instance, session, why, at) {
                    Departure::Stays => {}
                    Departure::Away => self.news.add(FleetEvent::InstanceAway { instance, at }),
                    Departure::Gone => self.news.add(FleetEvent::InstanceLeft { instance, at }),
                }
            }
            Event::NodeGone { node: Text(node), incarnation, at } => {
                let member = Member { node, incarnation: Incarnation(incarnation) };
                self.news.add(FleetEvent::NodeGone { node: Text(node), incarnation, at });
                for instance in self.roster.lose_node(member, at) {
                    self.news.add(FleetEvent::InstanceAway { instance, at });
                }
            }
            Event::Forgot { instances } => {
                for instance in instances {
                    if self.roster.forget(&instance) {
                        self.news.add(FleetEvent::InstanceForgotten { instance });
                    }
                }
            }
            Event::Set { name } => {
                if self.sets.len() < SETS_MAX && self.sets.insert(name.clone()) {
                    self.news.add(FleetEvent::SetCreated { set: name });
                }
            }
            of_commands => self.commands.fold(of_commands, &self.roster, &mut self.news),
        }
    }

    fn join(&mut self, joined: Joined) {
        let Joined { instance, session, node, at, .. } = joined.clone();
        let version = joined.version.clone();
        let news = match self.roster.join(joined) {
            Seating::Again => return,
            Seating::Seated(replaced) => {
                FleetEvent::InstanceJoined { instance, node, version, at, session, replaced }
            }
            Seating::Outdated => FleetEvent::JoinRefused { instance, session, is_full: false, at },
            Seating::Full => FleetEvent::JoinRefused { instance, session, is_full: true, at },
        };
        self.news.add(news);
    }
}

impl Fold for Ledger {
    fn new() -> Self {
        Self { news: News::everything(), ..Self::default() }
    }

    fn apply(&mut self, version: Version, entry: &[u8]) {
        let Some(read) = read_events(entry) else {
            self.unknown += 1;
            return;
        };
        if !read.stamp.is_none_or(|stamp| self.writers.is_new(stamp, version)) {
            return;
        }
        self.unknown += read.unknown;
        for event in read.events {
            self.fold(event);
        }
        self.news.end_entry(version);
    }

    fn save(&self) -> Bytes {
        self.keep()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        Self::restore(bytes)
    }
}

/// Sets of a fleet; beyond that none is created.
pub const SETS_MAX: usize = 10_000;

/// Characters of a cluster's id.
const CLUSTER_MAX: usize = 64;

#[cfg(test)]
mod tests;
