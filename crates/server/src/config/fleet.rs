//! `[fleet]` and `[[bridges]]`: reads them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use everwire_fleet::access::Grants;
use everwire_hub::HubConfig;

use super::{
    Backplane, hub, is_at_or_below, keys,
    mistake::{Mistakes, Origin},
    reader::{self, Reader},
    route,
    tree::Node,
};

mod bridge;
mod hook;
mod print;
mod token;

use self::hook::KINDS;
pub(super) use self::print::print;
pub(crate) use self::{bridge::Bridge, hook::Hook};

/// `[fleet]`. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fleet {
    /// Where instances connect; what is below belongs to the fleet too.
    pub(crate) path: String,
    /// What accepted means, and where that is written down.
    pub(crate) memory: Memory,
    /// How long an instance that is away is expected back.
    pub(crate) instances_kept: Duration,
    /// Finished commands that are remembered.
    pub(crate) commands_kept: usize,
    /// What instances are allowed.
    pub(crate) limits: HubConfig,
    /// Who may do what.
    pub(crate) tokens: Grants,
    pub(crate) hooks: BTreeMap<String, Hook>,
    pub(crate) bridges: Vec<Bridge>,
}

/// Where the fleet remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// In a file of this node.
    Journal(PathBuf),
    /// In this process, until it ends.
    Process,
    /// In the backplane's Redis, which writes down what it accepts.
    Redis,
    /// In the backplane's Redis, which may forget.
    VolatileRedis,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            path: PATH.to_owned(),
            memory: Memory::Journal(JOURNAL.into()),
            instances_kept: Duration::from_secs(24 * 3600),
            commands_kept: 1000,
            limits: HubConfig { queue_max: QUEUE_MAX, ..HubConfig::default() },
            tokens: Grants::default(),
            hooks: BTreeMap::new(),
            bridges: Vec::new(),
        }
    }
}

/// A fleet and where its path was written, for the mistakes that only all of the node shows.
pub(super) struct Written {
    pub(super) fleet: Fleet,
    pub(super) origin: Origin,
    /// Where the table begins.
    whole: Origin,
    /// Whether tokens are written, good or not.
    has_tokens: bool,
}

/// Reads the fleet of a node with this backplane.
pub(super) fn read(node: Node, backplane: &Backplane, mistakes: &mut Mistakes) -> Option<Written> {
    let whole = node.origin.clone();
    let mut reader = Reader::open("fleet".to_owned(), &keys::FLEET, node, mistakes)?;
    let mut fleet = Fleet::default();
    let given = reader.take("path");
    let origin = given.as_ref().map_or_else(|| whole.clone(), |node| node.origin.clone());
    match given.map(|node| hub::hub_path(&node).map_err(|what| (node, what))) {
        Some(Ok(path)) => fleet.path = path,
        Some(Err((node, what))) => reader.refuse("path", &node, &what),
        None => {}
    }
    fleet.memory = memory(&mut reader, backplane);
    reader.set("instances_kept", &mut fleet.instances_kept, reader::duration_from(KEPT_MIN));
    reader.set("commands_kept", &mut fleet.commands_kept, reader::number(1, COMMANDS_MAX));
    limits(&mut reader, &mut fleet.limits);
    let tokens = reader.take("tokens");
    let has_tokens = tokens.is_some();
    if let Some(node) = tokens {
        fleet.tokens = token::read_all(node, reader.mistakes());
    }
    if let Some(node) = reader.take("hooks") {
        fleet.hooks = hook::read_all(node, reader.mistakes());
    }
    reader.finish();
    Some(Written { fleet, origin, whole, has_tokens })
}

/// Reads what comes from other systems' channels; nothing of it is anything without a fleet.
pub(super) fn read_bridges(
    node: Node,
    has_fleet: bool,
    backplane: &Backplane,
    mistakes: &mut Mistakes,
) -> Vec<Bridge> {
    if !has_fleet {
        let what = "there is no [fleet] whose sets could change; write [fleet] too";
        mistakes.add(node.origin.clone(), "bridges", what);
    }
    bridge::read_all(node, backplane, mistakes)
}

