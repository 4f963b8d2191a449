//! What a node asks one other node's hub, and what that answers. Pure.
//!
//! Written like an [`envelope`](super::envelope): a version, a kind, its fields. An empty answer says
//! that the question was not understood.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use everwire_proto::signalr::{message::Outcome, negotiate::Transport};

use super::{
    envelope::{
        read_audience, read_id, read_ids, read_payload, read_place, write_audience, write_ids,
        write_payload, write_place,
    },
    fields::{Reader, Writer},
};
use crate::{
    audience::Audience,
    client::InvokeError,
    dispatch::AskError,
    id::{ConnectionId, GroupName, UserId},
    member::Member,
    presence::{Place, peers::Page},
    recipients::GroupError,
    standing::{Kind, Stay},
};

/// What a node asks another.
#[derive(Debug)]
pub(crate) enum Request {
    /// To add a connection to a group, or to remove it.
    Membership { connection: ConnectionId, group: GroupName, joins: bool },
    /// To end a connection.
    Abort(ConnectionId),
    /// To call a method of clients for their answers.
    Survey { question: u64, audience: Audience, patience: Option<Duration>, body: Bytes },
    /// Notes whom it has asked for the node that wanted it.
    Asked { question: u64, ids: Vec<ConnectionId>, is_last: bool },
    /// Notes what those have answered.
    Answers { question: u64, answers: Vec<Answered> },
    /// How many connections these are.
    Count(Audience),
    /// Which connections these are: so many behind one of them, by id.
    Page { audience: Audience, after: Option<ConnectionId>, limit: u32 },
    /// Which groups or users there are: so many behind a name, and how many connections each has.
    Names { of: NamesOf, after: String, limit: u32 },
    /// Who is present behind a place.
    Presence(Option<Place>),
    /// To take a connection out of all groups.
    LeaveAll(ConnectionId),
    /// Whether a connection of a user is in a group.
    HasUser { user: UserId, group: GroupName },
    /// Which groups users are to be in, behind one of the answers.
    Stays(Option<Bytes>),
    /// Where the session of a connection is reached, if it is here.
    Where(ConnectionId),
    /// Whether sessions may move here.
    Offer,
}

/// A node that sessions may move to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Where other nodes reach it.
    pub(crate) node: Box<str>,
    /// How many connections it has.
    pub(crate) connected: u64,
}

/// What has names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesOf {
    Groups,
    Users,
}

/// What became of a question at one client.
pub(crate) type Answered = (ConnectionId, Result<Outcome, InvokeError>);

impl Request {
    pub(crate) fn write(&self) -> Bytes {
        let begin = |kind| Writer::default().byte(FORMAT).byte(kind);
        match self {
            Self::Membership { connection, group, joins } => {
                begin(1).plain(connection.as_bytes()).byte(u8::from(*joins)).text(group.as_str())
            }
            Self::Abort(connection) => begin(2).plain(connection.as_bytes()),
            Self::Survey { question, audience, patience, body } => {
                let millis = patience.map_or(u64::MAX, |patience| patience.as_millis() as u64);
                let writer = begin(3).number(*question).number(millis);
                write_audience(writer, audience).plain(body)
            }
            Self::Asked { question, ids, is_last } => {
                write_ids(begin(4).number(*question).byte(u8::from(*is_last)), ids)
            }
            Self::Answers { question, answers } => {
                begin(5).number(*question).list(answers.iter(), write_answered)
            }
            Self::Count(audience) => write_audience(begin(6), audience),
            Self::Page { audience, after, limit } => {
                let after: Vec<_> = after.iter().copied().collect();
                let writer = write_ids(begin(7).number(u64::from(*limit)), &after);
                write_audience(writer, audience)
            }
            Self::Names { of, after, limit } => {
                begin(8).byte(*of as u8).number(u64::from(*limit)).text(after)
            }
            Self::Presence(after) => begin(9).list(after.iter(), write_place),
            Self::LeaveAll(connection) => begin(10).plain(connection.as_bytes()),
            Self::HasUser { user, group } => begin(11).text(user.as_str()).text(group.as_str()),
            Self::Stays(after) => begin(12).list(after.iter(), |to, after| to.bytes(after)),
            Self::Where(connection) => begin(20).plain(connection.as_bytes()),
            Self::Offer => begin(21),
        }
        .finish()
    }

