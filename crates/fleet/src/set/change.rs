//! What somebody wants to have changed, judged against the set as it is: the entry that does it, or why
//! there is none. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    Set,
    entry::{About, Renamed, SetEntry, Step},
    value::{Key, NotAValue, Stored, Value},
};
use crate::{
    name::SetName,
    seal::{SealError, Sealer},
};

/// One thing that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A key is to have a value.
    Set {
        /// Which key.
        key: Key,
        /// Its value.
        value: Value,
        /// Whether it is a secret. What is one stays one until it is deleted.
        secret: bool,
    },
    /// A key is to be gone. If it is already, that changes nothing.
    Delete {
        /// Which key.
        key: Key,
    },
    /// A value is to be called otherwise.
    Rename(Renamed),
}

/// Why a set is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Somebody else has changed it since.
    #[error("the set is at version {0} by now; read it, decide again, and send that version")]
    Conflict(u64),
    /// What is to be renamed is not there.
    #[error("there is no key {0} to rename; the set may have been changed since it was read")]
    NoSuchKey(Key),
    /// A rename would overwrite something.
    #[error("there is a key {0} already; delete it first if it is not wanted")]
    KeyTaken(Key),
    /// A version is not kept any more, or there has not been one.
    #[error(
        "version {wanted} is not known; the oldest that is kept is {oldest}, the latest {latest}"
    )]
    NoSuchVersion {
        /// Which was asked for.
        wanted: u64,
        /// The oldest that is kept.
        oldest: u64,
        /// The latest.
        latest: u64,
    },
    /// A key or a value is none.
    #[error(transparent)]
    NotAValue(#[from] NotAValue),
    /// The set would have too many keys.
    #[error("the set would have {0} keys, and at most {KEYS_MAX} are allowed; use several sets")]
    TooManyKeys(usize),
    /// The set would be too large.
    #[error(
        "the set would have {0} bytes, and at most {SET_BYTES_MAX} are allowed; use several sets"
    )]
    TooLarge(usize),
    /// So much cannot change at once.
    #[error(
        "the change has more than {CHANGES_MAX} parts or takes more than {ENTRY_MAX} bytes; make it in \
         several steps"
    )]
    TooMuch,
    /// A text about the change is too long.
    #[error(
        "who makes a change has at most {BY_MAX} bytes, and the note at most {NOTE_MAX}; say less"
    )]
    TooWordy,
    /// There would be too many sets.
    #[error("there are as many sets as there may be; use one of them")]
    TooManySets,
    /// A secret cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The log does not take it now.
    #[error("the change was not stored: {0}; try again")]
    NotStored(Box<str>),
    /// Nobody knows whether the log has taken it.
    #[error("it is not known whether the change was stored; read the set before you try again")]
    Unknown,
}

/// An entry that is to become the next version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is to be appended.
    pub entry: Bytes,
    /// Behind which version.
    pub after: u64,
}

/// A set as it will be, before it is.
struct Draft<'a> {
    set: &'a Set,
    name: &'a SetName,
    sealer: &'a Sealer,
    touched: BTreeMap<Key, Option<Stored>>,
    steps: Vec<Step>,
}

/// The entry that makes these changes; `None` if that changes nothing.
///
/// # Errors
/// See [`ChangeError`].
pub fn plan(
    set: &Set,
    name: &SetName,
    changes: &[Change],
    sealer: &Sealer,
    about: About,
) -> Result<Option<Plan>, ChangeError> {
    if changes.len() > CHANGES_MAX {
        return Err(ChangeError::TooMuch);
    }
    let mut draft = Draft { set, name, sealer, touched: BTreeMap::new(), steps: Vec::new() };
    changes.iter().try_for_each(|change| draft.make(change))?;
    draft.finish(about)
}

/// The entry that brings back the values of an earlier version; `None` if they are what they were.
///
/// # Errors
/// See [`ChangeError`].
pub fn roll_back(
    set: &Set,
    name: &SetName,
    to: u64,
    sealer: &Sealer,
    about: About,
) -> Result<Option<Plan>, ChangeError> {
    let (oldest, latest) = (set.oldest(), set.version());
    let items = set.items_at(to);
    let items = items.ok_or(ChangeError::NoSuchVersion { wanted: to, oldest, latest })?;
    let mut draft = Draft { set, name, sealer, touched: BTreeMap::new(), steps: Vec::new() };
    let keys: BTreeSet<_> = items.keys().chain(set.items().keys()).collect();
    for key in keys {
        let wanted = items.get(key).map(|item| &item.stored);
        if draft.find(key) != wanted {
            draft.put(key.clone(), wanted.cloned());
        }
    }
    draft.finish(About { rolled_back_to: Some(to), ..about })
}

