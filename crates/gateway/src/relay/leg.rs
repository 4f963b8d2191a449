//! The states of a pipe's leg, and of moving away from one on purpose.

use serde::{Deserialize, Serialize};

use everwire_proto::time::Time;

use super::heartbeat::Heartbeat;

/// Where the pipe stands with its backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Leg {
    /// There is none, and none is wanted: the pipe ends.
    None,
    /// There is none; one is to be dialled.
    Wanted,
    /// Messages flow.
    Live(Live),
    /// A Close has been sent, or answered: the leg is read to its end.
    Leaving(Leaving),
    /// The leg is to be cut with a reset; nothing of it counts any more.
    Cut(Loss),
}

/// A leg on which messages flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Live {
    pub(super) since: Time,
    pub(super) heartbeat: Heartbeat,
    /// Whether the leg's first Ping has still to be written.
    pub(super) greeting: bool,
    /// Whether the backend has answered a Ping on this leg.
    pub(super) ponged: bool,
    /// Whether its stack has shown that it answers none.
    pub(super) unconfirmable: bool,
    /// When a message last came from the backend.
    pub(super) heard_data: Option<Time>,
    /// When something last happened on the leg that an answer may follow: a message came, bytes
    /// were written, a message was confirmed.
    pub(super) stirred: Time,
    /// When the backend last confirmed something, or nobody waited for it to.
    pub(super) acknowledged: Time,
    pub(super) moving: Option<Moving>,
}

impl Live {
    pub(super) const fn new(now: Time, greeting: bool) -> Self {
        Self {
            since: now,
            heartbeat: Heartbeat::new(now),
            greeting,
            ponged: false,
            unconfirmable: false,
            heard_data: None,
            stirred: now,
            acknowledged: now,
            moving: None,
        }
    }
}

/// A move on purpose under way: the leg is held at a message boundary until it has gone quiet.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moving {
    pub(super) since: Time,
}

/// A leg that is being closed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Leaving {
    pub(super) begun: Time,
    /// Since when we have been reading from it.
    pub(super) since: Time,
    pub(super) reason: LeavingReason,
    /// Whether the backend has sent its Close too.
    pub(super) answered: bool,
    /// The code of that Close; 1006 without one.
    pub(super) code: u16,
    /// Whether we read from the leg; while we do not, its clock stands.
    pub(super) listening: bool,
}

impl Leaving {
    /// Whether we read from the leg.
    pub(super) const fn listen(&mut self, now: Time, listening: bool) {
        if listening && !self.listening {
            self.since = now;
        }
        self.listening = listening;
    }
}

/// Why a leg is being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LeavingReason {
    /// The backend restarts: it sent a Close that says so.
    Restarted,
    /// The pipe moves to another backend.
    Moved,
    /// The client has closed, and everything it sent has arrived.
    ClientLeft,
    /// The pipe ends.
    PipeEnds,
}

/// How a leg was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// The backend said that it restarts, and the leg was read to its end.
    Restarted,
    /// It was left on purpose.
    Moved,
    /// It ended without a Close.
    Vanished,
    /// The backend gave no sign of life in time.
    Hung,
    /// The backend broke the WebSocket protocol.
    ProtocolError,
    /// The backend did not answer the messages that restore its session.
    NotRestored,
}

impl Loss {
    /// The name used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::Moved => "moved",
            Self::Vanished => "vanished",
            Self::Hung => "hung",
            Self::ProtocolError => "protocol_error",
            Self::NotRestored => "not_restored",
        }
    }

    /// Whether the leg ended without a Close, so that a message on it may be to blame.
    pub(super) const fn strikes(self) -> bool {
        matches!(self, Self::Vanished | Self::Hung)
    }
}
