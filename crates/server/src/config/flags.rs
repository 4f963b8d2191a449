//! The flags of `serve`: each stands for keys, and what it makes of them looks like what a file says.

use std::collections::BTreeMap;

use super::{
    mistake::{Mistakes, Origin},
    tree::{self, Node, Value},
};

/// The flags of `serve` that stand for keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) listen: Vec<String>,
    pub(crate) admin: Option<String>,
    /// Each is a backend of one pool with a route at `/`.
    pub(crate) backends: Vec<String>,
    /// The path of one hub with a method `Broadcast`.
    pub(crate) hub: Option<String>,
    /// Whether there is a fleet.
    pub(crate) fleet: bool,
    pub(crate) log: Option<String>,
}

impl Flags {
    /// Whether they make a configuration without a file.
    pub(crate) fn say_what_to_serve(&self) -> bool {
        !self.backends.is_empty() || self.hub.is_some() || self.fleet
    }
}

/// Lays them over what the file and the environment say.
pub(super) fn overlay(tree: &mut BTreeMap<String, Node>, flags: &Flags, mistakes: &mut Mistakes) {
    let node = |name, value| Node::new(Origin::Flag { name }, value);
    if !flags.listen.is_empty() {
        let items = flags.listen.iter().map(|text| node("--listen", Value::Text(text.clone())));
        tree.insert("listen".to_owned(), node("--listen", Value::Array(items.collect())));
    }
    if let Some(log) = &flags.log {
        tree.insert("log".to_owned(), node("--log", Value::Text(log.clone())));
    }
    if let Some(address) = &flags.admin {
        let admin = tree
            .entry("admin".to_owned())
            .or_insert_with(|| node("--admin", Value::Table(BTreeMap::new())));
        if let Value::Table(table) = &mut admin.value {
            table.insert("listen".to_owned(), node("--admin", Value::Text(address.clone())));
        }
    }
    if !flags.backends.is_empty() {
        overlay_backends(tree, &flags.backends, mistakes);
    }
    if let Some(path) = &flags.hub {
        overlay_hub(tree, path, mistakes);
    }
    if flags.fleet {
        tree::fill(tree, "fleet", node("--fleet", Value::Table(BTreeMap::new())));
    }
}

/// `--backend` is a pool and a route `/`. The environment may add keys to them, a file may not
/// have its own: which of the two was meant would be a guess.
fn overlay_backends(tree: &mut BTreeMap<String, Node>, urls: &[String], mistakes: &mut Mistakes) {
    let node = |value| Node::new(Origin::Flag { name: "--backend" }, value);
    let from_file =
        |key: &str| tree.get(key).is_some_and(|found| matches!(found.origin, Origin::File { .. }));
    if from_file("pools") || from_file("routes") {
        let what = "the file has pools or routes already; give backends there or here, not both";
        mistakes.add(Origin::Flag { name: "--backend" }, "", what);
        return;
    }
    let backends = urls.iter().map(|url| node(Value::Text(url.clone()))).collect();
    let pool = BTreeMap::from([("backends".to_owned(), node(Value::Array(backends)))]);
    let route = BTreeMap::from([("pool".to_owned(), node(Value::Text(FLAG_POOL.to_owned())))]);
    let pools = BTreeMap::from([(FLAG_POOL.to_owned(), node(Value::Table(pool)))]);
    tree::fill(tree, "pools", node(Value::Table(pools)));
    tree::fill(tree, "routes", node(Value::Array(vec![node(Value::Table(route))])));
}

/// `--hub` is a hub of one method. The environment may add keys to it, a file may not have its own.
fn overlay_hub(tree: &mut BTreeMap<String, Node>, path: &str, mistakes: &mut Mistakes) {
    let node = |value| Node::new(Origin::Flag { name: "--hub" }, value);
    let text = |text: &str| node(Value::Text(text.to_owned()));
    let table = |entries: &[(&str, Node)]| {
        let owned = entries.iter().map(|(key, node)| ((*key).to_owned(), node.clone()));
        node(Value::Table(owned.collect()))
    };
    let from_file = |found: &Node| matches!(found.origin, Origin::File { .. });
    if tree.get("hubs").is_some_and(from_file) {
        let what = "the file has hubs already; give the path there or here, not both";
        mistakes.add(Origin::Flag { name: "--hub" }, "", what);
        return;
    }
    let broadcast = table(&[("send", text("all")), ("target", text("Receive"))]);
    let methods = table(&[("Broadcast", broadcast)]);
    let hub = table(&[("path", text(path)), ("methods", methods)]);
    tree::fill(tree, "hubs", table(&[(FLAG_HUB, hub)]));
}

/// The pool that `--backend` fills.
pub(super) const FLAG_POOL: &str = "default";

/// The hub that `--hub` makes.
pub(super) const FLAG_HUB: &str = "default";
