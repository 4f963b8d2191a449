//! `[backplane]`: how nodes talk.

use std::fmt;

use everwire_backplane::redis;

use super::{
    keys::BACKPLANE,
    mistake::Mistakes,
    reader::{self, Reader},
    tree::Node,
};

/// How nodes talk.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Backplane {
    /// Not at all: there is one.
    #[default]
    Memory,
    /// Over a Redis.
    Redis {
        /// Its address. It may have a password in it.
        url: String,
        /// Begins all keys.
        prefix: String,
    },
}

impl Backplane {
    /// What a node is started with, if it talks to others.
    pub(crate) fn redis(&self) -> Option<redis::Config> {
        match self {
            Self::Memory => None,
            Self::Redis { url, prefix } => {
                Some(redis::Config { prefix: prefix.clone(), ..redis::Config::new(url) })
            }
        }
    }
}

impl fmt::Debug for Backplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Redis { prefix, .. } => {
                f.debug_struct("Redis").field("prefix", prefix).finish_non_exhaustive()
            }
        }
    }
}

/// Reads how nodes talk.
pub(super) fn read(node: Node, mistakes: &mut Mistakes) -> Backplane {
    let Some(mut reader) = Reader::open("backplane".to_owned(), &BACKPLANE, node, mistakes) else {
        return Backplane::Memory;
    };
    let url = reader.read("url", url).unwrap_or_else(|| MEMORY.to_owned());
    let prefix = reader.read("prefix", prefix);
    if prefix.is_some() && url == MEMORY {
        reader.contradict(
            &["prefix"],
            "is for a Redis; write for example url = \"redis://127.0.0.1\"",
        );
    }
    reader.finish();
    if url == MEMORY {
        return Backplane::Memory;
    }
    Backplane::Redis { url, prefix: prefix.unwrap_or_else(|| PREFIX.to_owned()) }
}

/// An address of a Redis, or what says that there is none.
pub(super) fn url(node: &Node) -> Result<String, String> {
    let url = reader::string(node)?;
    let starts = ["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme));
    if url == MEMORY {
        return Ok(url);
    }
    if !starts || redis::Config::new(&url).check().is_err() {
        return Err(
            "is none of \"memory:\", \"redis://HOST:PORT\", \"rediss://HOST:PORT\"".to_owned()
        );
    }
    Ok(url)
}

fn prefix(node: &Node) -> Result<String, String> {
    let prefix = reader::string(node)?;
    let config =
        redis::Config { prefix: prefix.clone(), ..redis::Config::new("redis://127.0.0.1") };
    let wrong = |_| "is no prefix: it has 1 to 64 letters, digits, -, _ or .".to_owned();
    config.check().map_err(wrong).map(|()| prefix)
}

/// One node that talks to nobody.
pub(super) const MEMORY: &str = "memory:";

/// What keys begin with where nothing is said.
const PREFIX: &str = "everwire";
