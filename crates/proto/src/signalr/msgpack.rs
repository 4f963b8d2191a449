//! Hub messages as MessagePack: an array whose first item is the type, behind its length.
//!
//! Items at the end may be absent, as older clients leave them out, and items beyond those known
//! are skipped. The length is a variable-length number of 1 to 5 bytes, the lowest 7 bits first; one
//! that takes more bytes than it needs is fine, as in the official server.

mod scan;
mod write;

use std::ops::Range;

use super::{
    HEADERS_MAX, Protocol, ReadError, STREAMS_MAX,
    message::{
        Call, CancelInvocation, Close, Completion, Headers, HubMessage, Invocation, InvocationId,
        Outcome, SequenceId, StreamInvocation, StreamItem,
    },
    payload::{Arguments, Payload},
    reader::id,
};
pub(super) use scan::{Scan, Token};
pub(super) use write::{
    write, write_array, write_binary, write_extension, write_map, write_number, write_signed,
    write_text,
};

/// Most bytes of a length prefix: 31 bits, 7 in each byte.
const PREFIX_MAX: usize = 5;

/// Reads a length prefix: the length, and how many bytes say it. `None` if that is unfinished.
pub(super) fn read_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, ReadError> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(PREFIX_MAX).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = i32::try_from(length).ok().and_then(|length| usize::try_from(length).ok());
            return length.map(|length| Some((length, index + 1))).ok_or(ReadError::Length);
        }
    }
    if bytes.len() < PREFIX_MAX { Ok(None) } else { Err(ReadError::Length) }
}

/// Reads one message without its length; `None` for a type that nobody knows yet.
pub(super) fn read(message: &[u8]) -> Result<Option<HubMessage>, ReadError> {
    let mut items = Items::enter(message)?;
    let read = match items.number("type")? {
        1 => HubMessage::Invocation(items.invocation()?),
        2 => HubMessage::StreamItem(items.item()?),
        3 => HubMessage::Completion(items.completion()?),
        4 => HubMessage::StreamInvocation(items.stream_invocation()?),
        5 => {
            let (headers, id) = items.headers_and_id()?;
            HubMessage::CancelInvocation(CancelInvocation { headers, id })
        }
        6 => HubMessage::Ping,
        7 => HubMessage::Close(items.close()?),
        8 => HubMessage::Ack(SequenceId(items.number("sequenceId")?)),
        9 => HubMessage::Sequence(SequenceId(items.number("sequenceId")?)),
        _ => {
            items.expect_end()?;
            return Ok(None);
        }
    };
    items.expect_end()?;
    Ok(Some(read))
}

/// Judges bytes that claim to be one value, which is to be part of a message.
pub(super) fn judge(bytes: &[u8]) -> Result<(), ReadError> {
    let mut scan = Scan::new(bytes, 0);
    scan.value(1)?;
    scan.expect_end()
}

/// Where the next element of an array lies, `at` being 0 before the first.
pub(super) fn next_element(array: &[u8], at: &mut usize) -> Option<Range<usize>> {
    let mut scan = Scan::new(array, *at);
    if *at == 0 {
        scan.token().ok()?;
    }
    let length = scan.value(1).ok()?.len();
    *at = scan.at();
    Some(*at - length..*at)
}

/// The items of a message's array.
struct Items<'a> {
    scan: Scan<'a>,
    left: usize,
}

impl<'a> Items<'a> {
    fn enter(message: &'a [u8]) -> Result<Self, ReadError> {
        let mut scan = Scan::new(message, 0);
        match scan.token()? {
            Token::Array(left) => Ok(Self { scan, left }),
            _ => Err(ReadError::Malformed("not an array")),
        }
    }

    /// Takes this many items at the front of what is left, or none if there are no more.
    fn take_one(&mut self) -> bool {
        let is_there = self.left > 0;
        self.left -= usize::from(is_there);
        is_there
    }

