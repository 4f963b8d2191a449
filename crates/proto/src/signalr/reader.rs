//! Messages out of a stream of bytes that has no other boundaries than theirs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{
    DEPTH_MAX, ID_MAX, Protocol, json,
    message::{HubMessage, InvocationId},
    msgpack,
};

/// Reads one peer's messages. Holds nothing but the beginning of an unfinished message; a resumed
/// connection begins with a new reader, for what was unfinished is sent again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reader {
    protocol: Protocol,
    message_max: usize,
    partial: Vec<u8>,
}

/// Why nothing more can be read from a peer, who is at fault in each case. The texts are the
/// official server's where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A message is larger than the limit, or says that it will be.
    #[error(
        "The maximum message size of {message_max}B was exceeded. The message size can be \
         configured in AddHubOptions."
    )]
    TooLarge {
        /// The limit in bytes.
        message_max: usize,
    },
    /// A length prefix of more than 31 bits.
    #[error("Messages over 2GB in size are not supported.")]
    Length,
    /// JSON that is not UTF-8.
    #[error("Error reading JSON: not UTF-8.")]
    NotUtf8,
    /// Neither JSON nor MessagePack reads like this.
    #[error("Error reading the message: {0}.")]
    Malformed(&'static str),
    /// Values lie in each other deeper than [`DEPTH_MAX`].
    #[error("The maximum depth of {DEPTH_MAX} was exceeded.")]
    TooDeep,
    /// A property that the message needs is not there.
    #[error("Missing required property '{0}'.")]
    Missing(&'static str),
    /// A property is something else than it should be.
    #[error("Expected '{property}' to be of type {kind}.")]
    Expected {
        /// The property.
        property: &'static str,
        /// What it should be.
        kind: &'static str,
    },
    /// A completion that failed and yet has a result.
    #[error("The 'error' and 'result' properties are mutually exclusive.")]
    ErrorAndResult,
    /// More streams or headers than a message may have.
    #[error("'{property}' has more than {count_max} items.")]
    TooMany {
        /// The property.
        property: &'static str,
        /// Most items.
        count_max: usize,
    },
    /// An id that is longer than [`ID_MAX`].
    #[error("'{0}' is longer than {ID_MAX} bytes.")]
    IdTooLong(&'static str),
}

impl Reader {
    /// Reads messages of at most `message_max` bytes, framing included.
    pub const fn new(protocol: Protocol, message_max: usize) -> Self {
        Self { protocol, message_max, partial: Vec::new() }
    }

    /// The encoding that is read.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Reads on from `input`, which is advanced; `None` once all of it is used. Types of messages
    /// that nobody knows yet are passed over.
    ///
    /// # Errors
    /// What the peer did wrong; nothing must be read from it after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<HubMessage>, ReadError> {
        loop {
            let taken = match self.protocol {
                Protocol::Json => self.take_record(input)?,
                Protocol::MessagePack => self.take_counted(input)?,
            };
            let Some(body) = taken else { return Ok(None) };
            let known = match self.protocol {
                Protocol::Json => json::read(&body)?,
                Protocol::MessagePack => msgpack::read(&body)?,
            };
            if known.is_some() {
                return Ok(known);
            }
        }
    }

    /// Bytes of memory that an unfinished message takes.
    pub const fn charged(&self) -> usize {
        self.partial.capacity()
    }

    /// Takes what lies before the next separator.
    fn take_record<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, ReadError> {
        let room = self.message_max.saturating_sub(self.partial.len());
        let window = &input[..input.len().min(room)];
        let Some(end) = memchr::memchr(json::SEPARATOR, window) else {
            if window.len() == room {
                return Err(ReadError::TooLarge { message_max: self.message_max });
            }
            self.partial.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        };
        let record = &input[..end];
        *input = &input[end + 1..];
        Ok(Some(self.completed(record)))
    }

    /// Takes as many bytes as the length before them says.
    fn take_counted<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, ReadError> {
        if self.partial.is_empty() {
            let Some((used, end)) = self.counted(input)? else {
                return Ok(self.keep_all(input));
            };
            let Some(body) = input.get(used..end) else { return Ok(self.keep_all(input)) };
            *input = &input[end..];
            return Ok(Some(Cow::Borrowed(body)));
        }
        let (used, end) = loop {
            if let Some(counted) = self.counted(&self.partial)? {
                break counted;
            }
            let Some((next, rest)) = input.split_first() else { return Ok(None) };
            self.partial.push(*next);
            *input = rest;
        };
        let missing = end - self.partial.len();
        let Some((last, rest)) = input.split_at_checked(missing) else {
            return Ok(self.keep_all(input));
        };
        *input = rest;
        let mut message = self.completed(last).into_owned();
        message.drain(..used);
        Ok(Some(Cow::Owned(message)))
    }

    /// Where a body begins and ends behind its length prefix; `None` if that is unfinished.
    fn counted(&self, bytes: &[u8]) -> Result<Option<(usize, usize)>, ReadError> {
        let Some((length, used)) = msgpack::read_length(bytes)? else { return Ok(None) };
        let end = used.saturating_add(length);
        if end > self.message_max {
            return Err(ReadError::TooLarge { message_max: self.message_max });
        }
        Ok(Some((used, end)))
    }

    fn keep_all<T>(&mut self, input: &mut &[u8]) -> Option<T> {
        self.partial.extend_from_slice(input);
        *input = &[];
        None
    }

    /// What was kept and this, which ends it.
    fn completed<'a>(&mut self, last: &'a [u8]) -> Cow<'a, [u8]> {
        if self.partial.is_empty() {
            return Cow::Borrowed(last);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(last);
        Cow::Owned(whole)
    }
}

/// The id of this name.
pub(super) fn id(
    name: impl Into<Box<str>>,
    property: &'static str,
) -> Result<InvocationId, ReadError> {
    let name = name.into();
    if name.is_empty() {
        return Err(ReadError::Missing(property));
    }
    InvocationId::new(name).ok_or(ReadError::IdTooLong(property))
}

#[cfg(test)]
mod tests;
