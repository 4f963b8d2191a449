//! A session as one node hands it to another: plain data, behind the version of its format. Pure.
//!
//! Bytes behind what this version knows are left alone, so that a newer node may say more. Whoever
//! reads believes nothing: what cannot be a session is none.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use everwire_backplane::{Cursor, NodeId};
use everwire_proto::signalr::Protocol;

use crate::{
    connection::kept::Frozen,
    fanout::{
        envelope::{read_id, read_ids, read_place, write_ids, write_place},
        fields::{Reader, Writer},
        ledger::Progress,
    },
    history::follow::{Followed, Mode, Span},
    id::{ConnectionId, GroupName, UserId},
    identity::Identity,
    method::Claims,
    presence::{Place, Scope},
    request::ClientRequest,
};

/// Everything that a client's next node has to know.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: ConnectionId,
    pub(crate) protocol: Protocol,
    pub(crate) identity: Identity,
    /// The request that the connection began with. Its token says where it was issued.
    pub(crate) request: ClientRequest,
    pub(crate) groups: BTreeSet<GroupName>,
    pub(crate) kept: Frozen,
    /// Its places in channels with a history.
    pub(crate) follows: Vec<Followed>,
    /// How far its node had come with what all nodes say when this was all that it had been told.
    pub(crate) progress: Progress,
    /// What that node is called.
    pub(crate) node: NodeId,
    /// Groups and names of a hub without a program.
    pub(crate) attending: Attending,
}

/// What a connection has in a hub without a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attending {
    /// The groups that count against what it may have.
    pub(crate) groups: Vec<GroupName>,
    /// Where it is present, and under which names.
    pub(crate) places: Vec<Place>,
}

/// What a node says of a wave that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Sessions that it has taken in.
    pub(crate) adopted: Vec<ConnectionId>,
    /// How far it has come.
    pub(crate) progress: Progress,
}

