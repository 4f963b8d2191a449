//! How much one client may have going on at once.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// The limits of one connection. Whatever is beyond them is refused with an error, or not read
/// until there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls that run at the same time, those that stream and those that wait for an answer of
    /// their client aside. Default 1, as in the official server: a client's calls have effect in
    /// the order in which it makes them.
    pub parallel_max: NonZeroUsize,
    /// Calls that stream, up or down, at the same time; more are refused. Default
    /// [`STREAMS_MAX`].
    pub streams_max: usize,
    /// Upload streams that are open at the same time; a call with more is refused. Default
    /// [`UPLOADS_MAX`].
    pub uploads_max: usize,
    /// Messages that wait for a call's turn; while there are as many, nothing is read. Default
    /// [`WAITING_MAX`].
    pub waiting_max: usize,
    /// Bytes of messages that wait; while there are as many, nothing is read. Default
    /// [`WAITING_BYTES_MAX`].
    pub waiting_bytes_max: usize,
    /// Questions that the client has not answered; more are refused to the application. Default
    /// [`ASKED_MAX`].
    pub asked_max: usize,
}

/// Streams of one client: more than a page has widgets, and each costs little while it is silent.
pub const STREAMS_MAX: usize = 128;

/// Open uploads of one client. Each holds ten items of up to the largest message.
pub const UPLOADS_MAX: usize = 32;

/// Waiting messages of one client: enough that a burst of small calls does not stop its pings, few
/// enough that it is the client who keeps the rest.
pub const WAITING_MAX: usize = 64;

/// Bytes that wait: two messages of the largest default size.
pub const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Unanswered questions to one client, so that one that never answers costs little.
pub const ASKED_MAX: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel_max: NonZeroUsize::MIN,
            streams_max: STREAMS_MAX,
            uploads_max: UPLOADS_MAX,
            waiting_max: WAITING_MAX,
            waiting_bytes_max: WAITING_BYTES_MAX,
            asked_max: ASKED_MAX,
        }
    }
}
