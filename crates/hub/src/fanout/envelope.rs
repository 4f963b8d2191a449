//! What a hub says to itself on all other nodes, once for all of them. Pure.
//!
//! An envelope is: the version of this format, a kind, and what the kind has. A message for clients
//! has its audience first, behind its length, and then what the clients are told, which nobody reads
//! who has none of the audience. Bytes behind what this version knows are left alone, so that a
//! newer node may say more; another version, an unknown kind, and what cannot be read are dropped
//! and counted by whoever receives them.

use std::time::Duration;

use bytes::Bytes;
use everwire_proto::signalr::{
    Protocol,
    message::{Call, HubMessage},
    payload::{Arguments, Payload},
};

use super::fields::{Reader, Writer};
use crate::{
    audience::{Audience, Whom},
    id::{ConnectionId, GroupName, UserId},
    presence::{Place, Scope},
    standing::Change,
};

/// What a hub says to itself on all other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// A message for clients.
    Call {
        /// Who of them.
        audience: Audience,
        /// What they are told; [`read_call`] knows.
        body: Bytes,
    },
    /// A connection joins a group, or leaves it, wherever it is.
    Membership { connection: ConnectionId, group: GroupName, joins: bool },
    /// A name is present on the node that says so, or no longer. Its changes are numbered.
    Presence { version: u64, place: Place, is_there: bool },
    /// Connections end, behind what the node has said before.
    Dismissal { audience: Audience, reason: Option<String> },
    /// Users are to be in a group, or no longer.
    Users(Change),
    /// How many changes of who is present the node has announced. One that has only just begun to
    /// listen wants to know the same of all others.
    Standing { version: u64, is_new: bool },
    /// Nothing. Whoever has heard it has heard what its node had heard before it was said.
    Mark,
}

/// Why bytes are no envelope that this node reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Another node is newer, or older.
    #[error("has version {0} of the format")]
    Version(u8),
    /// It is cut short, or was never one.
    #[error("is broken")]
    Broken,
}

impl Envelope {
    /// A message for clients; `None` if there is no such message between nodes.
    pub(crate) fn call(audience: &Audience, message: &HubMessage) -> Option<Bytes> {
        let HubMessage::Invocation(invocation) = message else { return None };
        let header = write_audience(Writer::default(), audience).finish();
        let writer = begin(CALL).bytes(&header);
        Some(write_call(writer, &invocation.call).finish())
    }

    pub(crate) fn write(&self) -> Bytes {
        match self {
            Self::Call { audience, body } => {
                let header = write_audience(Writer::default(), audience).finish();
                begin(CALL).bytes(&header).plain(body)
            }
            Self::Membership { connection, group, joins } => begin(MEMBERSHIP)
                .plain(connection.as_bytes())
                .byte(u8::from(*joins))
                .text(group.as_str()),
            Self::Presence { version, place, is_there } => {
                write_place(begin(PRESENCE).number(*version).byte(u8::from(*is_there)), place)
            }
            Self::Dismissal { audience, reason } => write_audience(begin(DISMISSAL), audience)
                .list(reason.iter(), |to, reason| to.text(reason)),
            Self::Users(change) => write_change(begin(USERS), change),
            Self::Standing { version, is_new } => {
                begin(STANDING).number(*version).byte(u8::from(*is_new))
            }
            Self::Mark => begin(MARK),
        }
        .finish()
    }

    /// Reads an envelope; of a message for clients the audience alone.
    pub(crate) fn read(bytes: &Bytes) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes.clone());
        let version = reader.byte().ok_or(Unreadable::Broken)?;
        if version != FORMAT {
            return Err(Unreadable::Version(version));
        }
        Self::read_kind(reader).ok_or(Unreadable::Broken)
    }

    fn read_kind(mut reader: Reader) -> Option<Self> {
        Some(match reader.byte()? {
            CALL => {
                let mut header = Reader::new(reader.bytes()?);
                Self::Call { audience: read_audience(&mut header)?, body: reader.rest() }
            }
            MEMBERSHIP => Self::Membership {
                connection: read_id(&mut reader)?,
                joins: reader.byte()? != 0,
                group: GroupName::new(reader.text()?),
            },
            PRESENCE => Self::Presence {
                version: reader.number()?,
                is_there: reader.byte()? != 0,
                place: read_place(&mut reader)?,
            },
            DISMISSAL => Self::Dismissal {
                audience: read_audience(&mut reader)?,
                reason: reader.list(Reader::text)?.into_iter().next(),
            },
            USERS => Self::Users(read_change(&mut reader)?),
            STANDING => Self::Standing { version: reader.number()?, is_new: reader.byte()? != 0 },
            MARK => Self::Mark,
            _ => return None,
        })
    }
}

/// What clients are told.
fn write_call(writer: Writer, call: &Call) -> Writer {
    write_payload(writer.text(&call.target), call.arguments.payload())
}