fn memory(reader: &mut Reader<'_>, backplane: &Backplane) -> Memory {
    let durabilities = [("fsync", true), ("volatile", false)];
    let fsync = reader.read("durability", reader::one_of(&durabilities)).unwrap_or(true);
    let journal = reader.read("journal", reader::string).map(PathBuf::from);
    match (backplane, fsync) {
        (Backplane::Redis { .. }, _) if journal.is_some() => {
            let what = "is for backplane.url = \"memory:\" only: a Redis remembers by itself";
            reader.contradict(&["journal"], what);
        }
        (Backplane::Memory, false) if journal.is_some() => {
            let what = "is not written with durability = \"volatile\"; leave out one of them";
            reader.contradict(&["journal"], what);
        }
        _ => {}
    }
    match (backplane, fsync) {
        (Backplane::Memory, true) => Memory::Journal(journal.unwrap_or_else(|| JOURNAL.into())),
        (Backplane::Memory, false) => Memory::Process,
        (Backplane::Redis { .. }, true) => Memory::Redis,
        (Backplane::Redis { .. }, false) => Memory::VolatileRedis,
    }
}

fn limits(reader: &mut Reader<'_>, config: &mut HubConfig) {
    reader.set("message_max", &mut config.message_max, hub::bytes);
    reader.set("queue_max", &mut config.queue_max, queue);
    reader.set("rate_max", &mut config.rate_max, hub::rate);
    hub::read_origins(reader, config);
    hub::read_pings(reader, config);
}

fn queue(node: &Node) -> Result<usize, String> {
    match hub::bytes(node)? {
        bytes if bytes >= QUEUE_MAX => Ok(bytes),
        _ => Err("is too small; at least 12MiB, a snapshot of the largest set".to_owned()),
    }
}

/// What only all of the node shows: the fleet's path leads nowhere else, and nobody comes from another
/// machine without a token.
pub(super) fn check(
    written: &Written,
    listen: &[SocketAddr],
    hubs: &BTreeMap<String, hub::Written>,
    routes: &[route::Written],
    mistakes: &mut Mistakes,
) {
    let path = &written.fleet.path;
    for (name, other) in hubs {
        let other = &other.hub.path;
        if is_at_or_below(path, other) || is_at_or_below(other, path) {
            let what = format!("{path} and {other}, which is that of [hubs.{name}], overlap");
            mistakes.add(written.origin.clone(), "fleet.path", what);
        }
    }
    for (index, route) in routes.iter().enumerate() {
        if is_at_or_below(&route.route.path, path) {
            let what = format!("{} belongs to [fleet]: no client comes to it", route.route.path);
            mistakes.add(route.origin.clone(), format!("routes[{index}].path"), what);
        }
    }
    let open = listen.iter().find(|address| !address.ip().is_loopback());
    if let Some(address) = open
        && written.fleet.tokens.is_open()
        && !written.has_tokens
    {
        let what = format!(
            "are required because {address} is not loopback; write [fleet.tokens] and \"TOKEN\" = \
             {{ app = \"shop\", sets = [\"shop/**\"], rights = [\"join\", \"read\"] }}"
        );
        mistakes.add(written.whole.clone(), "fleet.tokens", what);
    }
}

/// Where instances connect if nothing else is said.
pub(super) const PATH: &str = "/fleet";

const JOURNAL: &str = "fleet.journal";

/// A snapshot of the largest set, what surrounds its values, and changes behind it.
const QUEUE_MAX: usize = 12 << 20;

/// An instance that is restarted takes as long.
const KEPT_MIN: Duration = Duration::from_secs(60);

/// Each is in the memory of every node.
const COMMANDS_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