    pub(crate) fn read(bytes: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes.clone());
        if reader.byte()? != FORMAT {
            return None;
        }
        Some(match reader.byte()? {
            1 => Self::Membership {
                connection: read_id(&mut reader)?,
                joins: reader.byte()? != 0,
                group: GroupName::new(reader.text()?),
            },
            2 => Self::Abort(read_id(&mut reader)?),
            3 => {
                let question = reader.number()?;
                let millis = Some(reader.number()?).filter(|millis| *millis != u64::MAX);
                let patience = millis.map(Duration::from_millis);
                let audience = read_audience(&mut reader)?;
                Self::Survey { question, audience, patience, body: reader.rest() }
            }
            4 => {
                let (question, is_last) = (reader.number()?, reader.byte()? != 0);
                Self::Asked { question, ids: read_ids(&mut reader)?, is_last }
            }
            5 => Self::Answers { question: reader.number()?, answers: reader.list(read_answered)? },
            6 => Self::Count(read_audience(&mut reader)?),
            7 => {
                let limit = u32::try_from(reader.number()?).ok()?;
                let after = read_ids(&mut reader)?.first().copied();
                Self::Page { audience: read_audience(&mut reader)?, after, limit }
            }
            8 => {
                let of = if reader.byte()? == 0 { NamesOf::Groups } else { NamesOf::Users };
                let limit = u32::try_from(reader.number()?).ok()?;
                Self::Names { of, limit, after: reader.text()? }
            }
            9 => Self::Presence(reader.list(read_place)?.into_iter().next()),
            10 => Self::LeaveAll(read_id(&mut reader)?),
            11 => Self::HasUser {
                user: UserId::new(reader.text()?),
                group: GroupName::new(reader.text()?),
            },
            12 => Self::Stays(reader.list(Reader::bytes)?.into_iter().next()),
            20 => Self::Where(read_id(&mut reader)?),
            21 => Self::Offer,
            _ => return None,
        })
    }
}

/// Whether there is such a connection, and what kept it from being added to the group.
pub(crate) fn write_joined(joined: Result<bool, GroupError>) -> Bytes {
    let byte = match joined {
        Ok(is_there) => u8::from(is_there),
        Err(GroupError::TooLong) => 3,
        Err(_) => 2,
    };
    Writer::default().byte(byte).finish()
}

pub(crate) fn read_joined(reply: Bytes) -> Option<Result<bool, GroupError>> {
    match Reader::new(reply).byte()? {
        3 => Some(Err(GroupError::TooLong)),
        2 => Some(Err(GroupError::TooMany)),
        byte => Some(Ok(byte == 1)),
    }
}

/// Yes or no.
pub(crate) fn write_flag(flag: bool) -> Bytes {
    Writer::default().byte(u8::from(flag)).finish()
}

pub(crate) fn read_flag(reply: Bytes) -> Option<bool> {
    Reader::new(reply).byte().map(|byte| byte != 0)
}

/// A text, or none.
pub(crate) fn write_text(text: Option<&str>) -> Bytes {
    Writer::default().list(text.iter(), |to, text| to.text(text)).finish()
}

pub(crate) fn read_text(reply: Bytes) -> Option<Option<String>> {
    Some(Reader::new(reply).list(Reader::text)?.pop())
}

/// What a node offers; nothing if no session may move there.
pub(crate) fn write_offer(offer: Option<&Offer>) -> Bytes {
    let write = |to: Writer, offer: &Offer| to.number(offer.connected).text(&offer.node);
    Writer::default().list(offer.iter().copied(), write).finish()
}

pub(crate) fn read_offer(reply: Bytes) -> Option<Offer> {
    let offers = Reader::new(reply).list(|from| {
        let connected = from.number()?;
        Some(Offer { connected, node: from.text()?.into() })
    });
    offers?.pop()
}

pub(crate) fn write_count(count: usize) -> Bytes {
    Writer::default().number(count as u64).finish()
}

pub(crate) fn read_count(reply: Bytes) -> Option<usize> {
    usize::try_from(Reader::new(reply).number()?).ok()
}

