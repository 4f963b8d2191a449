//! What the journal does to its disk, and the file that it does it to.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file, as the journal needs it. Tests have one that fails.
pub(super) trait Disk: Send + 'static {
    fn length(&self) -> io::Result<u64>;

    /// Reads what is there, perhaps less than asked for; 0 at the end.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes, perhaps less than asked for.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when everything written outlasts the machine's power.
    fn sync(&mut self) -> io::Result<()>;

    /// The same for the file's being there.
    fn sync_folder(&mut self) -> io::Result<()>;

    /// Drops everything from this place on.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Puts a new file in this one's place, whole or not at all.
    fn replace(&mut self, pieces: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(), NotReplaced>;
}

/// A file was not replaced by another.
#[derive(Debug)]
pub(super) enum NotReplaced {
    /// It is still the one that it was.
    Kept(io::Error),
    /// Which of them is there after a loss of power is not known.
    Unknown(io::Error),
}

/// A real file, locked for this process.
#[derive(Debug)]
pub(super) struct LockedFile {
    file: File,
    path: PathBuf,
}

/// Why a file cannot be had.
#[derive(Debug)]
pub(super) enum NotOpened {
    Locked,
    Io(io::Error),
}

impl LockedFile {
    /// Opens the file, or makes it, for this process alone.
    pub(super) fn open(path: &Path) -> Result<Self, NotOpened> {
        for _ in 0..REPLACED_MAX {
            let file = options().create(true).truncate(false).open(path)?;
            file.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => NotOpened::Locked,
                TryLockError::Error(error) => NotOpened::Io(error),
            })?;
            // Not through a link, which a replacement would take the place of.
            let path = fs::canonicalize(path)?;
            let (locked, named) = (file.metadata()?, fs::metadata(&path)?);
            if (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
                return Ok(Self { file, path });
            }
            // Whoever had it has just put another in its place, which has a lock of its own.
        }
        Err(NotOpened::Locked)
    }

    fn write_new(&self, pieces: &mut dyn Iterator<Item = Vec<u8>>) -> io::Result<(File, PathBuf)> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let path = PathBuf::from(name);
        // What an earlier attempt has left behind is nobody's.
        let file = options().create(true).truncate(true).open(&path)?;
        let done = fill(&file, pieces);
        match done {
            Ok(()) => Ok((file, path)),
            Err(error) => {
                // It takes room that others may need; the next attempt begins anew all the same.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // What is remembered is for this process alone.
    options.read(true).write(true).mode(0o600);
    options
}

fn fill(file: &File, pieces: &mut dyn Iterator<Item = Vec<u8>>) -> io::Result<()> {
    file.try_lock()?;
    let mut at = 0;
    for piece in pieces {
        file.write_all_at(&piece, at)?;
        at += piece.len() as u64;
    }
    file.sync_all()
}

impl Disk for LockedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(into, at)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        File::open(folder)?.sync_all()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn replace(&mut self, pieces: &mut dyn Iterator<Item = Vec<u8>>) -> Result<(), NotReplaced> {
        let (file, path) = self.write_new(pieces).map_err(NotReplaced::Kept)?;
        fs::rename(path, &self.path).map_err(NotReplaced::Kept)?;
        self.file = file;
        self.sync_folder().map_err(NotReplaced::Unknown)
    }
}

impl From<io::Error> for NotOpened {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How often the file may be replaced by whoever has it while it is being opened.
const REPLACED_MAX: usize = 10;
