//! `[[bridges]]`: channels of a Redis whose messages change sets.

use std::fmt;

use everwire_fleet::bridge::{NotATemplate, SetTemplate};

use crate::config::{
    Backplane, backplane, keys,
    mistake::Mistakes,
    reader::{self, Reader},
    tree::Node,
};

/// One bridge. `Debug` does not show its address, which may have a password in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) channel: String,
    /// The set, with what the message says in braces.
    pub(crate) set: SetTemplate,
    /// The Redis.
    pub(crate) url: String,
}

/// Reads all bridges.
pub(super) fn read_all(node: Node, backplane: &Backplane, mistakes: &mut Mistakes) -> Vec<Bridge> {
    let origin = node.origin.clone();
    let Ok(nodes) = node.into_list() else {
        mistakes.add(origin, "bridges", "is not a list of tables; write [[bridges]]");
        return Vec::new();
    };
    let mut bridges: Vec<Bridge> = Vec::new();
    for (index, node) in nodes.into_iter().enumerate() {
        let (path, origin) = (format!("bridges[{index}]"), node.origin.clone());
        let Some(bridge) = read(path.clone(), node, backplane, mistakes) else { continue };
        let is_same = |other: &Bridge| other.channel == bridge.channel && other.url == bridge.url;
        if bridges.iter().any(is_same) {
            mistakes.add(origin, format!("{path}.channel"), "has a bridge already");
        }
        bridges.push(bridge);
    }
    bridges
}

fn read(
    path: String,
    node: Node,
    backplane: &Backplane,
    mistakes: &mut Mistakes,
) -> Option<Bridge> {
    let whole = node.origin.clone();
    let mut reader = Reader::open(path, &keys::BRIDGE, node, mistakes)?;
    let channel = reader.read("channel", reader::string);
    if !reader.was_taken("channel") {
        let what = "is missing; write for example \"configuration-updates\"";
        reader.complain(&whole, "channel", what);
    }
    let set = reader.read("set", set);
    if !reader.was_taken("set") {
        reader.complain(&whole, "set", "is missing; write for example \"{environmentId}\"");
    }
    let url = reader.read("url", url);
    let own = match backplane {
        Backplane::Redis { url, .. } => Some(url.clone()),
        Backplane::Memory if !reader.was_taken("url") => {
            let what = "is missing, and backplane.url names no Redis; write \"redis://HOST:PORT\"";
            reader.complain(&whole, "url", what);
            None
        }
        Backplane::Memory => None,
    };
    reader.finish();
    Some(Bridge { channel: channel?, set: set?, url: url.or(own)? })
}

fn set(node: &Node) -> Result<SetTemplate, String> {
    let wrong = |error: NotATemplate| format!("is not the name of a set: {error}");
    reader::string(node)?.parse().map_err(wrong)
}

fn url(node: &Node) -> Result<String, String> {
    match backplane::url(node) {
        Ok(url) if url != backplane::MEMORY => Ok(url),
        _ => Err("is neither \"redis://HOST:PORT\" nor \"rediss://HOST:PORT\"".to_owned()),
    }
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge")
            .field("channel", &self.channel)
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}
