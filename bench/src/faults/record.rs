//! What clients and backends write down: one fixed-size record per event, appended to a file with
//! one write, so that what a process saw survives its being killed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::clock;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A client handed a message to its socket.
    Sent = 1,
    /// A client received the reply to its message `number`, the `leg_number`th of that leg.
    Got = 2,
    /// A client's socket ended; `number` is the close code, 1006 without one.
    Dropped = 3,
    /// A client's dial failed.
    Refused = 4,
    /// A message arrived whose hash, owner or framing is wrong.
    Torn = 5,
    /// A backend's application took a message.
    Took = 6,
    /// A backend handed a reply to its socket.
    Told = 7,
    /// A control run did something wrong on purpose; `leg_number` says what.
    Tampered = 8,
    /// A durable backend's session goes on on this leg, the `leg_number`th of the session.
    Opened = 9,
    /// A durable backend wrote a message down on the `leg_number`th leg of its session.
    Stored = 10,
}

impl What {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Sent,
            Self::Got,
            Self::Dropped,
            Self::Refused,
            Self::Torn,
            Self::Took,
            Self::Told,
            Self::Tampered,
            Self::Opened,
            Self::Stored,
        ];
        all.into_iter().find(|what| *what as u8 == byte)
    }
}

/// One event of one client's conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Nanoseconds since the epoch.
    pub(crate) at: u64,
    pub(crate) what: What,
    pub(crate) client: u32,
    /// The client's own number of the message.
    pub(crate) number: u64,
    /// The backend's connection, for events that concern one.
    pub(crate) leg: u64,
    /// The number of the reply within its leg.
    pub(crate) leg_number: u64,
}

impl Record {
    /// A record of something that has just happened, without a leg.
    pub(crate) fn new(what: What, client: u32, number: u64) -> Self {
        Self { at: clock::wall_nanos(), what, client, number, leg: 0, leg_number: 0 }
    }

    /// The same on a leg.
    pub(crate) fn on_leg(self, leg: u64, leg_number: u64) -> Self {
        Self { leg, leg_number, ..self }
    }

    fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0..8].copy_from_slice(&self.at.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.leg.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.leg_number.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.client.to_le_bytes());
        bytes[36] = self.what as u8;
        bytes
    }

    fn from_bytes(bytes: &[u8; LEN]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            at: word(0)?,
            number: word(8)?,
            leg: word(16)?,
            leg_number: word(24)?,
            client: u32::from_le_bytes(*bytes.get(32..)?.first_chunk()?),
            what: What::from_byte(bytes[36])?,
        })
    }
}

/// A file of records that several tasks of one process append to.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<File>);

impl Recorder {
    /// Opens a file for appending.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(OpenOptions::new().create(true).read(true).append(true).open(path)?)))
    }

    /// Appends one record; the kernel has it when this returns.
    pub(crate) fn write(&self, record: Record) -> io::Result<()> {
        (&*self.0).write_all(&record.to_bytes())
    }

    /// The records behind the first `count`, whoever wrote them.
    pub(crate) fn read_after(&self, count: usize) -> io::Result<Vec<Record>> {
        let from = (count * LEN) as u64;
        let len = self.0.metadata()?.len().saturating_sub(from);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.0.read_exact_at(&mut bytes, from)?;
        Ok(decoded(&bytes))
    }
}

/// Reads all records of a file; one that was cut by the end of its writer is left out.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Record>> {
    Ok(decoded(&fs::read(path)?))
}

fn decoded(bytes: &[u8]) -> Vec<Record> {
    let (records, _) = bytes.as_chunks::<LEN>();
    records.iter().filter_map(Record::from_bytes).collect()
}

/// A record's share of a page of memory: none lies across two, so that a process that is killed
/// while it writes leaves the whole record or nothing.
const LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_being_written_and_read() {
        let path = std::env::temp_dir().join(format!("bench-record-{}", std::process::id()));
        let record = Record::new(What::Told, 7, 8).on_leg(9, 10);
        Recorder::open(&path).unwrap().write(record).unwrap();
        assert_eq!(read(&path).unwrap(), [record]);
        fs::remove_file(&path).unwrap();
    }
}
