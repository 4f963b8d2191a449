//! Negotiation: how a client learns over HTTP where and how to connect.
//!
//! The client POSTs to `{hub}/negotiate?negotiateVersion=1`. The server answers with status 200 in
//! any case: with the ids of a new connection and the transports it may choose from, with another
//! address to negotiate at, or with an error. The `connectionId` is public. The `connectionToken`
//! attaches to the connection and is a secret; with version 0 there is none and the id serves.

mod query;
mod wire;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TransferFormat;
pub use query::{parameters, segment};

/// Most redirects that a client follows, as in the official ones.
pub const REDIRECTS_MAX: usize = 100;

/// Longest answer that a client reads, in bytes: an access token may take most of it.
pub const RESPONSE_MAX: usize = 64 * 1024;

/// The newest version that is spoken.
const VERSION_MAX: i32 = 1;

/// What a client asks for in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiateRequest {
    /// The version to answer with, at most the newest that is spoken.
    pub version: NegotiateVersion,
    /// Whether the client can use stateful reconnect.
    pub stateful_reconnect: StatefulReconnect,
}

/// A version of negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NegotiateVersion {
    /// The public id attaches to the connection.
    Zero,
    /// A secret token attaches to the connection.
    One,
}

/// Whether a session outlives its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatefulReconnect {
    /// It ends with its connection.
    Off,
    /// It can be resumed.
    On,
}

/// Why a negotiation is refused: the client's fault. The texts are the official server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NegotiateError {
    /// The version is not a number.
    #[error("The client requested a non-integer protocol version.")]
    NotAnInteger,
    /// The version is below what the hub accepts.
    #[error("The client requested version '{0}', but the server does not support this version.")]
    TooOld(i32),
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NegotiateResponse {
    /// Connect here.
    Connect(Negotiated),
    /// Negotiate there.
    Redirect {
        /// The address, without `/negotiate`; its query is to be kept.
        url: Box<str>,
        /// What authenticates there in place of the client's own token.
        access_token: Option<Secret>,
    },
    /// Do neither.
    Error(Box<str>),
}

/// How to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The public id of the connection.
    pub connection_id: Box<str>,
    /// What attaches to the connection; `None` in version 0, where the id does.
    pub connection_token: Option<Secret>,
    /// The transports, the best first.
    pub transports: Vec<Transport>,
    /// Whether the session can be resumed.
    pub stateful_reconnect: StatefulReconnect,
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// One WebSocket for both directions.
    WebSockets,
    /// One endless answer and many requests.
    ServerSentEvents,
    /// Many requests in both directions.
    LongPolling,
}

/// Text that gives access. Its `Debug` does not show it, so that it stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub Box<str>);

/// Why a client cannot use a server's answer: the server's fault.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// It is not a negotiation's answer.
    #[error("Invalid negotiation response received.")]
    Malformed(#[source] serde_json::Error),
    /// It is longer than [`RESPONSE_MAX`].
    #[error("Invalid negotiation response received: it is longer than {RESPONSE_MAX} bytes.")]
    TooLarge,
    /// A property that the answer needs is not there.
    #[error("Invalid negotiation response received: missing required property '{0}'.")]
    Missing(&'static str),
    /// The server speaks the SignalR of before ASP.NET Core.
    #[error(
        "Detected a connection attempt to an ASP.NET SignalR Server. This client only supports \
         connecting to an ASP.NET Core SignalR Server. See \
         https://aka.ms/signalr-core-differences for details."
    )]
    OldServer,
    /// The server turned on what the client did not ask for.
    #[error("Client didn't negotiate Stateful Reconnect but the server did.")]
    UnaskedStatefulReconnect,
}

impl NegotiateRequest {
    /// Reads a query string, without its question mark. Names are compared without regard to case;
    /// what else is in the query is somebody else's.
    ///
    /// # Errors
    /// What goes back to the client as [`NegotiateResponse::Error`], with status 200.
    pub fn parse(query: &str, version_min: NegotiateVersion) -> Result<Self, NegotiateError> {
        let mut version = None;
        let mut stateful_reconnect = StatefulReconnect::Off;
        for (name, value) in parameters(query) {
            if name.eq_ignore_ascii_case("negotiateVersion") {
                // A version that is said twice is no number, as in the official server.
                let number =
                    if version.is_none() { value.trim().parse::<i32>().ok() } else { None };
                version = Some(number.ok_or(NegotiateError::NotAnInteger)?);
            } else if name.eq_ignore_ascii_case("useStatefulReconnect")
                && value.trim().eq_ignore_ascii_case("true")
            {
                stateful_reconnect = StatefulReconnect::On;
            }
        }
        let wanted = version.unwrap_or_default();
        let too_old = NegotiateError::TooOld(wanted);
        let version = match wanted {
            ..0 => return Err(too_old),
            0 => NegotiateVersion::Zero,
            VERSION_MAX.. => NegotiateVersion::One,
        };
        if version < version_min {
            return Err(too_old);
        }
        Ok(Self { version, stateful_reconnect })
    }

    /// What a client appends to a hub's query.
    pub const fn query(&self) -> &'static str {
        match self.stateful_reconnect {
            StatefulReconnect::Off => "negotiateVersion=1",
            StatefulReconnect::On => "negotiateVersion=1&useStatefulReconnect=true",
        }
    }
}

impl NegotiateResponse {
    /// The body of the answer, of type `application/json`.
    pub fn to_json(&self) -> Vec<u8> {
        wire::write(self)
    }

    /// Reads the body of an answer to this request. Transports that nobody knows yet are left out.
    ///
    /// # Errors
    /// If the answer cannot be used.
    pub fn parse(body: &[u8], asked: &NegotiateRequest) -> Result<Self, ResponseError> {
        wire::read(body, asked)
    }
}

impl Negotiated {
    /// What attaches to the connection, as the parameter `id` of every later request.
    pub fn id(&self) -> &str {
        self.connection_token.as_ref().map_or(&self.connection_id, |token| &token.0)
    }
}

impl Transport {
    /// All transports, the best first.
    pub const ALL: [Self; 3] = [Self::WebSockets, Self::ServerSentEvents, Self::LongPolling];

    /// The name that negotiation uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSockets => "WebSockets",
            Self::ServerSentEvents => "ServerSentEvents",
            Self::LongPolling => "LongPolling",
        }
    }

    /// What it can carry.
    pub const fn transfer_formats(self) -> &'static [TransferFormat] {
        match self {
            Self::ServerSentEvents => &[TransferFormat::Text],
            Self::WebSockets | Self::LongPolling => &[TransferFormat::Text, TransferFormat::Binary],
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests;