impl Ended {
    pub(crate) fn write(&self) -> Bytes {
        self.progress.write(write_ids(Writer::default(), &self.adopted)).finish()
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Self> {
        let mut from = Reader::new(bytes);
        Some(Self { adopted: read_ids(&mut from)?, progress: Progress::read(&mut from)? })
    }
}

impl Session {
    pub(crate) fn write(&self) -> Bytes {
        let Identity { user, claims, expires } = &self.identity;
        let expires = expires.and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok());
        let headers: Vec<_> = self.request.headers().collect();
        let Frozen { taken, released, unacknowledged } = &self.kept;
        let Attending { groups, places } = &self.attending;
        // A node that cannot go on there must not take it.
        let format = if self.follows.is_empty() { FORMAT } else { FORMAT_FOLLOWING };
        let writer = Writer::default()
            .byte(format)
            .plain(self.id.as_bytes())
            .byte(self.protocol as u8)
            .list(user.iter(), |to, user| to.text(user.as_str()))
            .list(claims.iter(), |to, (name, value)| to.text(name).text(value))
            .list(expires.iter(), |to, since| to.number(since.as_millis() as u64))
            .text(self.request.target())
            .list(headers.iter(), |to, (name, value)| to.text(name).bytes(value))
            .list(self.groups.iter(), |to, group| to.text(group.as_str()))
            .number(*taken)
            .number(*released)
            .list(unacknowledged.iter(), |to, frame| to.bytes(frame))
            .list(groups.iter(), |to, group| to.text(group.as_str()))
            .list(places.iter(), write_place);
        let writer = self.progress.write(writer).plain(&<[u8; 12]>::from(self.node));
        writer.list(self.follows.iter(), write_followed).finish()
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Self> {
        if bytes.len() > SESSION_MAX {
            return None;
        }
        let mut from = Reader::new(bytes);
        let format = from.byte().filter(|format| [FORMAT, FORMAT_FOLLOWING].contains(format))?;
        let id = read_id(&mut from)?;
        let protocol = match from.byte()? {
            number if number == Protocol::Json as u8 => Protocol::Json,
            number if number == Protocol::MessagePack as u8 => Protocol::MessagePack,
            _ => return None,
        };
        let identity = read_identity(&mut from)?;
        let request = read_request(&mut from)?;
        let groups = read_groups(&mut from)?.into_iter().collect();
        let kept = read_kept(&mut from)?;
        let groups_attended = read_groups(&mut from)?;
        let places = from.list(read_place)?;
        let attending = Attending { groups: groups_attended, places };
        let progress = Progress::read(&mut from)?;
        let node = NodeId::from(from.array::<12>()?);
        let follows = match format {
            FORMAT_FOLLOWING => from.list(read_followed)?,
            _ => Vec::new(),
        };
        Some(Self {
            id,
            protocol,
            identity,
            request,
            groups,
            kept,
            follows,
            progress,
            node,
            attending,
        })
    }
}

fn read_identity(from: &mut Reader) -> Option<Identity> {
    let user = from.list(Reader::text)?.pop().map(UserId::new);
    let mut claims = Claims::default();
    for (name, value) in from.list(|from| Some((from.text()?, from.text()?)))? {
        claims.add(name, value);
    }
    let expires = match from.list(Reader::number)?.pop() {
        Some(millis) => Some(SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?),
        None => None,
    };
    Some(Identity { user, claims, expires })
}

fn read_request(from: &mut Reader) -> Option<ClientRequest> {
    let target = from.text()?;
    let headers = from.list(|from| Some((from.text()?, from.bytes()?)))?;
    let is_line = |text: &[u8]| !text.contains(&b'\n');
    let are_lines = is_line(target.as_bytes())
        && headers
            .iter()
            .all(|(name, value)| is_line(name.as_bytes()) && !name.contains(':') && is_line(value));
    let fields = headers.iter().map(|(name, value)| (name.as_str(), &value[..]));
    are_lines.then(|| ClientRequest::from_fields(&target, fields))
}

fn read_groups(from: &mut Reader) -> Option<Vec<GroupName>> {
    from.list(|from| from.text().map(GroupName::new))
}

fn read_kept(from: &mut Reader) -> Option<Frozen> {
    let number = |from: &mut Reader| from.number().filter(|number| *number <= NUMBER_MAX);
    let (taken, released) = (number(from)?, number(from)?);
    Some(Frozen { taken, released, unacknowledged: from.list(Reader::bytes)? })
}

fn write_followed(to: Writer, followed: &Followed) -> Writer {
    let Followed { scope, span, mode } = followed;
    let group = match scope {
        Scope::Hub => None,
        Scope::Group(group) => Some(group.as_str()),
    };
    let to = to.list(group.iter(), |to, group| to.text(group)).byte(*mode as u8);
    [span.since, span.at].iter().fold(to, |to, at| to.number(at.epoch).number(at.offset))
}

fn read_followed(from: &mut Reader) -> Option<Followed> {
    let group = from.list(Reader::text)?.pop();
    let scope = group.map_or(Scope::Hub, |group| Scope::Group(GroupName::new(group)));
    let mode = match from.byte()? {
        number if number == Mode::Live as u8 => Mode::Live,
        number if number == Mode::Torn as u8 => Mode::Torn,
        number if number == Mode::Following as u8 => Mode::Following,
        _ => return None,
    };
    let mut cursor = || {
        let number = |from: &mut Reader| from.number().filter(|number| *number <= NUMBER_MAX);
        Some(Cursor { epoch: number(from)?, offset: number(from)? })
    };
    let span = Span { since: cursor()?, at: cursor()? };
    Some(Followed { scope, span, mode })
}

const FORMAT: u8 = 1;

/// Places in channels with a history lie behind the rest.
const FORMAT_FOLLOWING: u8 = 2;

/// No session has said more: what counts from here on does not overflow.
const NUMBER_MAX: u64 = 1 << 53;

/// Bytes of one session: what one keeps by default is a megabyte, and its groups, claims and request
/// are less. One that is larger does not move.
pub(crate) const SESSION_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use everwire_backplane::{Incarnation, Member, Origin};
    use proptest::prelude::*;

    use super::*;

