//! A ledger as bytes, which replace all entries that led to it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Ledger,
    commands::{Command, Commands, Ended, Number, Place, Standing},
    news::News,
};
use crate::{
    command::Outcome,
    entry::{Order, Writers},
    name::{InstanceName, SetName},
    roster::{self, Roster},
};

#[derive(Serialize, Deserialize)]
struct Kept {
    v: u32,
    cluster: Option<Box<str>>,
    instances: Vec<roster::Kept>,
    commands: Vec<KeptCommand>,
    last: Number,
    sets: BTreeSet<SetName>,
    writers: Writers,
    unknown: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptCommand {
    number: Number,
    order: Order,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Box<str>>,
    batch: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<(u64, u32)>,
    places: Vec<KeptPlace>,
}

/// An instance, and what became of it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeptPlace {
    /// It is to do it by now, or not yet.
    Unsaid(InstanceName, bool),
    Said(InstanceName, Outcome, u64, Option<Box<str>>),
}

impl Ledger {
    pub(super) fn keep(&self) -> Bytes {
        let commands = self.commands.iter().map(|(number, command)| KeptCommand {
            number,
            order: command.order.clone(),
            stopped: command.stopped.clone(),
            batch: command.batch(),
            last: command.last(),
            places: command.places().iter().map(keep_place).collect(),
        });
        let kept = Kept {
            v: FORM,
            cluster: self.cluster.clone(),
            instances: self.roster.keep(),
            commands: commands.collect(),
            last: self.commands.last(),
            sets: self.sets.clone(),
            writers: self.writers.clone(),
            unknown: self.unknown,
        };
        // Nothing in it can fail to become JSON: all keys are texts.
        serde_json::to_vec(&kept).map(Bytes::from).unwrap_or_default()
    }

    pub(super) fn restore(bytes: &[u8]) -> Option<Self> {
        let kept: Kept = serde_json::from_slice(bytes).ok()?;
        if kept.v != FORM {
            return None;
        }
        let mut commands = Commands::default();
        for KeptCommand { number, order, stopped, batch, last, places } in kept.commands {
            let places = places.into_iter().map(restore_place).collect();
            commands.put(number, Command::known(order, stopped, (batch, last), places));
        }
        commands.set_last(kept.last);
        Some(Self {
            cluster: kept.cluster,
            roster: Roster::restore(kept.instances),
            commands,
            sets: kept.sets,
            writers: kept.writers,
            unknown: kept.unknown,
            news: News::everything(),
        })
    }
}

fn keep_place(place: &Place) -> KeptPlace {
    let instance = place.instance.clone();
    match &place.standing {
        Standing::Waiting => KeptPlace::Unsaid(instance, false),
        Standing::Open => KeptPlace::Unsaid(instance, true),
        Standing::Ended(ended) => {
            KeptPlace::Said(instance, ended.outcome, ended.at, ended.detail.clone())
        }
    }
}

fn restore_place(kept: KeptPlace) -> Place {
    match kept {
        KeptPlace::Unsaid(instance, is_open) => {
            let standing = if is_open { Standing::Open } else { Standing::Waiting };
            Place { instance, standing }
        }
        KeptPlace::Said(instance, outcome, at, detail) => {
            let standing = Standing::Ended(Box::new(Ended { outcome, detail, at }));
            Place { instance, standing }
        }
    }
}

/// The form that is kept and restored.
const FORM: u32 = 1;