pub(crate) fn write_members(members: &[Member]) -> Bytes {
    let write = |to: Writer, Member { id, user, transport, groups }: &Member| {
        to.plain(id.as_bytes())
            .list(user.iter(), |to, user| to.text(user.as_str()))
            .text(transport.name())
            .list(groups.iter(), |to, group| to.text(group.as_str()))
    };
    Writer::default().list(members.iter(), write).finish()
}

pub(crate) fn read_members(reply: Bytes) -> Option<Vec<Member>> {
    Reader::new(reply).list(|reader| {
        let id = read_id(reader)?;
        let user = reader.list(Reader::text)?.into_iter().next().map(UserId::new);
        let name = reader.text()?;
        let transport = Transport::ALL.into_iter().find(|transport| transport.name() == name)?;
        let groups = reader.list(|reader| reader.text().map(GroupName::new))?;
        Some(Member { id, user, transport, groups })
    })
}

pub(crate) fn write_names(names: &[(Arc<str>, usize)]) -> Bytes {
    let write = |to: Writer, (name, count): &(Arc<str>, usize)| to.number(*count as u64).text(name);
    Writer::default().list(names.iter(), write).finish()
}

pub(crate) fn read_names(reply: Bytes) -> Option<Vec<(Arc<str>, usize)>> {
    Reader::new(reply).list(|reader| {
        let count = usize::try_from(reader.number()?).ok()?;
        Some((reader.text()?.into(), count))
    })
}

pub(crate) fn write_page(page: &Page) -> Bytes {
    let writer = Writer::default().number(page.version).byte(u8::from(page.has_more));
    writer.list(page.places.iter(), write_place).finish()
}

pub(crate) fn read_page(reply: Bytes) -> Option<Page> {
    let mut reader = Reader::new(reply);
    let (version, has_more) = (reader.number()?, reader.byte()? != 0);
    Some(Page { version, places: reader.list(read_place)?, has_more })
}

/// Some of the groups that users are to be in, and the cursor behind them if there may be more.
pub(crate) fn write_stays(stays: &[Stay], next: Option<&Bytes>) -> Bytes {
    let write = |to: Writer, Stay { user, group, left, kind }: &Stay| {
        let is_open = u8::from(*kind == Kind::Open);
        to.text(user.as_str()).text(group.as_str()).number(left.as_millis() as u64).byte(is_open)
    };
    let writer = Writer::default().list(stays.iter(), write);
    writer.list(next.iter(), |to, next| to.bytes(next)).finish()
}

pub(crate) fn read_stays(reply: Bytes) -> Option<(Vec<Stay>, Option<Bytes>)> {
    let mut reader = Reader::new(reply);
    let stays = reader.list(|reader| {
        let (user, group) = (UserId::new(reader.text()?), GroupName::new(reader.text()?));
        let left = Duration::from_millis(reader.number()?);
        let kind = if reader.byte()? == 0 { Kind::Timed } else { Kind::Open };
        Some(Stay { user, group, left, kind })
    })?;
    Some((stays, reader.list(Reader::bytes)?.into_iter().next()))
}

fn write_answered(to: Writer, (id, answer): &Answered) -> Writer {
    let to = to.plain(id.as_bytes());
    match answer {
        Ok(Outcome::Void) => to.byte(0),
        Ok(Outcome::Result(result)) => write_payload(to.byte(1), result),
        Ok(Outcome::Error(error)) => to.byte(2).text(error),
        Err(InvokeError::TooMany) => to.byte(3),
        Err(InvokeError::Refused(AskError::TooMany)) => to.byte(4),
        Err(InvokeError::Refused(AskError::InUse)) => to.byte(5),
        Err(InvokeError::Refused(AskError::Disconnected)) => to.byte(6),
        Err(_) => to.byte(7),
    }
}

fn read_answered(reader: &mut Reader) -> Option<Answered> {
    let id = read_id(reader)?;
    let answer = match reader.byte()? {
        0 => Ok(Outcome::Void),
        1 => Ok(Outcome::Result(read_payload(reader)?)),
        2 => Ok(Outcome::Error(reader.text()?.into())),
        3 => Err(InvokeError::TooMany),
        4 => Err(AskError::TooMany.into()),
        5 => Err(AskError::InUse.into()),
        6 => Err(AskError::Disconnected.into()),
        _ => Err(InvokeError::Disconnected(id)),
    };
    Some((id, answer))
}

