//! The sets as operators, bridges and the admin API use them: change, look, compare, go back.

mod shown;

use std::{ops::Bound, time::Duration};

use everwire_backplane::Version;
use rand::random_range;
use tokio::time::{sleep, timeout};

pub use self::shown::{
    MASK, SetDiff, SetHistory, SetState, ShownChange, ShownDifference, ShownItem, ShownVersion,
};
use crate::{
    Fleet, WallClock,
    book::{Book, Refused},
    entry::{Event, write_event},
    hub::{SetNotice, notices},
    ledger::Ledger,
    name::SetName,
    seal::Sealer,
    set::{About, Change, ChangeError, Item, Key, Plan, Set, diff, plan, roll_back},
    shelf::{NotOpened, Open, Shelf},
};

/// The sets of a node. A clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Sets {
    shelf: Shelf,
    clock: WallClock,
    ledger: Book<Ledger>,
}

/// Who changes a set, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// What they are called.
    pub by: Box<str>,
    /// In their words.
    pub note: Option<Box<str>>,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The set's version by now.
    pub version: u64,
    /// Whether it is a new one; `false` if the change changes nothing.
    pub is_new: bool,
}

impl Sets {
    pub(crate) const fn new(shelf: Shelf, clock: WallClock, ledger: Book<Ledger>) -> Self {
        Self { shelf, clock, ledger }
    }

    #[cfg(test)]
    pub(crate) const fn ledger(&self) -> &Book<Ledger> {
        &self.ledger
    }

