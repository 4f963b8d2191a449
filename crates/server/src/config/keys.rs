//! Every key there is: its name, what it takes, its default, what it means.
//!
//! The reference (`config doc`), the example file and the answer to an unknown key all come from
//! these tables. A test loads the example and finds the built-in defaults.

mod fleet;
mod hub;
mod node;
mod pool;
mod route;

pub(super) use fleet::{BRIDGE, FLEET, FLEET_HOOK, FLEET_TOKEN};
pub(super) use hub::{HISTORY, HUB, METHOD, PRESENCE};
pub(super) use node::{ADMIN, BACKPLANE, CLUSTER, LIMITS, STOP, TOP};
pub(super) use pool::{BACKEND, HEALTH, POOL};
pub(super) use route::{HTTP, PING, RESTORE, ROUTE};

/// One table of the configuration.
pub(super) struct Section {
    /// The heading in an example file, without brackets; empty for the top.
    pub(super) heading: &'static str,
    /// The heading with its brackets, as the example writes it.
    pub(super) example: &'static str,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key of a section.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What may be written.
    pub(super) takes: &'static str,
    /// The default as TOML; empty where there is none.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
    pub(super) state: State,
}

/// Whether a key does something in this version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Ready,
    /// It is reserved: using it is a mistake that says so.
    Later,
}

const fn key(
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, takes, default, doc, state: State::Ready }
}

const fn later(name: &'static str) -> Key {
    Key { name, takes: "", default: "", doc: "", state: State::Later }
}

/// All sections in the order in which the reference lists them.
pub(super) const SECTIONS: [&Section; 19] = [
    &TOP,
    &ADMIN,
    &POOL,
    &BACKEND,
    &HEALTH,
    &ROUTE,
    &HTTP,
    &HUB,
    &HISTORY,
    &PRESENCE,
    &METHOD,
    &FLEET,
    &FLEET_TOKEN,
    &FLEET_HOOK,
    &BRIDGE,
    &CLUSTER,
    &LIMITS,
    &STOP,
    &BACKPLANE,
];