/// The version of the format.
const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::payload::Payload;
    use proptest::prelude::*;

    use super::*;
    use crate::{audience::Whom, presence::Scope};

    #[test]
    fn every_request_reads_as_it_was_written() {
        let id = ConnectionId::random();
        let audience = Audience { whom: Whom::All, except: vec![id] };
        let answers = vec![
            (id, Ok(Outcome::Void)),
            (id, Ok(Outcome::Result(Payload::encode_all(&[1, 2]).unwrap()))),
            (id, Ok(Outcome::Error("no".into()))),
            (id, Err(InvokeError::TooMany)),
            (id, Err(AskError::TooMany.into())),
            (id, Err(AskError::InUse.into())),
            (id, Err(AskError::Disconnected.into())),
            (id, Err(InvokeError::Disconnected(id))),
        ];
        let place = (Scope::Group("g".into()), "n".into());
        let patience = Some(Duration::from_millis(7));
        let (of, body) = (NamesOf::Users, Bytes::from_static(b"body"));
        for request in [
            Request::Membership { connection: id, group: "g".into(), joins: true },
            Request::Abort(id),
            Request::Survey { question: 1, audience: audience.clone(), patience, body },
            Request::Asked { question: 2, ids: vec![id, id], is_last: true },
            Request::Answers { question: 3, answers },
            Request::Count(audience.clone()),
            Request::Page { audience, after: Some(id), limit: 9 },
            Request::Names { of, after: "x".into(), limit: 9 },
            Request::Presence(None),
            Request::Presence(Some(place)),
            Request::LeaveAll(id),
            Request::HasUser { user: "ann".into(), group: "go".into() },
            Request::Stays(None),
            Request::Stays(Some(Bytes::from_static(b"cursor"))),
        ] {
            let read = Request::read(&request.write()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
    }

    #[test]
    fn every_answer_reads_as_it_was_written() {
        let id = ConnectionId::random();
        let member = |user: Option<&str>| Member {
            id,
            user: user.map(UserId::from),
            transport: Transport::LongPolling,
            groups: vec!["g".into()],
        };
        let members = vec![member(None), member(Some("ann"))];
        assert_eq!(read_members(write_members(&members)), Some(members));
        let names = vec![("a".into(), 1), ("b".into(), 2)];
        assert_eq!(read_names(write_names(&names)), Some(names));
        let page = Page { version: 3, places: vec![(Scope::Hub, "n".into())], has_more: true };
        assert_eq!(read_page(write_page(&page)), Some(page));
        let stay = |kind| {
            let left = Duration::from_secs(7);
            Stay { user: "ann".into(), group: "go".into(), left, kind }
        };
        let (stays, next) = (vec![stay(Kind::Open), stay(Kind::Timed)], Bytes::from_static(b"x"));
        let read = read_stays(write_stays(&stays, Some(&next)));
        assert_eq!(read, Some((stays, Some(next))));
        assert_eq!(read_count(write_count(7)), Some(7));
        for joined in [Ok(true), Ok(false), Err(GroupError::TooMany), Err(GroupError::TooLong)] {
            assert_eq!(read_joined(write_joined(joined)), Some(joined));
        }
        assert_eq!(read_flag(write_flag(true)), Some(true));
        assert!(read_flag(Bytes::new()).is_none() && read_joined(Bytes::new()).is_none());
    }

    proptest! {
        #[test]
        fn attack_s8_no_question_and_no_answer_does_harm(
            kind in 0..14_u8,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let request = Bytes::from([&[FORMAT, kind][..], &bytes].concat());
            if let Some(read) = Request::read(&request) {
                let again = Request::read(&read.write()).map(|again| format!("{again:?}"));
                prop_assert_eq!(again, Some(format!("{read:?}")));
            }
            let reply = Bytes::from(bytes);
            let _ = (read_members(reply.clone()), read_names(reply.clone()));
            let _ = (read_page(reply.clone()), read_stays(reply));
        }
    }
}