    /// The names of all sets behind one, in order: at most so many.
    pub(crate) fn names(&self, after: Option<&SetName>, limit: usize) -> Vec<SetName> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.ledger.read(|ledger| {
            let behind = ledger.sets().range((from, Bound::Unbounded));
            behind.take(limit.min(NAMES_PAGE_MAX)).cloned().collect()
        })
    }

    /// Changes a set in one new version, if it is at the version that is expected.
    pub(crate) async fn change(
        &self,
        set: &SetName,
        changes: &[Change],
        author: Author,
        expected: Option<u64>,
    ) -> Result<Written, ChangeError> {
        let about = self.about(author);
        let make = |there: &Set, sealer: &Sealer| plan(there, set, changes, sealer, about.clone());
        self.write(set, expected, &about, make).await
    }

    /// Brings back the values of an earlier version, as a new one.
    pub(crate) async fn roll_back(
        &self,
        set: &SetName,
        to: u64,
        author: Author,
        expected: Option<u64>,
    ) -> Result<Written, ChangeError> {
        let about = self.about(author);
        let make = |there: &Set, sealer: &Sealer| roll_back(there, set, to, sealer, about.clone());
        self.write(set, expected, &about, make).await
    }

    /// The set as it is, its secrets masked.
    pub(crate) async fn state(&self, set: &SetName) -> Result<SetState, ChangeError> {
        let open = self.ready(set).await?;
        Ok(open.book.look(|cursor, there| SetState::new(set, cursor, there)))
    }

    /// At most so many versions before one, the latest first, their secrets masked.
    pub(crate) async fn history(
        &self,
        set: &SetName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<SetHistory, ChangeError> {
        let open = self.ready(set).await?;
        let before = before.unwrap_or(u64::MAX);
        Ok(open.book.look(|cursor, there| {
            SetHistory::new(set, cursor, there, before, limit.min(HISTORY_PAGE_MAX))
        }))
    }

    /// What is different between two versions, secrets masked.
    pub(crate) async fn diff(
        &self,
        set: &SetName,
        from: u64,
        to: u64,
    ) -> Result<SetDiff, ChangeError> {
        let open = self.ready(set).await?;
        let sealer = self.shelf.sealer();
        let value = |key: &Key, item: &Item| item.stored.open(sealer, set, key);
        let is_same = |key: &Key, one: &Item, other: &Item| {
            one.stored == other.stored
                || one.stored.is_secret() == other.stored.is_secret()
                    && value(key, one).is_ok_and(|one| Ok(one) == value(key, other))
        };
        open.book.read(|there| {
            let at = |version| there.items_at(version).ok_or_else(|| missing(there, version));
            Ok(SetDiff::new(set, from, to, diff(&at(from)?, &at(to)?, is_same)))
        })
    }

    /// The set, read.
    async fn ready(&self, set: &SetName) -> Result<Open, ChangeError> {
        let open = self.shelf.open(set).map_err(not_opened)?;
        let ready = timeout(READ_WITHIN, open.book.ready()).await;
        ready.map_err(|_| ChangeError::NotStored(UNREAD.into()))?.map_err(not_written)?;
        Ok(open)
    }

    fn about(&self, author: Author) -> About {
        let Author { by, note } = author;
        About { by, note, at: self.clock.now(), rolled_back_to: None }
    }

    /// Writes what is made of the latest version. Whoever expects none tries again when another was faster.
    async fn write(
        &self,
        set: &SetName,
        expected: Option<u64>,
        about: &About,
        make: impl Fn(&Set, &Sealer) -> Result<Option<Plan>, ChangeError>,
    ) -> Result<Written, ChangeError> {
        let open = self.ready(set).await?;
        // Those of this node one after the other, so that they do not get into each other's way.
        let _turn = open.turn().await;
        if let Some(expected) = expected {
            self.be_at(&open.book, set, expected).await?;
        }
        for _ in 0..TRIES {
            let planned = open.book.read(|there| {
                let version = there.version();
                match expected {
                    Some(expected) if expected != version => Err(ChangeError::Conflict(version)),
                    _ => Ok((make(there, self.shelf.sealer())?, version)),
                }
            });
            let (plan, version) = planned?;
            let Some(plan) = plan else {
                if self.is_latest(&open.book, set, version).await? {
                    return Ok(Written { version, is_new: false });
                }
                continue;
            };
            self.begin(set).await?;
            match open.book.append_at(Version(plan.after), plan.entry).await {
                Ok(Version(version)) => {
                    self.announce(set, version, about);
                    return Ok(Written { version, is_new: true });
                }
                Err(Refused::Conflict(Version(version))) if expected.is_some() => {
                    return Err(ChangeError::Conflict(version));
                }
                Err(Refused::Conflict(version)) => self.reach(&open.book, version).await?,
                Err(refused) => return Err(not_written(refused)),
            }
            sleep(Duration::from_millis(random_range(0..PAUSE_MAX))).await;
        }
        Err(ChangeError::NotStored("others change the set all the time".into()))
    }

    /// Has it written down that there is this set, if that is not known.
    async fn begin(&self, set: &SetName) -> Result<(), ChangeError> {
        let is_known = || self.ledger.read(|ledger| ledger.sets().contains(set));
        if is_known() {
            return Ok(());
        }
        let event = write_event(&Event::Set { name: set.clone() });
        let version = self.ledger.append(vec![event]).await.map_err(not_written)?;
        self.ledger.reached(version).await.map_err(not_written)?;
        if is_known() { Ok(()) } else { Err(ChangeError::TooManySets) }
    }

    /// Tells who follows what happens in the fleet. Those who watch the set read it.
    fn announce(&self, set: &SetName, version: u64, about: &About) {
        tracing::info!(%set, version, by = %about.by, "changed");
        let notice = SetNotice { set: set.clone(), version, by: about.by.clone(), at: about.at };
        if let (Ok(channel), Ok(payload)) = (notices(), serde_json::to_vec(&notice)) {
            // Who does not hear of it has missed an event; nothing is folded from it.
            drop(self.shelf.books().bus().publish(&channel, payload.into()));
        }
    }

    /// Waits for a version that somebody has seen on another node, if it is there.
    async fn be_at(
        &self,
        book: &Book<Set>,
        set: &SetName,
        version: u64,
    ) -> Result<(), ChangeError> {
        if book.read(Set::version) < version {
            self.is_latest(book, set, version).await?;
        }
        Ok(())
    }

    /// Whether nothing was written behind a version; if something was, it has been read.
    async fn is_latest(
        &self,
        book: &Book<Set>,
        set: &SetName,
        version: u64,
    ) -> Result<bool, ChangeError> {
        let last = self
            .shelf
            .last(set, Version(version))
            .await
            .map_err(|why| ChangeError::NotStored(why.into()))?;
        if last.0 > version || book.read(Set::version) < last.0 {
            self.reach(book, last).await?;
        }
        Ok(last.0 <= version)
    }

    async fn reach(&self, book: &Book<Set>, version: Version) -> Result<(), ChangeError> {
        let reached = timeout(READ_WITHIN, book.reached(version)).await;
        reached.map_err(|_| ChangeError::NotStored(UNREAD.into()))?.map_err(not_written)
    }
}

