//! The SignalR protocol, for the hub and for the client: the same codec in both roles.
//!
//! The story. A client first asks over HTTP how to connect ([`negotiate`]). On the connection it
//! names the encoding that it speaks ([`handshake`]), always in JSON, and what follows are hub
//! messages ([`message`]) in that encoding: JSON objects that end in a record separator, or
//! MessagePack arrays behind their length. Neither WebSocket frames nor the bodies of requests are
//! message boundaries, so a [`Reader`] takes bytes as they come. What an application says to
//! another, arguments, items and results, stays in the encoding that it came in ([`payload`]): it is
//! judged, never taken apart, passed on untouched, and decoded by whoever knows its type. A client
//! that has no WebSocket listens to server-sent events ([`events`]) or polls. With
//! stateful reconnect both ends count messages ([`reconnect`]), so that a session outlives its
//! sockets.
//!
//! Where the protocol's text and the official implementations differ, this is what the
//! implementations do, for they are what clients run. Not here: transports, timeouts, who is in
//! which group, and what a method does.

pub mod events;
pub mod handshake;
mod json;
pub mod message;
mod msgpack;
pub mod negotiate;
pub mod payload;
pub mod publication;
mod reader;
pub mod reconnect;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use message::HubMessage;
use payload::EncodeError;
pub use reader::{ReadError, Reader};

/// Longest message that is read by default, in bytes, its framing included: what the official
/// server takes.
pub const MESSAGE_MAX: usize = 32 * 1024;

/// Deepest nesting of a message: the message itself is the first level, its arguments the second.
/// The official server's limit for JSON; deeper ones are refused before anything recurses.
pub const DEPTH_MAX: usize = 64;

/// Longest invocation id or stream id in bytes: receivers keep them, and nobody's is longer than
/// a UUID in words.
pub const ID_MAX: usize = 256;

/// Most upload streams of one invocation: a method has a parameter for each.
pub const STREAMS_MAX: usize = 64;

/// Most headers of one message, as many as in a request's head. No client sends any yet.
pub const HEADERS_MAX: usize = 100;

/// How hub messages are encoded on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// JSON objects, each followed by a record separator.
    Json,
    /// MessagePack arrays, each behind its length.
    MessagePack,
}

/// What a transport can carry, and what an encoding needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransferFormat {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl Protocol {
    /// All encodings.
    pub const ALL: [Self; 2] = [Self::Json, Self::MessagePack];

    /// The name that a handshake uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// The encoding of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// What a transport must carry for this encoding.
    pub const fn transfer_format(self) -> TransferFormat {
        match self {
            Self::Json => TransferFormat::Text,
            Self::MessagePack => TransferFormat::Binary,
        }
    }

    /// Appends a message with its framing. A payload in the other encoding is translated.
    ///
    /// # Errors
    /// If a payload cannot be translated, or a message is beyond what its length can say (2 GiB);
    /// nothing is appended then.
    pub fn write(self, message: &HubMessage, to: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = to.len();
        let written = match self {
            Self::Json => json::write(message, to),
            Self::MessagePack => msgpack::write(message, to),
        };
        if written.is_err() {
            to.truncate(start);
        }
        written
    }

    /// A message with its framing, to be shared by all who receive it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn encode(self, message: &HubMessage) -> Result<Bytes, EncodeError> {
        let mut bytes = Vec::new();
        self.write(message, &mut bytes)?;
        Ok(bytes.into())
    }
}

impl TransferFormat {
    /// The name that negotiation uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Binary => "Binary",
        }
    }
}

#[cfg(test)]
mod tests;