impl Draft<'_> {
    fn find(&self, key: &Key) -> Option<&Stored> {
        match self.touched.get(key) {
            Some(touched) => touched.as_ref(),
            None => self.before(key),
        }
    }

    /// What the set has, before any of this.
    fn before(&self, key: &Key) -> Option<&Stored> {
        self.set.items().get(key).map(|item| &item.stored)
    }

    fn put(&mut self, key: Key, stored: Option<Stored>) {
        self.touched.insert(key.clone(), stored.clone());
        self.steps.push(Step::put(key, stored));
    }

    fn make(&mut self, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Set { key, value, secret } => {
                let there = self.find(key);
                let is_secret = *secret || there.is_some_and(Stored::is_secret);
                let is_same = there.is_some_and(|there| {
                    there.is_secret() == is_secret && self.open(key, there).as_ref() == Ok(value)
                });
                if !is_same {
                    let stored = self.store(key, value, is_secret)?;
                    self.put(key.clone(), Some(stored));
                }
            }
            Change::Delete { key } => {
                if self.find(key).is_some() {
                    self.put(key.clone(), None);
                }
            }
            Change::Rename(rename) => self.rename(rename)?,
        }
        Ok(())
    }

    fn rename(&mut self, rename: &Renamed) -> Result<(), ChangeError> {
        let Renamed { from, to } = rename;
        let there = self.find(from).ok_or_else(|| ChangeError::NoSuchKey(from.clone()))?;
        if from == to {
            return Ok(());
        }
        if self.find(to).is_some() {
            return Err(ChangeError::KeyTaken(to.clone()));
        }
        let sealed_anew = match there.is_secret() {
            // What is sealed is sealed for its key.
            true => Some(self.store(to, &self.open(from, there)?, true)?),
            false => None,
        };
        let moved = sealed_anew.clone().unwrap_or_else(|| there.clone());
        self.touched.insert(from.clone(), None);
        self.touched.insert(to.clone(), Some(moved));
        self.steps.push(Step::Rename { rename: rename.clone(), value: sealed_anew });
        Ok(())
    }

    fn store(&self, key: &Key, value: &Value, is_secret: bool) -> Result<Stored, SealError> {
        Ok(match is_secret {
            true => Stored::Sealed { sealed: self.sealer.seal(self.name, key, value)? },
            false => Stored::Plain(value.clone()),
        })
    }

    fn open(&self, key: &Key, stored: &Stored) -> Result<Value, SealError> {
        stored.open(self.sealer, self.name, key)
    }

    /// Whether a key has what it had, in whatever sealing.
    fn is_unchanged(&self, key: &Key, after: Option<&Stored>) -> bool {
        match (self.before(key), after) {
            (None, None) => true,
            (Some(before), Some(after)) => {
                before.is_secret() == after.is_secret()
                    && self.open(key, before).is_ok_and(|it| self.open(key, after) == Ok(it))
            }
            _ => false,
        }
    }

    fn finish(self, about: About) -> Result<Option<Plan>, ChangeError> {
        if self.touched.iter().all(|(key, after)| self.is_unchanged(key, after.as_ref())) {
            return Ok(None);
        }
        if about.by.len() > BY_MAX || about.note.as_ref().is_some_and(|note| note.len() > NOTE_MAX)
        {
            return Err(ChangeError::TooWordy);
        }
        self.measure()?;
        let entry = SetEntry::new(self.steps, about).write();
        if entry.len() > ENTRY_MAX {
            return Err(ChangeError::TooMuch);
        }
        Ok(Some(Plan { entry, after: self.set.version() }))
    }

    /// Whether the set will be within its limits.
    fn measure(&self) -> Result<(), ChangeError> {
        let stays = self.set.items().iter().filter(|(key, _)| !self.touched.contains_key(*key));
        let stays = stays.map(|(key, item)| (key, &item.stored));
        let comes = self.touched.iter().filter_map(|(key, after)| Some((key, after.as_ref()?)));
        let (mut keys, mut bytes) = (0, 0);
        for (key, stored) in stays.chain(comes) {
            keys += 1;
            bytes += key.as_str().len() + stored.size();
        }
        match () {
            () if keys > KEYS_MAX => Err(ChangeError::TooManyKeys(keys)),
            () if bytes > SET_BYTES_MAX => Err(ChangeError::TooLarge(bytes)),
            () => Ok(()),
        }
    }
}

impl Stored {
    /// The value of a key of a set.
    ///
    /// # Errors
    /// If it is a secret that does not open.
    pub(crate) fn open(
        &self,
        sealer: &Sealer,
        set: &SetName,
        key: &Key,
    ) -> Result<Value, SealError> {
        match self {
            Self::Plain(value) => Ok(value.clone()),
            Self::Sealed { sealed } => sealer.open(set, key, sealed),
        }
    }
}

/// Keys of one set.
pub const KEYS_MAX: usize = 10_000;

/// Bytes of one set: its keys and its values as they lie in the log.
pub const SET_BYTES_MAX: usize = 4 << 20;

/// Parts of one change.
pub const CHANGES_MAX: usize = 10_000;

/// Bytes of one version's entry, what surrounds its values included: what a log takes.
pub const ENTRY_MAX: usize = everwire_backplane::PAYLOAD_MAX;

/// Bytes of who makes a change.
pub const BY_MAX: usize = 256;

/// Bytes of a change's note.
pub const NOTE_MAX: usize = 1024;
