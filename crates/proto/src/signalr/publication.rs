//! What is published from outside by an HTTP request: a target and arguments, in one of the forms
//! that Azure SignalR's data plane takes.
//!
//! *An object*, in JSON or MessagePack, with `target` and, if there are any, `arguments`. Its keys are
//! told apart whatever their case, since not all clients write them alike. *Encoded messages*: a
//! MessagePack map from the name of an encoding to a whole invocation in it, framing included; the
//! publisher has encoded its arguments as the application's clients expect them.

use bytes::Bytes;

use super::{
    Protocol, ReadError, Reader, json,
    message::{HubMessage, Invocation},
    msgpack::{self, Token},
    payload::Arguments,
};

/// A call of a method of the clients that wants no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The method; never empty.
    pub target: Box<str>,
    /// What it is called with; none if the publisher names none.
    pub arguments: Arguments,
}

/// How a publication is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An object in this encoding.
    Object(Protocol),
    /// Encoded messages.
    Encoded,
}

/// What has been read of an object.
#[derive(Default)]
struct Found {
    target: Option<Box<str>>,
    arguments: Option<Arguments>,
}

/// A key of an object.
enum Key {
    Target,
    Arguments,
}

impl Publication {
    /// Reads the body of a request. Its length is the caller's to limit.
    ///
    /// # Errors
    /// What the publisher did wrong. Unlike a hub message's, an unknown key is a mistake: nobody
    /// else would notice that `argument` was never sent.
    pub fn read(form: Form, body: &[u8]) -> Result<Self, ReadError> {
        match form {
            Form::Object(Protocol::Json) => read_json(body),
            Form::Object(Protocol::MessagePack) => read_msgpack(body),
            Form::Encoded => read_encoded(body),
        }
    }
}

impl Found {
    fn into_publication(self) -> Result<Publication, ReadError> {
        let target = self.target.filter(|target| !target.is_empty());
        let target = target.ok_or(ReadError::Missing("target"))?;
        Ok(Publication { target, arguments: self.arguments.unwrap_or_else(Arguments::none) })
    }
}

impl Key {
    fn read(name: &str) -> Result<Self, ReadError> {
        match name {
            _ if name.eq_ignore_ascii_case("target") => Ok(Self::Target),
            _ if name.eq_ignore_ascii_case("arguments") => Ok(Self::Arguments),
            _ => Err(ReadError::Malformed("a property besides 'target' and 'arguments'")),
        }
    }
}

fn read_json(body: &[u8]) -> Result<Publication, ReadError> {
    let text = str::from_utf8(body).map_err(|_| ReadError::NotUtf8)?;
    let mut scan = json::Scan::new(text, 0);
    let mut found = Found::default();
    scan.expect(b'{', "not an object")?;
    let mut first = true;
    while scan.take_separator(first, b'}')? {
        first = false;
        match Key::read(&scan.name()?)? {
            Key::Target if scan.peek() == Some(b'"') => {
                found.target = Some(scan.string()?.into());
            }
            Key::Target => return Err(TARGET),
            Key::Arguments => {
                let value = scan.value(1)?;
                found.arguments = arguments(Protocol::Json, value.as_bytes(), value == "null")?;
            }
        }
    }
    scan.expect_end()?;
    found.into_publication()
}

fn read_msgpack(body: &[u8]) -> Result<Publication, ReadError> {
    let mut scan = msgpack::Scan::new(body, 0);
    let mut found = Found::default();
    for _ in 0..pairs(&mut scan)? {
        match Key::read(name(&mut scan)?)? {
            Key::Target => {
                let Token::Text(target) = scan.token()? else { return Err(TARGET) };
                found.target = Some(str::from_utf8(target).map_err(|_| TARGET)?.into());
            }
            Key::Arguments => {
                let value = scan.value(1)?;
                found.arguments = arguments(Protocol::MessagePack, value, value == [NIL])?;
            }
        }
    }
    scan.expect_end()?;
    found.into_publication()
}

fn read_encoded(body: &[u8]) -> Result<Publication, ReadError> {
    let mut scan = msgpack::Scan::new(body, 0);
    let (mut json, mut msgpack) = (None, None);
    for _ in 0..pairs(&mut scan)? {
        let protocol = Protocol::named(name(&mut scan)?);
        let (Token::Binary(message) | Token::Text(message)) = scan.token()? else {
            return Err(ReadError::Malformed("a message that is not bytes"));
        };
        match protocol {
            Some(Protocol::Json) => json = Some(invocation(Protocol::Json, message)?),
            Some(Protocol::MessagePack) => {
                msgpack = Some(invocation(Protocol::MessagePack, message)?);
            }
            // An encoding that no client of ours speaks: nobody would receive it.
            None => {}
        }
    }
    scan.expect_end()?;
    match (json, msgpack) {
        (Some(json), Some(msgpack)) if json.target != msgpack.target => {
            Err(ReadError::Malformed("two messages with different targets"))
        }
        (Some(json), Some(msgpack)) => {
            let arguments = json.arguments.in_both(&msgpack.arguments);
            Ok(Publication { arguments, ..json })
        }
        (Some(only), None) | (None, Some(only)) => Ok(only),
        (None, None) => Err(ReadError::Malformed("no message in JSON or MessagePack")),
    }
}

/// A message that is a call, with its framing, and nothing else.
fn invocation(protocol: Protocol, message: &[u8]) -> Result<Publication, ReadError> {
    let mut rest = message;
    let read = Reader::new(protocol, message.len()).next(&mut rest)?;
    match read {
        Some(HubMessage::Invocation(Invocation { id: None, call, .. }))
            if rest.is_empty() && call.streams.is_empty() =>
        {
            Ok(Publication { target: call.target, arguments: call.arguments })
        }
        _ => Err(ReadError::Malformed("something else than one call without an answer")),
    }
}

fn arguments(
    protocol: Protocol,
    value: &[u8],
    is_null: bool,
) -> Result<Option<Arguments>, ReadError> {
    if is_null {
        return Ok(None);
    }
    Arguments::parse(protocol, Bytes::copy_from_slice(value)).map(Some)
}

fn pairs(scan: &mut msgpack::Scan<'_>) -> Result<usize, ReadError> {
    match scan.token()? {
        Token::Map(count) => Ok(count),
        _ => Err(ReadError::Malformed("not a map")),
    }
}

fn name<'a>(scan: &mut msgpack::Scan<'a>) -> Result<&'a str, ReadError> {
    let wrong = ReadError::Malformed("a key that is not text");
    let Token::Text(name) = scan.token()? else { return Err(wrong) };
    str::from_utf8(name).map_err(|_| wrong)
}

const TARGET: ReadError = ReadError::Expected { property: "target", kind: "String" };

/// MessagePack's byte for a value that is none.
const NIL: u8 = 0xc0;

#[cfg(test)]
mod tests;
