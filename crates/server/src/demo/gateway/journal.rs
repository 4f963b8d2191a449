//! What a sample backend remembers: one append-only file per session.
//!
//! A message is taken when its record is in the file, so the file's length is the durable count
//! that exactly-once needs, and everything the service answers follows from it. The file is shared
//! by all backends like a database would be. A *leg* record fences: whoever opens the session last,
//! with a leg that is not lower than the highest seen, owns it; an earlier owner, perhaps only
//! stopped for a while, finds the file longer than it left it and gives up. Records survive SIGKILL; a power cut is not the demo's
//! subject, so nothing is flushed to the disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// One session's file, owned by one leg.
pub(super) struct Journal {
    file: File,
    /// How long the file is as long as this leg owns the session.
    length: u64,
    messages: Vec<Vec<u8>>,
}

/// Why a session cannot be opened or gone on with.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// A later leg owns the session.
    #[error("a later leg owns this session")]
    Superseded,
    /// The file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Journal {
    /// Opens a session for its leg number `leg`.
    pub(super) fn open(store: &Path, session: &str, leg: u64) -> Result<Self, JournalError> {
        let path = store.join(session);
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut journal = Self { file, length: 0, messages: Vec::new() };
        journal.locked(|journal| journal.take_over(leg))?;
        Ok(journal)
    }

    /// How many messages are remembered.
    pub(super) fn count(&self) -> usize {
        self.messages.len()
    }

    /// The messages behind the first `count`, in order.
    pub(super) fn after(&self, count: usize) -> &[Vec<u8>] {
        self.messages.get(count..).unwrap_or_default()
    }

    /// Takes a message: when this returns it survives the death of the process.
    pub(super) fn append(&mut self, message: &[u8]) -> Result<(), JournalError> {
        self.locked(|journal| {
            if journal.file.metadata()?.len() != journal.length {
                return Err(JournalError::Superseded);
            }
            journal.write(&record(MESSAGE, message))
        })?;
        self.messages.push(message.to_vec());
        Ok(())
    }

    fn take_over(&mut self, leg: u64) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        let (records, whole) = parse(&bytes);
        // Half a record is one that nobody was told about.
        self.file.set_len(whole)?;
        self.length = whole;
        for (kind, content) in records {
            match kind {
                LEG if number(content) > leg => return Err(JournalError::Superseded),
                MESSAGE => self.messages.push(content.to_vec()),
                _ => {}
            }
        }
        self.write(&record(LEG, leg.to_string().as_bytes()))
    }

    fn write(&mut self, record: &[u8]) -> Result<(), JournalError> {
        self.file.write_all(record)?;
        self.length = self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    fn locked(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.file.lock()?;
        let done = work(self);
        self.file.unlock()?;
        done
    }
}

/// All messages that the service took, session by session: what it did, to be checked against
/// what it was sent.
pub(super) fn read_all(store: &Path) -> io::Result<Vec<Vec<Vec<u8>>>> {
    let mut sessions = Vec::new();
    for entry in fs::read_dir(store)? {
        let bytes = fs::read(entry?.path())?;
        let (records, _) = parse(&bytes);
        let messages = records.into_iter().filter(|(kind, _)| *kind == MESSAGE);
        sessions.push(messages.map(|(_, content)| content.to_vec()).collect());
    }
    Ok(sessions)
}

/// `M5 hello\n`: kind, length, content.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend_from_slice(format!("{} ", content.len()).as_bytes());
    record.extend_from_slice(content);
    record.push(b'\n');
    record
}

/// The whole records, and how many bytes they are.
fn parse(bytes: &[u8]) -> (Vec<(u8, &[u8])>, u64) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let Some((kind, content, after)) = parse_one(rest) {
        records.push((kind, content));
        rest = after;
    }
    (records, (bytes.len() - rest.len()) as u64)
}

fn parse_one(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&rest[..space])).ok()?;
    let (content, rest) = rest[space + 1..].split_at_checked(length)?;
    Some((*kind, content, rest.strip_prefix(b"\n")?))
}

fn number(digits: &[u8]) -> u64 {
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

const LEG: u8 = b'L';
const MESSAGE: u8 = b'M';

#[cfg(test)]
mod tests {
    use super::*;

    struct Store(std::path::PathBuf);

    impl Store {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("everwire-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Store {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_later_leg_continues_and_an_earlier_one_gives_up() {
        let store = Store::new("journal-fence");
        let mut first = Journal::open(&store.0, "s", 1).unwrap();
        first.append(b"one\ntwo").unwrap();
        let mut second = Journal::open(&store.0, "s", 2).unwrap();
        assert_eq!(second.after(0), [b"one\ntwo"]);
        assert!(matches!(first.append(b"late"), Err(JournalError::Superseded)));
        assert!(matches!(Journal::open(&store.0, "s", 1), Err(JournalError::Superseded)));
        second.append(b"three").unwrap();
        assert_eq!(read_all(&store.0).unwrap(), [[b"one\ntwo".to_vec(), b"three".to_vec()]]);
    }

    #[test]
    fn a_leg_that_is_dialled_again_belongs_to_the_last_dial() {
        let store = Store::new("journal-again");
        let mut given_up = Journal::open(&store.0, "s", 1).unwrap();
        let mut last = Journal::open(&store.0, "s", 1).unwrap();
        assert!(matches!(given_up.append(b"late"), Err(JournalError::Superseded)));
        last.append(b"one").unwrap();
    }

    #[test]
    fn half_a_record_is_forgotten() {
        let store = Store::new("journal-half");
        Journal::open(&store.0, "s", 1).unwrap().append(b"one").unwrap();
        let mut file = OpenOptions::new().append(true).open(store.0.join("s")).unwrap();
        file.write_all(b"M100 hal").unwrap();
        let mut journal = Journal::open(&store.0, "s", 2).unwrap();
        assert_eq!(journal.count(), 1);
        journal.append(b"two").unwrap();
        assert_eq!(journal.after(1), [b"two"]);
    }
}