    fn session(frames: usize) -> Session {
        let mut claims = Claims::default();
        claims.add("role", "admin");
        let user = Some("ann\0:\u{1e}ö".into());
        let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(77));
        let fields = [("cookie", &b"a=b; c=\xff"[..]), ("authorization", b"Bearer t")];
        let mut progress = Progress::default();
        let member = Member { node: [7; 12].into(), incarnation: Incarnation(1) };
        progress.note(Origin { member, sequence: 3 });
        Session {
            id: ConnectionId::random(),
            protocol: Protocol::MessagePack,
            identity: Identity { user, claims, expires },
            request: ClientRequest::from_fields("/hub?id=x", fields.into_iter()),
            groups: ["go".into(), "".into()].into(),
            kept: Frozen {
                taken: 12,
                released: 34,
                unacknowledged: vec![Bytes::from_static(b"\x81\x01x"); frames],
            },
            follows: vec![
                followed(Scope::Hub, Mode::Following),
                followed(Scope::Group("go".into()), Mode::Live),
                followed(Scope::Group("".into()), Mode::Torn),
            ],
            progress,
            node: member.node,
            attending: Attending {
                groups: vec!["go".into()],
                places: vec![(Scope::Hub, "ann".into()), (Scope::Group("go".into()), "".into())],
            },
        }
    }

    fn followed(scope: Scope, mode: Mode) -> Followed {
        let at = |offset| Cursor { epoch: 9, offset };
        Followed { scope, span: Span { since: at(2), at: at(5) }, mode }
    }

    #[test]
    fn a_session_reads_as_it_was_written_and_may_have_more_behind_it() {
        let session = session(3);
        let written = session.write();
        let newer = [&written, &b"what a newer node adds"[..]].concat().into();
        for bytes in [written.clone(), newer] {
            let read = Session::read(bytes).expect("a session");
            assert_eq!(read.write(), written);
            assert_eq!((read.id, read.protocol), (session.id, session.protocol));
            assert_eq!(read.identity.user, session.identity.user);
            assert_eq!(read.identity.claims.first("role"), Some("admin"));
            assert_eq!(read.identity.expires, session.identity.expires);
            assert_eq!(read.request.target(), "/hub?id=x");
            assert_eq!(read.request.token().as_deref(), Some("t"));
            assert_eq!((read.groups, read.kept), (session.groups.clone(), session.kept.clone()));
            assert_eq!((&read.progress, &read.attending), (&session.progress, &session.attending));
            assert_eq!((read.follows, read.node), (session.follows.clone(), session.node));
        }
    }

    #[test]
    fn a_node_that_knows_no_places_in_histories_takes_no_session_that_has_some() {
        let mut session = session(1);
        assert_eq!(session.write()[0], FORMAT_FOLLOWING);
        session.follows.clear();
        let written = session.write();
        assert_eq!(written[0], FORMAT, "what it can read it gets");
        assert!(Session::read(written).is_some());
    }

    #[test]
    fn attack_s8_a_session_that_is_cut_short_or_of_another_version_is_none() {
        let written = session(2).write();
        for end in 0..written.len() {
            assert!(Session::read(written.slice(..end)).is_none(), "{end}");
        }
        for format in [0, FORMAT_FOLLOWING + 1] {
            let other = [&[format][..], &written[1..]].concat();
            assert!(Session::read(other.into()).is_none());
        }
    }

    #[test]
    fn attack_s8_a_session_is_not_larger_than_it_may_be_and_does_not_count_without_end() {
        let mut large = session(1);
        large.kept.unacknowledged[0] = vec![0; SESSION_MAX].into();
        assert!(Session::read(large.write()).is_none());
        let mut endless = session(1);
        endless.kept.taken = u64::MAX;
        assert!(Session::read(endless.write()).is_none());
        let mut far = session(1);
        far.follows[0].span.at.offset = u64::MAX;
        assert!(Session::read(far.write()).is_none());
        let mut split = session(1);
        split.request = ClientRequest::from_fields("/\nx:y", std::iter::empty());
        assert!(Session::read(split.write()).is_none());
    }

    proptest! {
        #[test]
        fn attack_s8_no_bytes_are_more_than_a_session(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let _ = Session::read([&[FORMAT][..], &bytes].concat().into());
            // A good one, with one byte changed, reads as nothing or as what can be written again.
            let mut changed = session(2).write().to_vec();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Some(read) = Session::read(changed.into()) {
                prop_assert!(Session::read(read.write()).is_some());
            }
        }
    }
}
