//! What is written down of a node's clients, and what it comes to. Pure.
//!
//! An entry of the log is: the version of this format, a kind, and its fields, as nodes write them to
//! one another. What cannot be read changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use everwire_backplane::{Incarnation, Member, NodeId};

use crate::{
    fanout::{
        envelope::read_id,
        fields::{Reader, Writer},
    },
    id::{ConnectionId, GroupName, UserId},
};

/// One client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) user: Option<UserId>,
    pub(crate) groups: BTreeSet<GroupName>,
}

/// What has happened to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// It has come, or is there; what was known of it is void.
    Came(ConnectionId, Holding),
    Joined(ConnectionId, GroupName),
    Parted(ConnectionId, GroupName),
    /// It has gone, and the application knows.
    Gone(ConnectionId),
}

/// An entry of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Notes(Vec<Note>),
    /// What stands before it is void.
    Anew,
    /// From here on this member alone writes: the heir, or the owner in its next life, which takes
    /// all clients along.
    Seal(Member),
}

/// What a log comes to.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) clients: BTreeMap<ConnectionId, Holding>,
    /// Who has sealed it last.
    pub(crate) sealed: Option<Member>,
}

impl Entry {
    pub(crate) fn write(&self) -> Bytes {
        let begin = |kind| Writer::default().byte(FORMAT).byte(kind);
        match self {
            Self::Notes(notes) => write_notes(notes),
            Self::Anew => begin(ANEW).finish(),
            Self::Seal(Member { node, incarnation }) => {
                let node: [u8; 12] = (*node).into();
                begin(SEAL).plain(&node).number(incarnation.0).finish()
            }
        }
    }

    pub(crate) fn read(bytes: &Bytes) -> Option<Self> {
        let mut reader = Reader::new(bytes.clone());
        if reader.byte()? != FORMAT {
            return None;
        }
        Some(match reader.byte()? {
            NOTES => Self::Notes(reader.list(read_note)?),
            ANEW => Self::Anew,
            SEAL => {
                let node = NodeId::from(reader.array::<12>()?);
                Self::Seal(Member { node, incarnation: Incarnation(reader.number()?) })
            }
            _ => return None,
        })
    }
}

/// The entry of these notes.
pub(crate) fn write_notes(notes: &[Note]) -> Bytes {
    Writer::default().byte(FORMAT).byte(NOTES).list(notes.iter(), write_note).finish()
}

impl Note {
    /// About its bytes in an entry.
    pub(crate) fn bytes(&self) -> usize {
        let names = match self {
            Self::Came(_, holding) => {
                let user = holding.user.as_ref().map_or(0, |user| user.as_str().len());
                let groups = holding.groups.iter().map(|group| group.as_str().len() + 4);
                user + groups.sum::<usize>()
            }
            Self::Joined(_, group) | Self::Parted(_, group) => group.as_str().len(),
            Self::Gone(_) => 0,
        };
        names + ConnectionId::BYTES + 16
    }
}

impl Holdings {
    /// Takes one more entry of the log of `owner`.
    pub(crate) fn take(&mut self, entry: &Bytes, owner: NodeId) {
        match Entry::read(entry) {
            None => {}
            Some(Entry::Notes(notes)) => notes.into_iter().for_each(|note| self.apply(note)),
            Some(Entry::Anew) => self.clients.clear(),
            Some(Entry::Seal(by)) => {
                self.sealed = Some(by);
                if by.node == owner {
                    self.clients.clear();
                }
            }
        }
    }

    fn apply(&mut self, note: Note) {
        match note {
            Note::Came(id, holding) => drop(self.clients.insert(id, holding)),
            Note::Joined(id, group) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.groups.insert(group);
                }
            }
            Note::Parted(id, group) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.groups.remove(&group);
                }
            }
            Note::Gone(id) => drop(self.clients.remove(&id)),
        }
    }
}

