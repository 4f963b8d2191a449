//! What is written into the fleet's logs: JSON, one object an entry.
//!
//! An entry of events is `{"v":1,"by":"…","n":7,"events":[…]}`: the n-th of one writer, so that one
//! that was written twice counts once. Who reads takes nothing for granted: what is no entry, no event
//! of a known kind, or longer than it may be, is passed over and counted.

mod writers;

use std::collections::BTreeMap;

use bytes::Bytes;
use everwire_backplane::NodeId;
use everwire_hub::ConnectionId;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;

pub use self::writers::{WRITERS_MAX, Writers};
use crate::{
    command::{CommandId, Outcome},
    name::{InstanceName, SetName},
    rollout::Rollout,
};

/// Something that has happened, with the time of day of the node that says so, in milliseconds since
/// 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The cluster has an id; the first one stays.
    Founded {
        /// The id.
        cluster: Box<str>,
    },
    /// An instance has connected: whoever had its name has it no more.
    Joined(Joined),
    /// A connection of an instance has ended.
    Left {
        /// Who.
        instance: InstanceName,
        /// Which of its connections.
        session: Text<ConnectionId>,
        /// How.
        why: Why,
        /// When.
        at: u64,
    },
    /// A node has ended, and all its connections.
    NodeGone {
        /// Which node.
        node: Text<NodeId>,
        /// In which of its lives.
        incarnation: u64,
        /// When.
        at: u64,
    },
    /// Instances have been away for so long that nobody waits for them any more.
    Forgot {
        /// Who.
        instances: Vec<InstanceName>,
    },
    /// A command is to be done by all whom it is for at this point of the log.
    Accepted {
        /// The command.
        command: Box<Order>,
    },
    /// Some more are to do it now.
    Released {
        /// Which command.
        command: CommandId,
        /// 1, 2, 3 …; a number out of turn counts for nothing.
        batch: u32,
        /// Who.
        instances: Vec<InstanceName>,
        /// When.
        at: u64,
    },
    /// What has become of a command at an instance; the first that is said stays.
    Outcome {
        /// Which command.
        command: CommandId,
        /// Where.
        instance: InstanceName,
        /// What.
        outcome: Outcome,
        /// More about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<Box<str>>,
        /// When.
        at: u64,
    },
    /// The deadline is over: who has not said anything will not.
    Expired {
        /// Which command.
        command: CommandId,
        /// When.
        at: u64,
    },
    /// Nobody else is to do it.
    Cancelled {
        /// Which command.
        command: CommandId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Box<str>>,
        /// When.
        at: u64,
    },
    /// There is such a set.
    Set {
        /// Its name.
        name: SetName,
    },
    /// These finished commands are forgotten.
    DroppedCommands {
        /// Which.
        ids: Vec<CommandId>,
    },
}

/// An instance that has connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Who.
    pub instance: InstanceName,
    /// By which connection.
    pub session: Text<ConnectionId>,
    /// At which node.
    pub node: Text<NodeId>,
    /// In which of the node's lives.
    pub incarnation: u64,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Which version of the application it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// Whether the node only says once more what it had said: then a newer connection keeps the name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// When.
    pub at: u64,
}

/// A command as it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: CommandId,
    /// What the sender knows it by: a second one with this key is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// Whom it is for: see [`Target`](crate::target::Target).
    pub target: Box<str>,
    /// Labels that they have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// What is to be done.
    pub name: Box<str>,
    /// With what.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub args: Value,
    /// Until when, in milliseconds since 1970.
    pub deadline: u64,
    /// Who at once.
    #[serde(default)]
    pub rollout: Rollout,
    /// Who wants it, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<str>>,
    /// When it was accepted, in milliseconds since 1970.
    pub at: u64,
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The instance took its leave.
    Left,
    /// It was lost.
    Lost,
    /// Another connection has its name.
    Replaced,
}