impl Fleet {
    /// The names of the sets that there are, in order: at most `limit` behind one.
    pub fn sets(&self, after: Option<&SetName>, limit: usize) -> Vec<SetName> {
        self.sets_of_node().names(after, limit)
    }

    /// A set as it is, its secrets masked. One that there is not has version 0.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn set(&self, name: &SetName) -> Result<SetState, ChangeError> {
        self.sets_of_node().state(name).await
    }

    /// Changes a set, all of it in one new version or none of it. With `expected` only if that is the set's
    /// version; without, it is done to whatever version there is. When this returns it is written down,
    /// and whoever watches the set is going to be told.
    ///
    /// # Errors
    /// See [`ChangeError`]. Who drops this does not know whether the set is changed.
    pub async fn change(
        &self,
        set: &SetName,
        changes: &[Change],
        author: Author,
        expected: Option<u64>,
    ) -> Result<Written, ChangeError> {
        self.sets_of_node().change(set, changes, author, expected).await
    }

    /// Versions of a set before one, the latest first: at most `limit`, their secrets masked.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn history(
        &self,
        set: &SetName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<SetHistory, ChangeError> {
        self.sets_of_node().history(set, before, limit).await
    }

    /// What is different between two versions of a set, secrets masked.
    ///
    /// # Errors
    /// If one of them is not known, or the set cannot be read.
    pub async fn diff(&self, set: &SetName, from: u64, to: u64) -> Result<SetDiff, ChangeError> {
        self.sets_of_node().diff(set, from, to).await
    }

    /// Makes the values of an earlier version those of a new one; `expected` as for
    /// [`change`](Self::change).
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn rollback(
        &self,
        set: &SetName,
        to: u64,
        author: Author,
        expected: Option<u64>,
    ) -> Result<Written, ChangeError> {
        self.sets_of_node().roll_back(set, to, author, expected).await
    }
}

fn missing(set: &Set, wanted: u64) -> ChangeError {
    let (oldest, latest) = (set.oldest(), set.version());
    ChangeError::NoSuchVersion { wanted, oldest, latest }
}

fn not_opened(error: NotOpened) -> ChangeError {
    ChangeError::NotStored(error.to_string().into())
}

fn not_written(refused: Refused) -> ChangeError {
    match refused {
        Refused::Conflict(Version(version)) => ChangeError::Conflict(version),
        Refused::Stopped => ChangeError::Unknown,
        Refused::NotStored(_) | Refused::Full => ChangeError::NotStored(refused.to_string().into()),
    }
}

/// How often a change is planned anew because somebody else was faster.
const TRIES: usize = 20;

/// Milliseconds of the longest pause before that.
const PAUSE_MAX: u64 = 20;

/// How long it may take to read a set before somebody who waits is told to try again.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Names of one page.
pub const NAMES_PAGE_MAX: usize = 1000;

/// Versions of one page of a history.
pub const HISTORY_PAGE_MAX: usize = 100;

const UNREAD: &str = "the log of the set could not be read in time";
