//! The first words on a connection: which encoding is spoken, always said in JSON.
//!
//! The client says `{"protocol":"json","version":1}`, the server answers `{}` or
//! `{"error":"..."}`, each followed by a record separator; messages may follow in the same bytes.
//! The version is 2 from a client that negotiated stateful reconnect, else 1. A connection that
//! resumes a session has no handshake.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Protocol, TransferFormat, json::SEPARATOR};

/// Longest handshake in bytes. Real ones are below 50, and it is read before anyone is known; the
/// official server allows as much as for a message.
pub const HANDSHAKE_MAX: usize = 1024;

/// The last version that is spoken. Of the ones before it some clients name one that never was.
const VERSION_LAST: i64 = 2;

/// The first version that has stateful reconnect.
const VERSION_STATEFUL: i64 = 2;

/// A client's handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeRequest {
    /// The name of the encoding that follows.
    protocol: Box<str>,
    /// The version of the protocol.
    version: i64,
}

/// What both ends have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The encoding of all that follows.
    pub protocol: Protocol,
    /// Whether stateful reconnect can be used, provided that it was negotiated.
    pub allows_stateful_reconnect: bool,
}

/// A server's answer to a handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HandshakeResponse {
    /// Why the server refuses; `None` if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
}

/// Reads a handshake as its bytes come in. Holds nothing but the beginning of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HandshakeReader {
    partial: Vec<u8>,
}

/// Why a handshake fails. The texts are what the official server tells a client, who is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is longer than [`HANDSHAKE_MAX`]; whoever waits for one tells a client that was too slow
    /// the same.
    #[error("Handshake was canceled.")]
    Canceled,
    /// It is not JSON, or not a handshake.
    #[error("An unexpected error occurred during connection handshake.")]
    Malformed,
    /// No encoding has this name.
    #[error("The protocol '{0}' is not supported.")]
    UnknownProtocol(Box<str>),
    /// The encoding has no such version.
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    UnknownVersion {
        /// The version that the client wants.
        version: i64,
        /// The encoding that the client wants.
        protocol: &'static str,
    },
    /// The transport carries text and the encoding is binary.
    #[error(
        "Cannot use the '{protocol}' protocol on the current transport. The transport does not \
         support '{format}' transfer format."
    )]
    TransferFormat {
        /// The encoding that the client wants.
        protocol: &'static str,
        /// What it needs.
        format: &'static str,
    },
}

/// Why a server's answer is none: the server's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It is longer than [`HANDSHAKE_MAX`], not JSON, or not an object.
    #[error("the server's answer to the handshake is malformed")]
    Malformed,
    /// It is a hub message.
    #[error("Expected a handshake response from the server.")]
    HubMessage,
}

impl HandshakeRequest {
    /// Asks for an encoding, in the version that has stateful reconnect or in the first.
    pub fn new(spoken: Spoken) -> Self {
        let version = if spoken.allows_stateful_reconnect { VERSION_STATEFUL } else { 1 };
        Self { protocol: spoken.protocol.name().into(), version }
    }

    /// Agrees to what the client asks for, if a transport of these formats can carry it.
    ///
    /// # Errors
    /// What cannot be agreed to, which goes into the [`HandshakeResponse`].
    pub fn agree(self, formats: &[TransferFormat]) -> Result<Spoken, HandshakeError> {
        let Some(protocol) = Protocol::named(&self.protocol) else {
            return Err(HandshakeError::UnknownProtocol(self.protocol));
        };
        let (version, name) = (self.version, protocol.name());
        if version > VERSION_LAST {
            return Err(HandshakeError::UnknownVersion { version, protocol: name });
        }
        let format = protocol.transfer_format();
        if !formats.contains(&format) {
            let format = format.name();
            return Err(HandshakeError::TransferFormat { protocol: name, format });
        }
        Ok(Spoken { protocol, allows_stateful_reconnect: version >= VERSION_STATEFUL })
    }

    /// The handshake and its separator.
    pub fn to_bytes(&self) -> Vec<u8> {
        separated(self)
    }
}

impl HandshakeResponse {
    /// The server agrees.
    pub const fn agreed() -> Self {
        Self { error: None }
    }

    /// The server refuses, for this reason.
    pub fn refused(error: &HandshakeError) -> Self {
        Self { error: Some(error.to_string().into()) }
    }

    /// The answer and its separator.
    pub fn to_bytes(&self) -> Vec<u8> {
        separated(self)
    }
}

impl From<&HandshakeError> for HandshakeResponse {
    fn from(error: &HandshakeError) -> Self {
        Self { error: Some(error.to_string().into()) }
    }
}

impl HandshakeReader {
    /// Reads a client's handshake from `input`, which is advanced to what follows it; `None` while
    /// it is unfinished.
    ///
    /// # Errors
    /// What the client did wrong; nothing must be read from it after that.
    pub fn request(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<HandshakeRequest>, HandshakeError> {
        let Some(record) = self.record(input).map_err(|TooLong| HandshakeError::Canceled)? else {
            return Ok(None);
        };
        serde_json::from_slice(&record).map(Some).map_err(|_| HandshakeError::Malformed)
    }

    /// Reads a server's answer from `input`, which is advanced to what follows it; `None` while it
    /// is unfinished.
    ///
    /// # Errors
    /// What the server did wrong; nothing must be read from it after that.
    pub fn response(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<HandshakeResponse>, ResponseError> {
        let Some(record) = self.record(input).map_err(|TooLong| ResponseError::Malformed)? else {
            return Ok(None);
        };
        let answer: Answer =
            serde_json::from_slice(&record).map_err(|_| ResponseError::Malformed)?;
        match answer.kind {
            Some(_) => Err(ResponseError::HubMessage),
            None => Ok(Some(HandshakeResponse { error: answer.error })),
        }
    }

    /// What lies before the separator.
    fn record(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, TooLong> {
        let room = HANDSHAKE_MAX - self.partial.len();
        let window = &input[..input.len().min(room)];
        let end = memchr::memchr(SEPARATOR, window);
        if end.is_none() && window.len() == room {
            return Err(TooLong);
        }
        self.partial.extend_from_slice(&input[..end.unwrap_or(window.len())]);
        *input = &input[end.map_or(window.len(), |end| end + 1)..];
        Ok(end.map(|_| std::mem::take(&mut self.partial)))
    }
}

/// More than [`HANDSHAKE_MAX`] bytes and no end.
struct TooLong;

/// A server's answer, or what is mistaken for one.
#[derive(Deserialize)]
struct Answer {
    error: Option<Box<str>>,
    #[serde(rename = "type")]
    kind: Option<IgnoredAny>,
}

fn separated(object: &impl Serialize) -> Vec<u8> {
    // Text and numbers always serialise.
    let mut bytes = serde_json::to_vec(object).unwrap_or_default();
    bytes.push(SEPARATOR);
    bytes
}

#[cfg(test)]
mod tests;
