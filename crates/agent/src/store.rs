//! The state directory: what an agent remembers when its process ends.
//!
//! | file | what |
//! |---|---|
//! | `lock` | locked while an agent runs: one at a time |
//! | `instance` | the name `app:index:id`; the directory is this instance's |
//! | `cluster` | the id of the fleet that it belongs to |
//! | `commands` | a line of JSON for each [`Note`], fsynced; rewritten when it grew |
//! | `set-NAME` | the last state of a set, secrets in clear |
//!
//! The directory is for its owner alone (0700), and each file (0600). Files are written whole beside
//! their place and renamed into it; only `commands` is appended to, and a torn last line is cut.

mod commands;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

pub(crate) use self::commands::CommandFile;
use crate::{record::Records, wire::Snapshot};

/// An open state directory.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// Why a state directory is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operator's: another agent has it.
    #[error("{} is in use by another agent", .0.display())]
    Locked(PathBuf),
    /// The operator's: it belongs to another instance.
    #[error("{} is the state of {other}, not of {ours}; use a directory of its own", .directory.display())]
    Other {
        /// The directory.
        directory: PathBuf,
        /// Whose it is.
        other: String,
        /// Who wants it.
        ours: String,
    },
    /// The system's: it cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Store {
    /// Opens a directory, which is made if it does not exist, for one agent at a time.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let lock = private().create(true).truncate(false).open(directory.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The name of the instance: the one that this directory belongs to, or a new one from `app`,
    /// `index` and `id`. Without an id the one of before is kept, or `fresh` becomes it.
    pub(crate) fn instance(
        &self,
        [app, index]: [&str; 2],
        id: Option<&str>,
        fresh: &str,
    ) -> Result<String, StoreError> {
        let kept = self.read(INSTANCE)?;
        let place = format!("{app}:{index}:");
        let kept_id = kept.as_deref().and_then(|kept| kept.strip_prefix(&place));
        let ours = format!("{place}{}", id.or(kept_id).unwrap_or(fresh));
        match kept {
            Some(other) if other != ours => {
                Err(StoreError::Other { directory: self.directory.clone(), other, ours })
            }
            Some(_) => Ok(ours),
            None => self.write(INSTANCE, ours.as_bytes()).map(|()| ours),
        }
    }

    /// The fleet that the instance belongs to, if it has met one.
    pub(crate) fn cluster(&self) -> Result<Option<String>, StoreError> {
        self.read(CLUSTER)
    }

    /// Notes the fleet.
    pub(crate) fn set_cluster(&self, cluster: &str) -> Result<(), StoreError> {
        self.write(CLUSTER, cluster.as_bytes())
    }

    /// What to remove for the instance to join another fleet.
    pub(crate) fn cluster_file(&self) -> PathBuf {
        self.directory.join(CLUSTER)
    }

    /// What was noted of commands, and the file to note more in.
    pub(crate) fn commands(&self) -> Result<(Records, CommandFile), StoreError> {
        CommandFile::open(&self.directory)
    }

    /// The last state of a set. One that cannot be read is none: the manager has it, too.
    pub(crate) fn snapshot(&self, set: &str) -> Result<Option<Snapshot>, StoreError> {
        let text = self.read(&set_file(set))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps the state of a set.
    pub(crate) fn set_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let text = serde_json::to_vec(snapshot).map_err(|error| StoreError::Io {
            path: self.directory.join(set_file(&snapshot.set)),
            source: error.into(),
        })?;
        self.write(&set_file(&snapshot.set), &text)
    }

    fn read(&self, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.directory.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        write_whole(&path, bytes).map_err(|source| StoreError::Io { path, source })
    }
}

/// Puts a file in its place, whole or not at all, for its owner alone (0600); it is on the disk when
/// this returns.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    // One that a process left behind may have other rights.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Files to write that are for their owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Names of sets have slashes, and file names must not.
fn set_file(set: &str) -> String {
    format!("set-{}", set.replace('%', "%25").replace('/', "%2F"))
}

const LOCK: &str = "lock";
const INSTANCE: &str = "instance";
const CLUSTER: &str = "cluster";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use everwire_testkit::everwire::Folder;
    use serde_json::json;

    use super::*;

    #[test]
    fn two_agents_cannot_share_a_directory() {
        let folder = Folder::new();
        let directory = folder.0.join("deep/state");
        let first = Store::open(&directory).unwrap();
        let second = Store::open(&directory).unwrap_err();
        assert!(second.to_string().contains("in use by another agent"), "{second}");
        drop(first);
        Store::open(&directory).unwrap();
    }

    #[test]
    fn an_id_that_was_made_up_is_kept_and_another_instance_is_refused() {
        let folder = Folder::new();
        let store = Store::open(&folder.0).unwrap();
        assert_eq!(store.instance(["shop", "0"], None, "abc").unwrap(), "shop:0:abc");
        assert_eq!(store.instance(["shop", "0"], None, "def").unwrap(), "shop:0:abc");
        assert_eq!(store.instance(["shop", "0"], Some("abc"), "def").unwrap(), "shop:0:abc");
        for (place, id) in [(["shop", "1"], None), (["shop", "0"], Some("x"))] {
            let error = store.instance(place, id, "def").unwrap_err();
            assert!(error.to_string().contains("is the state of shop:0:abc"), "{error}");
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_is_for_its_owner_alone() {
        let folder = Folder::new();
        let directory = folder.0.join("state");
        let store = Store::open(&directory).unwrap();
        let snapshot =
            json!({"set": "shop/prod", "epoch": "e", "version": 2, "values": {"A": "1"}});
        let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
        store.set_snapshot(&snapshot).unwrap();
        store.set_cluster("c").unwrap();
        store.commands().unwrap();
        assert_eq!(store.snapshot("shop/prod").unwrap(), Some(snapshot));
        assert_eq!(store.cluster().unwrap().as_deref(), Some("c"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let files: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(files.len(), 4, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    }
}
