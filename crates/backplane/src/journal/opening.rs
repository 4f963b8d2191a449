//! Reading a journal from its beginning to the last entry that was committed.

use std::io::{self, BufReader, Read};

use super::{
    disk::Disk,
    format::{self, HEAD, HEADER, Header, MARKER, NotAHeader},
};
use crate::log::fold::Logs;

/// What a file has.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) logs: Logs,
    /// The latest time in it.
    pub(super) at: u64,
    /// Its bytes, to the end of the last whole frame.
    pub(super) length: u64,
    /// Bytes behind that, which are gone.
    pub(super) cut: u64,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Unreadable {
    Foreign,
    Newer,
    Damaged { at: u64, why: &'static str },
    Io(io::Error),
}

/// Reads a file, and leaves it such that the next frame can be written.
pub(super) fn open(disk: &mut impl Disk) -> Result<Found, Unreadable> {
    let end = disk.length()?;
    let mut first = vec![0; HEADER.min(usize::try_from(end).unwrap_or(HEADER))];
    from(disk, 0).read_exact(&mut first)?;
    let found = match Header::decode(&first) {
        Ok(header) => replay(disk, header, end)?,
        Err(NotAHeader::Begun) if end <= HEADER as u64 => begin(disk, end)?,
        Err(NotAHeader::Newer) => return Err(Unreadable::Newer),
        Err(_) => return Err(Unreadable::Foreign),
    };
    if found.cut > 0 {
        disk.cut(found.length)?;
    }
    // What a process wrote that was killed may not have reached the disk, and is about to be shown.
    disk.sync_folder()?;
    Ok(found)
}

fn begin(disk: &mut impl Disk, cut: u64) -> Result<Found, Unreadable> {
    let header = Header { epoch: rand::random(), salt: rand::random() };
    disk.cut(0)?;
    write_all(disk, 0, &header.encode())?;
    // Its creation is complete before anybody hears of it, so nothing is missed in what is cut here.
    Ok(Found { header, logs: Logs::default(), at: 0, length: HEADER as u64, cut })
}

fn replay(disk: &impl Disk, header: Header, end: u64) -> Result<Found, Unreadable> {
    let mut found = Found { header, logs: Logs::default(), at: 0, length: HEADER as u64, cut: 0 };
    let mut reader = from(disk, found.length);
    while found.length < end {
        match frame(&mut reader, header, found.length, end)? {
            Some(body) => {
                found.fold(&body)?;
                found.length += (HEAD + body.len()) as u64;
            }
            None => {
                refuse_if_more(disk, header, found.length, end)?;
                found.cut = end - found.length;
                break;
            }
        }
    }
    Ok(found)
}

impl Found {
    fn fold(&mut self, mut body: &[u8]) -> Result<(), Unreadable> {
        while !body.is_empty() {
            let damaged = |why| Unreadable::Damaged { at: self.length, why };
            let change =
                format::take(&mut body).ok_or_else(|| damaged("no such entry is known"))?;
            self.at = self.at.max(change.at);
            let applied = self.logs.apply(change);
            applied.map_err(|_| damaged("an entry does not follow the one before it"))?;
        }
        Ok(())
    }
}

/// The body of the frame at this place, if there is a whole one.
fn frame(reader: &mut impl Read, header: Header, at: u64, end: u64) -> io::Result<Option<Vec<u8>>> {
    let left = end - at;
    if left < HEAD as u64 {
        return Ok(None);
    }
    let mut head = [0; HEAD];
    reader.read_exact(&mut head)?;
    let Some(head) = header.head(at, &head) else { return Ok(None) };
    if head.length as u64 > left - HEAD as u64 {
        return Ok(None);
    }
    let mut body = vec![0; head.length];
    reader.read_exact(&mut body)?;
    Ok(header.has_body(at, head, &body).then_some(body))
}

/// Behind a write that was broken off nothing can follow, since the next is made when that one is safe.
/// If something does, this is no torn end but damage to what was committed.
fn refuse_if_more(disk: &impl Disk, header: Header, at: u64, end: u64) -> Result<(), Unreadable> {
    let mut rest = Vec::new();
    from(disk, at).take(end - at).read_to_end(&mut rest)?;
    for behind in 1..rest.len() {
        let (place, bytes) = (at + behind as u64, &rest[behind..]);
        // Nearly all places fail by the first byte; the salt keeps out what only looks like a frame.
        if !bytes.starts_with(&MARKER) {
            continue;
        }
        let Some(head) = header.head(place, bytes) else { continue };
        let body = bytes[HEAD..].get(..head.length);
        if body.is_some_and(|body| header.has_body(place, head, body)) {
            return Err(Unreadable::Damaged { at, why: "good entries follow behind bad bytes" });
        }
    }
    Ok(())
}

/// Writes everything, at this place.
pub(super) fn write_all(disk: &mut impl Disk, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match disk.write(at + written as u64, &bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads from this place on.
fn from<D: Disk>(disk: &D, at: u64) -> BufReader<Place<'_, D>> {
    BufReader::with_capacity(READ_AT_ONCE, Place { disk, at })
}

struct Place<'a, D> {
    disk: &'a D,
    at: u64,
}

impl<D: Disk> Read for Place<'_, D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.disk.read(self.at, into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 256 << 10;