/// Something that is written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Text<T>(pub T);

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: std::str::FromStr<Err: std::fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Who writes entries, and how many it has written.
#[derive(Debug)]
pub struct Writer {
    id: u64,
    written: u64,
}

impl Writer {
    /// One that nobody else is.
    pub fn random() -> Self {
        Self { id: rand::random(), written: 0 }
    }
}

/// What marks an entry: the n-th of this writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who wrote it.
    pub writer: u64,
    /// Larger than that of all it wrote before.
    pub number: u64,
}

/// What an entry says.
#[derive(Debug, Default)]
pub struct Events {
    /// Who wrote it; `None` if that is not said.
    pub stamp: Option<Stamp>,
    /// The events that are understood.
    pub events: Vec<Event>,
    /// How many are not.
    pub unknown: u64,
}

#[derive(Deserialize)]
struct Entry {
    v: u32,
    by: Option<Box<str>>,
    n: Option<u64>,
    events: Vec<Known>,
}

/// An event, if it is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Known {
    Yes(Box<Event>),
    No(IgnoredAny),
}

/// The writer's next entry: events that are JSON already.
pub fn write_events(writer: &mut Writer, events: &[Bytes]) -> Bytes {
    writer.written += 1;
    let head =
        format!("{{\"v\":{FORM},\"by\":\"{:x}\",\"n\":{},\"events\":[", writer.id, writer.written);
    let size = head.len() + events.iter().map(|event| event.len() + 1).sum::<usize>() + 2;
    let mut entry = Vec::with_capacity(size);
    entry.extend_from_slice(head.as_bytes());
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            entry.push(b',');
        }
        entry.extend_from_slice(event);
    }
    entry.extend_from_slice(b"]}");
    entry.into()
}

/// One event, to be written into an entry.
pub fn write_event(event: &Event) -> Bytes {
    // Nothing in an event can fail to become JSON: all keys are texts.
    serde_json::to_vec(event).map(Bytes::from).unwrap_or_default()
}

/// What an entry says; `None` if it is none of this form.
pub fn read_events(entry: &[u8]) -> Option<Events> {
    let Entry { v, by, n, events } = serde_json::from_slice(entry).ok()?;
    if v != FORM {
        return None;
    }
    let writer = by.and_then(|by| u64::from_str_radix(&by, 16).ok());
    let stamp = writer.zip(n).map(|(writer, number)| Stamp { writer, number });
    let mut read = Events { stamp, ..Events::default() };
    for event in events {
        match event {
            Known::Yes(event) => read.events.push(*event),
            Known::No(_) => read.unknown += 1,
        }
    }
    Some(read)
}

/// Bytes of a value as JSON.
pub(crate) fn json_bytes(value: &Value) -> usize {
    /// Counts what is written.
    struct Count(usize);

    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // A value is always JSON.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// The form that is written and read.
const FORM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let mut writer = Writer::random();
        let event = Event::Founded { cluster: "ä\"".into() };
        for number in 1..3 {
            let entry = write_events(&mut writer, &[write_event(&event), write_event(&event)]);
            let read = read_events(&entry).unwrap();
            assert_eq!(read.events, [event.clone(), event.clone()]);
            assert_eq!(read.stamp, Some(Stamp { writer: writer.id, number }));
        }
        assert!(read_events(&write_events(&mut writer, &[])).unwrap().events.is_empty());
    }

    #[test]
    fn what_is_unknown_is_counted_and_what_is_none_is_refused() {
        let entry = br#"{"v":1,"events":[{"type":"founded","cluster":"a"},{"type":"later","x":1},
            {"type":"founded"},7],"more":true}"#;
        let read = read_events(entry).unwrap();
        assert_eq!((read.events.len(), read.unknown, read.stamp), (1, 3, None));
        for none in [&b""[..], b"{}", b"[]", br#"{"v":2,"events":[]}"#, b"\xff", br#"{"v":1}"#] {
            assert!(read_events(none).is_none());
        }
    }
}