/// The same by itself.
pub(crate) fn write_body(target: &str, arguments: &Arguments) -> Bytes {
    write_payload(Writer::default().text(target), arguments.payload()).finish()
}

/// What clients are told, if that can be told to them.
pub(crate) fn read_call(body: Bytes) -> Option<(String, Arguments)> {
    let mut reader = Reader::new(body);
    let target = reader.text().filter(|target| !target.is_empty())?;
    let arguments = Arguments::of(read_payload(&mut reader)?)?;
    Some((target, arguments))
}

/// A value in the encodings that there are: what a client gets does not depend on its node.
pub(crate) fn write_payload(writer: Writer, payload: &Payload) -> Writer {
    let [json, msgpack] =
        [Protocol::Json, Protocol::MessagePack].map(|protocol| payload.bytes(protocol));
    match (json, msgpack) {
        (Some(json), Some(msgpack)) => writer.byte(BOTH).bytes(json).bytes(msgpack),
        (Some(json), None) => writer.byte(JSON).bytes(json),
        (None, msgpack) => writer.byte(MSGPACK).bytes(msgpack.map_or(&[0xc0], |bytes| bytes)),
    }
}

pub(crate) fn read_payload(reader: &mut Reader) -> Option<Payload> {
    match reader.byte()? {
        JSON => Payload::parse(Protocol::Json, reader.bytes()?).ok(),
        MSGPACK => Payload::parse(Protocol::MessagePack, reader.bytes()?).ok(),
        BOTH => {
            let json = reader.bytes()?;
            Payload::parse_all(json, reader.bytes()?).ok()
        }
        _ => None,
    }
}

pub(crate) fn write_audience(writer: Writer, audience: &Audience) -> Writer {
    let writer = match &audience.whom {
        Whom::All => writer.byte(0),
        Whom::Groups(names) => writer.byte(1).list(names.iter(), |to, name| to.text(name.as_str())),
        Whom::Users(names) => writer.byte(2).list(names.iter(), |to, name| to.text(name.as_str())),
        Whom::Connections(ids) => write_ids(writer.byte(3), ids),
    };
    write_ids(writer, &audience.except)
}

pub(crate) fn read_audience(reader: &mut Reader) -> Option<Audience> {
    let name = Reader::text;
    let whom = match reader.byte()? {
        0 => Whom::All,
        1 => Whom::Groups(reader.list(|from| name(from).map(GroupName::new))?),
        2 => Whom::Users(reader.list(|from| name(from).map(UserId::new))?),
        3 => Whom::Connections(read_ids(reader)?),
        _ => return None,
    };
    Some(Audience { whom, except: read_ids(reader)? })
}

pub(crate) fn write_ids(writer: Writer, ids: &[ConnectionId]) -> Writer {
    writer.list(ids.iter(), |to, id| to.plain(id.as_bytes()))
}

pub(crate) fn read_ids(reader: &mut Reader) -> Option<Vec<ConnectionId>> {
    reader.list(read_id)
}

pub(crate) fn read_id(reader: &mut Reader) -> Option<ConnectionId> {
    reader.array().map(ConnectionId::from_bytes)
}

pub(crate) fn write_place(writer: Writer, (scope, name): &Place) -> Writer {
    match scope {
        Scope::Hub => writer.byte(0),
        Scope::Group(group) => writer.byte(1).text(group.as_str()),
    }
    .text(name)
}

pub(crate) fn read_place(reader: &mut Reader) -> Option<Place> {
    let scope = match reader.byte()? {
        0 => Scope::Hub,
        1 => Scope::Group(GroupName::new(reader.text()?)),
        _ => return None,
    };
    Some((scope, reader.text()?.into()))
}

fn write_change(writer: Writer, change: &Change) -> Writer {
    match change {
        Change::Add { user, group, stay } => {
            let millis =
                stay.and_then(|stay| u64::try_from(stay.as_millis()).ok()).unwrap_or(u64::MAX);
            writer.byte(0).text(user.as_str()).text(group.as_str()).number(millis)
        }
        Change::Remove { user, group } => writer.byte(1).text(user.as_str()).text(group.as_str()),
        Change::RemoveAll { user } => writer.byte(2).text(user.as_str()),
    }
}

fn read_change(reader: &mut Reader) -> Option<Change> {
    let (kind, user) = (reader.byte()?, UserId::new(reader.text()?));
    Some(match kind {
        0 => {
            let group = GroupName::new(reader.text()?);
            let millis = Some(reader.number()?).filter(|millis| *millis != u64::MAX);
            Change::Add { user, group, stay: millis.map(Duration::from_millis) }
        }
        1 => Change::Remove { user, group: GroupName::new(reader.text()?) },
        2 => Change::RemoveAll { user },
        _ => return None,
    })
}

