//! The nine messages of a hub connection, whatever their encoding.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ID_MAX,
    payload::{Arguments, Payload},
};

/// A message of a hub connection, from either end.
#[derive(Debug, Clone, PartialEq)]
pub enum HubMessage {
    /// Calls a method; type 1.
    Invocation(Invocation),
    /// One item of a stream; type 2.
    StreamItem(StreamItem),
    /// Ends an invocation or an upload stream; type 3.
    Completion(Completion),
    /// Calls a method that answers with a stream; type 4.
    StreamInvocation(StreamInvocation),
    /// Wants no more of an invocation; type 5.
    CancelInvocation(CancelInvocation),
    /// Shows that the sender is there; type 6.
    Ping,
    /// Ends the connection; type 7.
    Close(Close),
    /// Names the last tracked message that was taken; type 8.
    Ack(SequenceId),
    /// Names the next tracked message on a resumed connection; type 9.
    Sequence(SequenceId),
}

/// A call that is answered by at most one completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Headers; hubs pay no attention to them.
    pub headers: Headers,
    /// What the answer is to name; `None` wants no answer, and there must be none.
    pub id: Option<InvocationId>,
    /// What is called.
    pub call: Call,
}

/// A call that is answered by items and a completion.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamInvocation {
    /// Headers; hubs pay no attention to them.
    pub headers: Headers,
    /// What items and completion are to name.
    pub id: InvocationId,
    /// What is called.
    pub call: Call,
}

/// A method and what it is called with.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method's name, never empty. Hubs compare it without regard to case.
    pub target: Box<str>,
    /// Its arguments, without the streams.
    pub arguments: Arguments,
    /// The upload streams, whose items name these ids as if they were invocations.
    pub streams: Vec<InvocationId>,
}

/// One item of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamItem {
    /// Headers; hubs pay no attention to them.
    pub headers: Headers,
    /// The invocation or the upload stream.
    pub id: InvocationId,
    /// The item.
    pub item: Payload,
}

/// The end of an invocation or of an upload stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Headers; hubs pay no attention to them.
    pub headers: Headers,
    /// The invocation or the upload stream.
    pub id: InvocationId,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done and has no result.
    Void,
    /// It is done and this is the result.
    Result(Payload),
    /// It failed.
    Error(Box<str>),
}

/// Wants no more of an invocation, which must still be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelInvocation {
    /// Headers; hubs pay no attention to them.
    pub headers: Headers,
    /// The invocation.
    pub id: InvocationId,
}

/// The end of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Close {
    /// Why, if it is for an error.
    pub error: Option<Box<str>>,
    /// Whether a client that reconnects by itself should do so.
    pub allow_reconnect: bool,
}

/// Number of a tracked message in its direction; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SequenceId(pub u64);

/// Names an invocation or an upload stream of one connection: 1 to [`ID_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Box<str>")]
pub struct InvocationId(Box<str>);

/// Names and values that accompany a message, in the order they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Box<str>, Box<str>)>);

impl HubMessage {
    /// A call that wants no answer.
    pub fn call(target: impl Into<Box<str>>, arguments: Arguments) -> Self {
        let call = Call { target: target.into(), arguments, streams: Vec::new() };
        Self::Invocation(Invocation { headers: Headers::default(), id: None, call })
    }

    /// A call whose answer comes under this id.
    pub fn ask(id: InvocationId, target: impl Into<Box<str>>, arguments: Arguments) -> Self {
        let call = Call { target: target.into(), arguments, streams: Vec::new() };
        Self::Invocation(Invocation { headers: Headers::default(), id: Some(id), call })
    }

    /// The end of an invocation.
    pub fn completion(id: InvocationId, outcome: Outcome) -> Self {
        Self::Completion(Completion { headers: Headers::default(), id, outcome })
    }

    /// One item of a stream.
    pub fn item(id: InvocationId, item: Payload) -> Self {
        Self::StreamItem(StreamItem { headers: Headers::default(), id, item })
    }

    /// Whether stateful reconnect counts the message and keeps it until it is acknowledged.
    pub const fn is_tracked(&self) -> bool {
        match self {
            Self::Invocation(_)
            | Self::StreamItem(_)
            | Self::Completion(_)
            | Self::StreamInvocation(_)
            | Self::CancelInvocation(_) => true,
            Self::Ping | Self::Close(_) | Self::Ack(_) | Self::Sequence(_) => false,
        }
    }
}

impl InvocationId {
    /// The id of this name; `None` if it is empty or longer than [`ID_MAX`].
    pub fn new(name: impl Into<Box<str>>) -> Option<Self> {
        let name = name.into();
        (1..=ID_MAX).contains(&name.len()).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<u64> for InvocationId {
    /// The number in decimal, as most clients name what they begin.
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl TryFrom<Box<str>> for InvocationId {
    type Error = &'static str;

    fn try_from(name: Box<str>) -> Result<Self, Self::Error> {
        Self::new(name).ok_or("an id is empty or too long")
    }
}

impl Borrow<str> for InvocationId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Headers {
    /// Sets a header; one that is there already gets the new value.
    pub fn set(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => *there = value,
            None => self.0.push((name, value)),
        }
    }

    /// All names and values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
