//! Hub messages as JSON: an object, its properties in any order, ended by a record separator.
//!
//! Properties that are unknown are skipped, and of those that are doubled the last counts, as in
//! the official server. `null` counts as absent where that server refuses it: some clients write it.

mod scan;
mod write;

use std::borrow::Cow;
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
pub(super) use scan::Scan;
pub(super) use write::write;

/// Ends each message and the handshake.
pub(super) const SEPARATOR: u8 = 0x1e;

/// Reads one message without its separator; `None` for a type that nobody knows yet.
pub(super) fn read(message: &[u8]) -> Result<Option<HubMessage>, ReadError> {
    let text = str::from_utf8(message).map_err(|_| ReadError::NotUtf8)?;
    Properties::read(text)?.into_message()
}

/// Judges bytes that claim to be one value, which is to be part of a message.
pub(super) fn judge(bytes: &[u8]) -> Result<(), ReadError> {
    let text = str::from_utf8(bytes).map_err(|_| ReadError::NotUtf8)?;
    let mut scan = Scan::new(text, 0);
    scan.value(1)?;
    scan.expect_end()
}

/// Where the next element of an array lies, `at` being 0 before the first.
pub(super) fn next_element(array: &str, at: &mut usize) -> Option<Range<usize>> {
    let mut scan = Scan::new(array, *at);
    let first = *at == 0;
    if (first && !scan.take(b'[')) || !scan.take_separator(first, b']').ok()? {
        return None;
    }
    let length = scan.value(1).ok()?.len();
    *at = scan.at();
    Some(*at - length..*at)
}

/// The properties that any message has, before it is known which one it is.
#[derive(Debug, Default)]
struct Properties<'a> {
    kind: Option<i64>,
    invocation_id: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
    arguments: Option<&'a str>,
    item: Option<&'a str>,
    result: Option<&'a str>,
    sequence_id: Option<i64>,
    allow_reconnect: bool,
    streams: Vec<InvocationId>,
    headers: Headers,
}

impl<'a> Properties<'a> {
    fn read(text: &'a str) -> Result<Self, ReadError> {
        let mut scan = Scan::new(text, 0);
        let mut properties = Self::default();
        scan.expect(b'{', "not an object")?;
        let mut first = true;
        while scan.take_separator(first, b'}')? {
            first = false;
            let name = scan.name()?;
            properties.read_value(&name, &mut scan)?;
        }
        scan.expect_end()?;
        Ok(properties)
    }

    fn read_value(&mut self, name: &str, scan: &mut Scan<'a>) -> Result<(), ReadError> {
        match name {
            "type" => self.kind = integer("type", scan)?,
            "invocationId" => self.invocation_id = string("invocationId", scan)?,
            "target" => self.target = string("target", scan)?,
            "error" => self.error = string("error", scan)?,
            "arguments" => {
                if scan.peek() != Some(b'[') {
                    return Err(ReadError::Expected { property: "arguments", kind: "Array" });
                }
                self.arguments = Some(scan.value(1)?);
            }
            "item" => self.item = Some(scan.value(1)?),
            "result" => self.result = Some(scan.value(1)?),
            "sequenceId" => self.sequence_id = integer("sequenceId", scan)?,
            "allowReconnect" => self.allow_reconnect = boolean("allowReconnect", scan)?,
            "streamIds" => self.streams = streams(scan)?,
            "headers" => self.headers = headers(scan)?,
            _ => {
                scan.value(1)?;
            }
        }
        Ok(())
    }

    fn into_message(self) -> Result<Option<HubMessage>, ReadError> {
        Ok(Some(match self.kind.ok_or(ReadError::Missing("type"))? {
            1 => HubMessage::Invocation(self.into_invocation()?),
            2 => HubMessage::StreamItem(self.into_item()?),
            3 => HubMessage::Completion(self.into_completion()?),
            4 => HubMessage::StreamInvocation(self.into_stream_invocation()?),
            5 => HubMessage::CancelInvocation(CancelInvocation {
                id: required_id(self.invocation_id)?,
                headers: self.headers,
            }),
            6 => HubMessage::Ping,
            7 => HubMessage::Close(Close {
                error: self.error.map(Into::into),
                allow_reconnect: self.allow_reconnect,
            }),
            8 => HubMessage::Ack(sequence(self.sequence_id)?),
            9 => HubMessage::Sequence(sequence(self.sequence_id)?),
            _ => return Ok(None),
        }))
    }

    fn into_invocation(self) -> Result<Invocation, ReadError> {
        let id = match self.invocation_id {
            Some(name) if !name.is_empty() => Some(id(name, "invocationId")?),
            _ => None,
        };
        let call = call(self.target, self.arguments, self.streams)?;
        Ok(Invocation { headers: self.headers, id, call })
    }