fn begin(kind: u8) -> Writer {
    Writer::default().byte(FORMAT).byte(kind)
}

/// The version of the format. Another one means that what is known here has changed its meaning;
/// what is only added needs none.
const FORMAT: u8 = 1;

const CALL: u8 = 1;
const MEMBERSHIP: u8 = 2;
const PRESENCE: u8 = 3;
const STANDING: u8 = 4;
const DISMISSAL: u8 = 5;
const USERS: u8 = 6;
const MARK: u8 = 16;

const JSON: u8 = 1;
const MSGPACK: u8 = 2;
const BOTH: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn audiences() -> [Audience; 5] {
        let ids = || vec![ConnectionId::random(), ConnectionId::random()];
        let group = |name: &str| GroupName::new(name);
        // Names that would mean something to a protocol of text mean nothing here.
        let names = vec![group("a"), group("\r\n*$1{}\0"), group("ö"), group("")];
        [
            Whom::All.into(),
            Audience { whom: Whom::All, except: ids() },
            Audience { whom: Whom::Groups(names), except: ids() },
            Whom::Users(vec!["ann".into()]).into(),
            Whom::Connections(ids()).into(),
        ]
    }

    fn said() -> HubMessage {
        HubMessage::call("m", Arguments::encode_all(&(1, "x")).unwrap())
    }

    #[test]
    fn attack_s7_a_name_arrives_as_it_is_whatever_is_in_it() {
        for audience in audiences() {
            let written = Envelope::call(&audience, &said()).unwrap();
            let read = Envelope::read(&written).unwrap();
            let Envelope::Call { audience: there, body } = read.clone() else { unreachable!() };
            assert_eq!(there, audience);
            assert_eq!(read.write(), written);
            let (target, arguments) = read_call(body).unwrap();
            assert_eq!(HubMessage::call(target, arguments), said());
        }
    }

    #[test]
    fn every_envelope_reads_as_it_was_written_and_may_have_more_behind_it() {
        let (connection, place) = (ConnectionId::random(), (Scope::Hub, "ann".into()));
        let in_group = (Scope::Group("go".into()), "ann".into());
        for envelope in [
            Envelope::Membership { connection, group: "go".into(), joins: true },
            Envelope::Presence { version: 7, place, is_there: true },
            Envelope::Presence { version: 8, place: in_group, is_there: false },
            Envelope::Standing { version: 9, is_new: true },
            Envelope::Mark,
            Envelope::Dismissal { audience: Whom::All.into(), reason: Some("late".into()) },
            Envelope::Dismissal { audience: audiences()[2].clone(), reason: None },
            Envelope::Users(Change::Add { user: "ann".into(), group: "go".into(), stay: None }),
            Envelope::Users(Change::Add {
                user: "ann".into(),
                group: "go".into(),
                stay: Some(Duration::from_secs(9)),
            }),
            Envelope::Users(Change::Remove { user: "ann".into(), group: "go".into() }),
            Envelope::Users(Change::RemoveAll { user: "ann".into() }),
        ] {
            let written = envelope.write();
            assert_eq!(Envelope::read(&written).as_ref(), Ok(&envelope));
            let newer = [&written, &b"what a newer node adds"[..]].concat().into();
            assert_eq!(Envelope::read(&newer), Ok(envelope));
            for end in 1..written.len() {
                assert_eq!(Envelope::read(&written.slice(..end)), Err(Unreadable::Broken));
            }
        }
    }

    #[test]
    fn attack_s8_another_version_and_an_unknown_kind_are_told_apart_and_dropped() {
        assert_eq!(Envelope::read(&Bytes::new()), Err(Unreadable::Broken));
        assert_eq!(Envelope::read(&Bytes::from_static(&[2, 1])), Err(Unreadable::Version(2)));
        assert_eq!(Envelope::read(&Bytes::from_static(&[1, 99])), Err(Unreadable::Broken));
        assert_eq!(read_call(Bytes::from_static(b"\0\0\0\0\x01\0\0\0\x02[]")), None, "no target");
        assert_eq!(read_call(Bytes::from_static(b"\0\0\0\x01m\x01\0\0\0\x02{}")), None);
        let deep = [b"\0\0\0\x01m\x01\0\x01\0\0".as_slice(), &[b'['; 0x1_0000]].concat();
        assert_eq!(read_call(deep.into()), None, "nested too deep");
    }

    proptest! {
        #[test]
        fn attack_s8_no_bytes_do_harm(
            kind in 0..8_u8,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = Bytes::from([&[FORMAT, kind][..], &bytes].concat());
            if let Ok(envelope) = Envelope::read(&bytes) {
                prop_assert_eq!(Envelope::read(&envelope.write()), Ok(envelope.clone()));
                if let Envelope::Call { body, .. } = envelope {
                    let _ = read_call(body);
                }
            }
        }
    }
}