    fn require(&mut self, property: &'static str) -> Result<&mut Scan<'a>, ReadError> {
        if self.take_one() { Ok(&mut self.scan) } else { Err(ReadError::Missing(property)) }
    }

    /// Passes over what nobody knows yet.
    fn expect_end(&mut self) -> Result<(), ReadError> {
        while self.take_one() {
            self.scan.value(1)?;
        }
        self.scan.expect_end()
    }

    fn number(&mut self, property: &'static str) -> Result<u64, ReadError> {
        let wrong = ReadError::Expected { property, kind: "Number" };
        match self.require(property)?.token()? {
            Token::Unsigned(number) => Ok(number),
            Token::Signed(number) => number.try_into().map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    fn text(&mut self, property: &'static str) -> Result<Option<&'a str>, ReadError> {
        text(self.require(property)?, property)
    }

    fn invocation(&mut self) -> Result<Invocation, ReadError> {
        let headers = self.headers()?;
        let name = self.text("invocationId")?.filter(|name| !name.is_empty());
        let id = name.map(|name| id(name, "invocationId")).transpose()?;
        Ok(Invocation { headers, id, call: self.call()? })
    }

    fn stream_invocation(&mut self) -> Result<StreamInvocation, ReadError> {
        let (headers, id) = self.headers_and_id()?;
        Ok(StreamInvocation { headers, id, call: self.call()? })
    }

    fn item(&mut self) -> Result<StreamItem, ReadError> {
        let (headers, id) = self.headers_and_id()?;
        Ok(StreamItem { headers, id, item: self.payload("item")? })
    }

    fn completion(&mut self) -> Result<Completion, ReadError> {
        let (headers, id) = self.headers_and_id()?;
        let outcome = match self.number("resultKind")? {
            1 => Outcome::Error(self.text("error")?.unwrap_or_default().into()),
            2 => Outcome::Void,
            3 => Outcome::Result(self.payload("result")?),
            _ => return Err(ReadError::Malformed("an invalid invocation result kind")),
        };
        Ok(Completion { headers, id, outcome })
    }

    fn close(&mut self) -> Result<Close, ReadError> {
        let error = if self.left > 0 { self.text("error")? } else { None };
        let allow_reconnect = self.take_one()
            && match self.scan.token()? {
                Token::Bool(allowed) => allowed,
                _ => return Err(NOT_BOOLEAN),
            };
        Ok(Close { error: error.map(Into::into), allow_reconnect })
    }

    fn headers_and_id(&mut self) -> Result<(Headers, InvocationId), ReadError> {
        let headers = self.headers()?;
        let name = self.text("invocationId")?.ok_or(ReadError::Missing("invocationId"))?;
        Ok((headers, id(name, "invocationId")?))
    }

    fn headers(&mut self) -> Result<Headers, ReadError> {
        let scan = self.require("headers")?;
        let mut headers = Headers::default();
        let count = match scan.token()? {
            Token::Map(count) => count,
            Token::Nil => 0,
            _ => return Err(ReadError::Expected { property: "headers", kind: "Map" }),
        };
        if count > HEADERS_MAX {
            return Err(ReadError::TooMany { property: "headers", count_max: HEADERS_MAX });
        }
        for _ in 0..count {
            let name = text(scan, "headers")?.unwrap_or_default();
            let value = text(scan, "headers")?.unwrap_or_default();
            headers.set(name, value);
        }
        Ok(headers)
    }

    fn call(&mut self) -> Result<Call, ReadError> {
        let target = self.text("target")?.filter(|target| !target.is_empty());
        let target = target.ok_or(ReadError::Missing("target"))?;
        let wrong = ReadError::Expected { property: "arguments", kind: "Array" };
        let arguments = Arguments::of(self.payload("arguments")?).ok_or(wrong)?;
        let streams = if self.take_one() { streams(&mut self.scan)? } else { Vec::new() };
        Ok(Call { target: target.into(), arguments, streams })
    }

    fn payload(&mut self, property: &'static str) -> Result<Payload, ReadError> {
        let value = self.require(property)?.value(1)?;
        Ok(Payload::received(Protocol::MessagePack, value))
    }
}

fn text<'a>(scan: &mut Scan<'a>, property: &'static str) -> Result<Option<&'a str>, ReadError> {
    let wrong = ReadError::Expected { property, kind: "String" };
    match scan.token()? {
        Token::Nil => Ok(None),
        Token::Text(text) => str::from_utf8(text).map(Some).map_err(|_| wrong),
        _ => Err(wrong),
    }
}

fn streams(scan: &mut Scan<'_>) -> Result<Vec<InvocationId>, ReadError> {
    let count = match scan.token()? {
        Token::Array(count) => count,
        Token::Nil => 0,
        _ => return Err(ReadError::Expected { property: "streamIds", kind: "Array" }),
    };
    if count > STREAMS_MAX {
        return Err(ReadError::TooMany { property: "streamIds", count_max: STREAMS_MAX });
    }
    let names = (0..count).map(|_| {
        let name = text(scan, "streamIds")?.ok_or(ReadError::Missing("streamIds"))?;
        id(name, "streamIds")
    });
    names.collect()
}

const NOT_BOOLEAN: ReadError = ReadError::Expected { property: "allowReconnect", kind: "Boolean" };

#[cfg(test)]
mod tests;