    fn into_stream_invocation(self) -> Result<StreamInvocation, ReadError> {
        let id = required_id(self.invocation_id)?;
        let call = call(self.target, self.arguments, self.streams)?;
        Ok(StreamInvocation { headers: self.headers, id, call })
    }

    fn into_item(self) -> Result<StreamItem, ReadError> {
        let id = required_id(self.invocation_id)?;
        let item = payload(self.item.ok_or(ReadError::Missing("item"))?);
        Ok(StreamItem { headers: self.headers, id, item })
    }

    fn into_completion(self) -> Result<Completion, ReadError> {
        let outcome = match (self.error, self.result) {
            (Some(_), Some(_)) => return Err(ReadError::ErrorAndResult),
            (Some(error), None) => Outcome::Error(error.into()),
            (None, Some(result)) => Outcome::Result(payload(result)),
            (None, None) => Outcome::Void,
        };
        let id = required_id(self.invocation_id)?;
        Ok(Completion { headers: self.headers, id, outcome })
    }
}

fn call(
    target: Option<Cow<'_, str>>,
    arguments: Option<&str>,
    streams: Vec<InvocationId>,
) -> Result<Call, ReadError> {
    let target = target.filter(|target| !target.is_empty()).ok_or(ReadError::Missing("target"))?;
    let arguments = payload(arguments.ok_or(ReadError::Missing("arguments"))?);
    let arguments = Arguments::of(arguments).ok_or(ReadError::Missing("arguments"))?;
    Ok(Call { target: target.into(), arguments, streams })
}

fn payload(text: &str) -> Payload {
    Payload::received(Protocol::Json, text.as_bytes())
}

fn required_id(name: Option<Cow<'_, str>>) -> Result<InvocationId, ReadError> {
    id(name.ok_or(ReadError::Missing("invocationId"))?, "invocationId")
}

fn sequence(number: Option<i64>) -> Result<SequenceId, ReadError> {
    let number = number.ok_or(ReadError::Missing("sequenceId"))?;
    let wrong = ReadError::Expected { property: "sequenceId", kind: "Number" };
    number.try_into().map(SequenceId).map_err(|_| wrong)
}

fn string<'a>(
    property: &'static str,
    scan: &mut Scan<'a>,
) -> Result<Option<Cow<'a, str>>, ReadError> {
    match scan.peek() {
        Some(b'"') => scan.string().map(Some),
        _ if scan.value(1)? == "null" => Ok(None),
        _ => Err(ReadError::Expected { property, kind: "String" }),
    }
}

fn integer(property: &'static str, scan: &mut Scan<'_>) -> Result<Option<i64>, ReadError> {
    match scan.value(1)? {
        "null" => Ok(None),
        number => {
            number.parse().map(Some).map_err(|_| ReadError::Expected { property, kind: "Number" })
        }
    }
}

fn boolean(property: &'static str, scan: &mut Scan<'_>) -> Result<bool, ReadError> {
    match scan.value(1)? {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(ReadError::Expected { property, kind: "Boolean" }),
    }
}

fn streams(scan: &mut Scan<'_>) -> Result<Vec<InvocationId>, ReadError> {
    let mut streams = Vec::new();
    if !enters(b'[', ReadError::Expected { property: "streamIds", kind: "Array" }, scan)? {
        return Ok(streams);
    }
    while scan.take_separator(streams.is_empty(), b']')? {
        if streams.len() == STREAMS_MAX {
            return Err(ReadError::TooMany { property: "streamIds", count_max: STREAMS_MAX });
        }
        let name = string("streamIds", scan)?.ok_or(ReadError::Missing("streamIds"))?;
        streams.push(id(name, "streamIds")?);
    }
    Ok(streams)
}

fn headers(scan: &mut Scan<'_>) -> Result<Headers, ReadError> {
    let mut headers = Headers::default();
    if !enters(b'{', ReadError::Expected { property: "headers", kind: "Object" }, scan)? {
        return Ok(headers);
    }
    let mut first = true;
    while scan.take_separator(first, b'}')? {
        first = false;
        if headers.len() == HEADERS_MAX {
            return Err(ReadError::TooMany { property: "headers", count_max: HEADERS_MAX });
        }
        let name = scan.name()?;
        let value = string("headers", scan)?;
        headers.set(name, value.unwrap_or_default());
    }
    Ok(headers)
}

/// Whether an array or object begins, rather than `null`.
fn enters(begin: u8, wrong: ReadError, scan: &mut Scan<'_>) -> Result<bool, ReadError> {
    if scan.take(begin) {
        return Ok(true);
    }
    if scan.value(1)? == "null" { Ok(false) } else { Err(wrong) }
}

#[cfg(test)]
mod tests;
