//! How a pipe ends: by whom, why, and with which code. Every close is attributed.

use std::fmt;

use serde::{Deserialize, Serialize};

use everwire_proto::ws::close::{Close, CloseCode};

use super::client::State;

/// Who ended a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The client.
    Client,
    /// The backend.
    Backend,
    /// The gateway, by a rule of its own.
    Gateway,
    /// Somebody who asked the gateway to.
    Operator,
}

/// Why a pipe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A Close that means goodbye.
    Goodbye,
    /// The socket ended without a Close.
    Vanished,
    /// No sign of life within the ping timeout.
    Hung,
    /// The WebSocket protocol was broken.
    ProtocolError,
    /// A message was larger than `message_max`, or than what `restore` can keep.
    TooLarge,
    /// A message was begun and not finished in time.
    Unfinished,
    /// The backend ended in a way that `restart_codes` does not name.
    NotRestarted,
    /// No backend within `outage_max`.
    Outage,
    /// The leg was lost and `outage_max` is zero.
    LegLost,
    /// The buffer was full and there was no backend.
    BufferFull,
    /// The process held more than `buffered_max`.
    Overload,
    /// A cooperating backend acknowledged nothing while the buffer was full.
    NotAcknowledged,
    /// No backend continues the session as it was agreed.
    NotMoved,
    /// A message was on its way, too large to be kept, when the leg was lost.
    CutMessage,
    /// What a cooperating backend says it has does not fit what was sent.
    OutOfStep,
    /// A backend no longer accepts the client's credentials.
    Unauthorized,
    /// A message ended one backend after the other.
    Poison,
    /// Backends broke the protocol three times in a row.
    BackendProtocolErrors,
    /// The gateway stops.
    Stopping,
    /// Closed on request.
    Closed,
}

/// The end of a pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Who ended it.
    pub who: Who,
    /// Why.
    pub why: Why,
    /// Code and reason that the client was told, or told us.
    pub close: Close,
}

impl End {
    /// An end with a code and a reason.
    pub fn new(who: Who, why: Why, code: CloseCode, reason: &str) -> Self {
        Self { who, why, close: Close::new(code, reason) }
    }

    /// The end of a pipe that the client has left, in words or without.
    pub(super) fn of_client(state: &State) -> Self {
        let abnormal = Close { code: Some(CloseCode::ABNORMAL), reason: "".into() };
        match state {
            State::Closing { close, .. } => {
                Self { who: Who::Client, why: Why::Goodbye, close: (**close).clone() }
            }
            State::Lost { why } => Self { who: Who::Client, why: *why, close: abnormal },
            _ => Self { who: Who::Client, why: Why::Vanished, close: abnormal },
        }
    }

    pub(super) fn by_gateway(why: Why, code: CloseCode, reason: &str) -> Self {
        Self::new(Who::Gateway, why, code, reason)
    }
}

impl Who {
    /// The name used in logs, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Backend => "backend",
            Self::Gateway => "gateway",
            Self::Operator => "operator",
        }
    }
}

impl Why {
    /// The name used in logs, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Vanished => "vanished",
            Self::Hung => "hung",
            Self::ProtocolError => "protocol_error",
            Self::TooLarge => "too_large",
            Self::Unfinished => "unfinished",
            Self::NotRestarted => "not_restarted",
            Self::Outage => "outage",
            Self::LegLost => "leg_lost",
            Self::BufferFull => "buffer_full",
            Self::Overload => "overload",
            Self::NotAcknowledged => "not_acknowledged",
            Self::NotMoved => "not_moved",
            Self::CutMessage => "cut_message",
            Self::OutOfStep => "out_of_step",
            Self::Unauthorized => "unauthorized",
            Self::Poison => "poison",
            Self::BackendProtocolErrors => "backend_protocol_errors",
            Self::Stopping => "stopping",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
