//! How to reach the server, and what one node may keep.

use std::{fmt, time::Duration};

/// What a node on Redis is told. [`Config::new`] has a default for everything but the address.
#[derive(Clone)]
pub struct Config {
    /// `redis://` or `rediss://`, with user, password and database if need be.
    pub url: String,
    /// Begins every key. 1 to 64 letters, digits, `-`, `_` or `.`. Default: `everwire`.
    pub prefix: String,
    /// How long a node may be silent before the others give it up. At least 1 s. Default: 10 s, long
    /// enough for a pause of its machine, short enough for whoever looks at a list of who is there.
    pub lease: Duration,
    /// Entries that a channel's stream keeps, about. Default: 16,384.
    pub entries_max: usize,
    /// Messages that wait to be confirmed, and as many that are kept afterwards. Default: 16,384.
    pub waiting_max: usize,
    /// Their bytes. Default: 32 MiB.
    pub waiting_bytes_max: usize,
    /// The certificates, as PEM, of whoever may vouch for the server. Default: those of the system.
    pub authorities: Option<Vec<u8>>,
}

/// Why a configuration makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// The address is none of a Redis.
    #[error("not the address of a Redis: {0}")]
    Url(String),
    /// The prefix is no word.
    #[error("a prefix has 1 to 64 letters, digits, `-`, `_` or `.`")]
    Prefix,
    /// The lease is so short that a busy machine loses it.
    #[error("a lease lasts at least one second")]
    Lease,
}

impl Config {
    /// The defaults, for the server at this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "everwire".into(),
            lease: Duration::from_secs(10),
            entries_max: 16_384,
            waiting_max: 16_384,
            waiting_bytes_max: 32 << 20,
            authorities: None,
        }
    }

    /// How often a node beats: five chances within a lease.
    pub(super) fn beat_interval(&self) -> Duration {
        (self.lease / 5).min(Duration::from_secs(1))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may have a password in it.
        f.debug_struct("Config").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
