//! What a journal's bytes mean.
//!
//! A file begins with a [`Header`]: what it is, the epoch, a salt. Frames follow, one for each write, each
//! with all changes that were written at once. A frame is a [`Head`] and a body; two checksums cover
//! them, the salt and the frame's place: bytes that happen to look like a frame, or were put into an
//! entry to look like one, are none, and a frame is none elsewhere. All numbers are little-endian.
//!
//! ```text
//! header   "everwire journal"  form u32  epoch u64  salt u64  crc32 u32
//! frame    F7 EE C0 1A  length u32  crc32 of the head u32  crc32 of the body u32  body
//! change   kind u8  name length u16  time u64  version u64  payload length u32  name  payload
//! ```

use bytes::{Buf, BufMut, Bytes};

use crate::{
    Channel, Entry, Snapshot, Version,
    log::fold::{Change, What},
};

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which filling of the journal; kept when it is written anew.
    pub(super) epoch: u64,
    /// Part of every checksum, and known to nobody else.
    pub(super) salt: u64,
}

/// Why bytes are no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAHeader {
    /// A file whose creation was broken off: nothing was ever committed to it.
    Begun,
    /// Something else.
    Foreign,
    /// A journal in a form that a later release writes.
    Newer,
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of the body.
    pub(super) length: usize,
    sum: u32,
}

impl Header {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(FORM);
        bytes.put_u64_le(self.epoch);
        bytes.put_u64_le(self.salt);
        bytes.put_u32_le(crc32fast::hash(&bytes));
        bytes
    }

    /// Reads the first [`HEADER`] bytes of a file, or all it has.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotAHeader> {
        let same = MAGIC.iter().zip(bytes).all(|(wanted, byte)| wanted == byte);
        let short = bytes.len() < HEADER;
        if short && same || bytes.iter().all(|&byte| byte == 0) {
            return Err(NotAHeader::Begun);
        }
        if short || !same {
            return Err(NotAHeader::Foreign);
        }
        let (covered, mut sum) = bytes.split_at(HEADER - 4);
        let mut fields = &covered[MAGIC.len()..];
        let (form, epoch, salt) = (fields.get_u32_le(), fields.get_u64_le(), fields.get_u64_le());
        match crc32fast::hash(covered) == sum.get_u32_le() {
            true if form == FORM => Ok(Self { epoch, salt }),
            true => Err(NotAHeader::Newer),
            false => Err(NotAHeader::Foreign),
        }
    }

    /// A frame that begins at this place of the file.
    pub(super) fn frame(self, at: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.put_slice(&MARKER);
        // A body is some mebibytes: batches and snapshots have limits.
        bytes.put_u32_le(body.len() as u32);
        bytes.put_u32_le(self.sum(at, &bytes));
        bytes.put_u32_le(self.sum(at, body));
        bytes.put_slice(body);
        bytes
    }

    /// Reads the first [`HEAD`] bytes of a frame at this place; nothing if it is none.
    pub(super) fn head(self, at: u64, bytes: &[u8]) -> Option<Head> {
        let mut rest = bytes.get(..HEAD)?.strip_prefix(&MARKER)?;
        let (length, head_sum, sum) = (rest.get_u32_le(), rest.get_u32_le(), rest.get_u32_le());
        let is_ours = self.sum(at, &bytes[..8]) == head_sum;
        is_ours.then_some(Head { length: length as usize, sum })
    }

    /// Whether a body is what its head says.
    pub(super) fn has_body(self, at: u64, head: Head, body: &[u8]) -> bool {
        head.length == body.len() && head.sum == self.sum(at, body)
    }

    fn sum(self, at: u64, bytes: &[u8]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.salt.to_le_bytes());
        sum.update(&at.to_le_bytes());
        sum.update(bytes);
        sum.finalize()
    }
}

/// Writes a change behind others.
pub(super) fn put(body: &mut Vec<u8>, change: &Change) {
    let (kind, version, payload) = match &change.what {
        What::Append(Entry { version, payload }) => (APPEND, version.0, &payload[..]),
        What::Keep(Snapshot { version, payload }) => (KEEP, version.0, &payload[..]),
        What::Trim(until) => (TRIM, until.0, &[][..]),
        What::Remove(ends) => (REMOVE, *ends, &[][..]),
        What::Begin(after) => (BEGIN, after.0, &[][..]),
    };
    let name = change.log.as_str().as_bytes();
    body.put_u8(kind);
    body.put_u16_le(name.len() as u16);
    body.put_u64_le(change.at);
    body.put_u64_le(version);
    body.put_u32_le(payload.len() as u32);
    body.put_slice(name);
    body.put_slice(payload);
}

/// Reads the first of the changes that are left; nothing if they make no sense.
pub(super) fn take(body: &mut &[u8]) -> Option<Change> {
    if body.len() < CHANGE {
        return None;
    }
    let (kind, name_length) = (body.get_u8(), usize::from(body.get_u16_le()));
    let (at, version, length) = (body.get_u64_le(), body.get_u64_le(), body.get_u32_le() as usize);
    let (name, rest) = body.split_at_checked(name_length)?;
    let (payload, rest) = rest.split_at_checked(length)?;
    *body = rest;
    let log = Channel::new(str::from_utf8(name).ok()?).ok()?;
    // Copied: an entry that stays is not to keep all that was written at once with it.
    let payload = || Bytes::copy_from_slice(payload);
    let what = match kind {
        APPEND => What::Append(Entry { version: Version(version), payload: payload() }),
        KEEP => What::Keep(Snapshot { version: Version(version), payload: payload() }),
        TRIM => What::Trim(Version(version)),
        REMOVE => What::Remove(version),
        BEGIN => What::Begin(Version(version)),
        _ => return None,
    };
    Some(Change { log, at, what })
}

/// What says that the file is a journal.
const MAGIC: &[u8] = b"everwire journal";

/// The form described above.
const FORM: u32 = 1;

/// What a frame begins with: no UTF-8, as most entries are.
pub(super) const MARKER: [u8; 4] = [0xF7, 0xEE, 0xC0, 0x1A];

/// Bytes of a header.
pub(super) const HEADER: usize = MAGIC.len() + 4 + 8 + 8 + 4;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 16;

/// Bytes of a change beside its name and payload.
const CHANGE: usize = 23;

const APPEND: u8 = 1;
const KEEP: u8 = 2;
const TRIM: u8 = 3;
const REMOVE: u8 = 4;
const BEGIN: u8 = 5;