fn write_note(to: Writer, note: &Note) -> Writer {
    match note {
        Note::Came(id, Holding { user, groups }) => to
            .byte(CAME)
            .plain(id.as_bytes())
            .list(user.iter(), |to, user| to.text(user.as_str()))
            .list(groups.iter(), |to, group| to.text(group.as_str())),
        Note::Joined(id, group) => to.byte(JOINED).plain(id.as_bytes()).text(group.as_str()),
        Note::Parted(id, group) => to.byte(PARTED).plain(id.as_bytes()).text(group.as_str()),
        Note::Gone(id) => to.byte(GONE).plain(id.as_bytes()),
    }
}

fn read_note(reader: &mut Reader) -> Option<Note> {
    let kind = reader.byte()?;
    let id = read_id(reader)?;
    let group = |reader: &mut Reader| reader.text().map(GroupName::new);
    Some(match kind {
        CAME => {
            let user = reader.list(Reader::text)?.into_iter().next().map(UserId::new);
            Note::Came(id, Holding { user, groups: reader.list(group)?.into_iter().collect() })
        }
        JOINED => Note::Joined(id, group(reader)?),
        PARTED => Note::Parted(id, group(reader)?),
        GONE => Note::Gone(id),
        _ => return None,
    })
}

/// The version of the format.
const FORMAT: u8 = 1;

const NOTES: u8 = 1;
const ANEW: u8 = 2;
const SEAL: u8 = 3;

const CAME: u8 = 1;
const JOINED: u8 = 2;
const PARTED: u8 = 3;
const GONE: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(node: u8, incarnation: u64) -> Member {
        Member { node: [node; 12].into(), incarnation: Incarnation(incarnation) }
    }

    fn holding(user: Option<&str>, groups: &[&str]) -> Holding {
        let groups = groups.iter().map(|group| GroupName::new(*group)).collect();
        Holding { user: user.map(UserId::from), groups }
    }

    fn fold(entries: &[Entry]) -> Holdings {
        let mut holdings = Holdings::default();
        let owner = member(1, 1).node;
        entries.iter().for_each(|entry| holdings.take(&entry.write(), owner));
        holdings
    }

    #[test]
    fn a_log_comes_to_who_is_there_and_in_which_groups() {
        let [ann, bob] = [ConnectionId::random(), ConnectionId::random()];
        let entries = [
            Entry::Notes(vec![
                Note::Came(ann, holding(Some("ann"), &["a"])),
                Note::Came(bob, holding(None, &[])),
                Note::Joined(ann, "b".into()),
                Note::Parted(ann, "a".into()),
            ]),
            Entry::Notes(vec![Note::Gone(bob), Note::Joined(bob, "b".into())]),
        ];
        let all = fold(&entries);
        assert_eq!(all.clients, BTreeMap::from([(ann, holding(Some("ann"), &["b"]))]));
        assert_eq!(all.sealed, None);
        for entry in &entries {
            assert_eq!(Entry::read(&entry.write()).as_ref(), Some(entry));
        }
    }

    #[test]
    fn an_owner_that_is_back_takes_its_clients_along_and_an_heir_has_them() {
        let ann = ConnectionId::random();
        let came = || Entry::Notes(vec![Note::Came(ann, holding(None, &[]))]);
        let inherited = fold(&[came(), Entry::Seal(member(2, 1))]);
        assert_eq!((inherited.clients.len(), inherited.sealed), (1, Some(member(2, 1))));
        let taken = fold(&[came(), Entry::Seal(member(1, 2))]);
        assert_eq!((taken.clients.len(), taken.sealed), (0, Some(member(1, 2))));
        assert_eq!(fold(&[came(), Entry::Anew]).clients.len(), 0);
    }

    proptest! {
        #[test]
        fn attack_s8_no_entry_does_harm(
            kind in 0..5_u8,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let entry = Bytes::from([&[FORMAT, kind][..], &bytes].concat());
            if let Some(read) = Entry::read(&entry) {
                prop_assert_eq!(Entry::read(&read.write()), Some(read));
            }
            Holdings::default().take(&entry, member(1, 1).node);
        }
    }
}
