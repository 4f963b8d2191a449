//! Books over the memory backplane, and over a log that loses answers.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use everwire_backplane::{
    Append, Channel, Expected, Keep, Log, LogUnreachable, LogWork, Page, READ_MAX, Refusal,
    Snapshot, Version, memory::Cluster,
};
use everwire_testkit::wait::{eventually, soon};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Book, Books, Cursor, Fold, Keeping, NotACursor, Refused};
use crate::entry::{Event, Writers, read_events, write_event};

/// The names that were said, in order.
#[derive(Default, Serialize, Deserialize)]
struct Said {
    names: Vec<String>,
    writers: Writers,
}

impl Fold for Said {
    fn new() -> Self {
        Self::default()
    }

    fn apply(&mut self, version: Version, entry: &[u8]) {
        match read_events(entry) {
            Some(read) if read.stamp.is_none_or(|stamp| self.writers.is_new(stamp, version)) => {
                for event in read.events {
                    let Event::Founded { cluster } = event else { continue };
                    self.names.push(cluster.into());
                }
            }
            Some(_) => {}
            None => self.names.push(String::from_utf8_lossy(entry).into_owned()),
        }
    }

    fn save(&self) -> Bytes {
        serde_json::to_vec(self).unwrap().into()
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// What becomes of the next appends, one after the other; then what the log says.
#[derive(Clone, Copy)]
enum Fault {
    /// It is there, and the answer is lost.
    AnswerLost,
    /// It is not there, and the answer is lost.
    Lost,
    /// The log says that it cannot be reached.
    Unreachable,
}

/// A log whose answers are lost.
struct Faulty {
    cluster: Cluster,
    faults: Mutex<VecDeque<Fault>>,
    /// Whether nothing can be read.
    is_away: AtomicBool,
}

impl Faulty {
    fn of(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone(), faults: Mutex::default(), is_away: AtomicBool::new(false) }
    }
}

impl Log for Faulty {
    fn append(&self, log: &Channel, expected: Expected, entry: Bytes) -> LogWork<Append> {
        match self.faults.lock().unwrap().pop_front() {
            None => self.cluster.append(log, expected, entry),
            Some(Fault::Lost) => LogWork::done(Append::Unknown),
            Some(Fault::Unreachable) => LogWork::done(Append::NotStored(Refusal::Unreachable)),
            Some(Fault::AnswerLost) => {
                let work = self.cluster.append(log, expected, entry);
                LogWork::new(async {
                    work.await;
                    Append::Unknown
                })
            }
        }
    }

    fn read(
        &self,
        log: &Channel,
        after: Version,
        limit: usize,
    ) -> LogWork<Result<Page, LogUnreachable>> {
        if self.is_away.load(Relaxed) {
            return LogWork::done(Err(LogUnreachable("away".into())));
        }
        self.cluster.read(log, after, limit)
    }

    fn keep(&self, log: &Channel, snapshot: Snapshot) -> LogWork<Result<(), LogUnreachable>> {
        self.cluster.keep(log, snapshot)
    }

    fn snapshot(&self, log: &Channel) -> LogWork<Result<Option<Snapshot>, LogUnreachable>> {
        self.cluster.snapshot(log)
    }

    fn trim(&self, log: &Channel, keep: Keep) -> LogWork<Result<(), LogUnreachable>> {
        self.cluster.trim(log, keep)
    }

    fn remove(&self, log: &Channel, after: Duration) -> LogWork<Result<(), LogUnreachable>> {
        self.cluster.remove(log, after)
    }
}

const KEEPING: Keeping = Keeping {
    snapshot_every: std::num::NonZeroU64::new(10).unwrap(),
    entries_kept: 3,
    read_every: Duration::from_secs(3600),
};

fn name() -> Channel {
    Channel::new("fleet/test").unwrap()
}

fn books(cluster: &Cluster, log: Arc<dyn Log>) -> Books {
    Books::new(Arc::new(cluster.node()), log, CancellationToken::new())
}

async fn open(cluster: &Cluster) -> (Books, Book<Said>) {
    open_over(cluster, Arc::new(cluster.clone())).await
}

async fn open_over(cluster: &Cluster, log: Arc<dyn Log>) -> (Books, Book<Said>) {
    let books = books(cluster, log);
    let book = books.open(name(), KEEPING);
    soon("a first look", book.ready()).await.unwrap();
    (books, book)
}

fn say(what: &impl ToString) -> Vec<Bytes> {
    vec![write_event(&Event::Founded { cluster: what.to_string().into() })]
}

async fn append(book: &Book<Said>, what: impl ToString) -> Result<Version, Refused> {
    soon("an append", book.append(say(&what))).await
}

fn said(book: &Book<Said>) -> Vec<String> {
    book.read(|said| said.names.clone())
}

async fn until_said(book: &Book<Said>, wanted: &[&str]) {
    eventually("what was said", async || (said(book) == wanted).then_some(())).await;
}

#[tokio::test]
async fn what_one_node_appends_all_read() {
    let cluster = Cluster::default();
    let (one, other) = (open(&cluster).await, open(&cluster).await);
    assert_eq!(append(&one.1, "a").await, Ok(Version(1)));
    assert_eq!(said(&one.1), ["a"], "who has appended has read it");
    until_said(&other.1, &["a"]).await;
    assert_eq!(append(&other.1, "b").await, Ok(Version(2)));
    until_said(&one.1, &["a", "b"]).await;
    assert_eq!(one.1.cursor(), other.1.cursor());
    let late = open(&cluster).await;
    until_said(&late.1, &["a", "b"]).await;
}

#[tokio::test]
async fn what_comes_together_is_one_entry() {
    let cluster = Cluster::default();
    let (_books, book) = open(&cluster).await;
    let mut appends = JoinSet::new();
    for number in 0..100 {
        let book = book.clone();
        appends.spawn(async move { append(&book, number).await });
    }
    let versions: Vec<_> = appends.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(said(&book).len(), 100);
    assert!(versions.iter().all(|version| version.0 <= 10), "{versions:?}");
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_counts_once() {
    use Fault::{AnswerLost, Lost, Unreachable};
    for faults in [
        vec![Lost],
        vec![AnswerLost],
        vec![AnswerLost, Unreachable, AnswerLost, Lost],
        vec![Lost, Unreachable],
    ] {
        let cluster = Cluster::default();
        let log = Arc::new(Faulty::of(&cluster));
        let (_books, book) = open_over(&cluster, log.clone()).await;
        let (_others, other) = open(&cluster).await;
        *log.faults.lock().unwrap() = faults.clone().into();
        append(&book, "a").await.unwrap();
        append(&book, "b").await.unwrap();
        for book in [&book, &other] {
            until_said(book, &["a", "b"]).await;
        }
        *log.faults.lock().unwrap() = faults.into();
        let version = book.cursor().version;
        let at = soon("an append", book.append_at(version, "exact".into())).await;
        assert_eq!(at, Ok(Version(version.0 + 1)));
        until_said(&other, &["a", "b", "exact"]).await;
    }
}

#[tokio::test]
async fn what_must_follow_a_version_follows_it_or_is_refused() {
    let cluster = Cluster::default();
    let log = Arc::new(Faulty::of(&cluster));
    let (_books, book) = open_over(&cluster, log.clone()).await;
    let (_others, other) = open(&cluster).await;
    assert_eq!(book.append_at(Version(0), "a".into()).await, Ok(Version(1)));
    other.reached(Version(1)).await.unwrap();
    assert_eq!(other.append_at(Version(1), "b".into()).await, Ok(Version(2)));
    let conflict = book.append_at(Version(1), "c".into()).await;
    assert_eq!(conflict, Err(Refused::Conflict(Version(2))));
    assert_eq!(said(&book), ["a", "b"], "who lost has read what won");

    // The answer is lost, and meanwhile somebody else writes.
    log.faults.lock().unwrap().push_back(Fault::Lost);
    let append = book.append_at(Version(2), "d".into());
    let (lost, won) = tokio::join!(append, other.append_at(Version(2), "e".into()));
    assert_eq!((lost, won), (Err(Refused::Conflict(Version(3))), Ok(Version(3))));
}

#[tokio::test]
async fn while_the_log_is_away_appends_are_refused_and_then_all_goes_on() {
    let cluster = Cluster::default();
    let (_books, book) = open(&cluster).await;
    let (_others, other) = open(&cluster).await;
    append(&book, "a").await.unwrap();
    cluster.cut();
    let refused = append(&book, "b").await;
    assert_eq!(refused, Err(Refused::NotStored(Refusal::Unreachable)));
    cluster.heal();
    append(&book, "c").await.unwrap();
    until_said(&other, &["a", "c"]).await;
}

#[tokio::test]
async fn an_emptied_backplane_begins_another_epoch() {
    let cluster = Cluster::default();
    let (_books, book) = open(&cluster).await;
    let (_others, other) = open(&cluster).await;
    append(&book, "a").await.unwrap();
    append(&book, "b").await.unwrap();
    until_said(&other, &["a", "b"]).await;
    let before = book.cursor();
    let mut changes = other.changes();
    let waiting = other.clone();
    let mut later = JoinSet::new();
    later.spawn(async move { waiting.reached(Version(1000)).await });
    tokio::task::yield_now().await;
    cluster.empty();
    append(&book, "c").await.unwrap();
    soon("another epoch", changes.wait_for(|cursor| cursor.epoch != before.epoch)).await.unwrap();
    let reached = soon("who waits", later.join_next()).await.unwrap().unwrap();
    assert_eq!(reached, Ok(()), "it may never come");
    for book in [&book, &other] {
        until_said(book, &["c"]).await;
        assert_eq!(book.cursor().version, Version(1));
    }
}

#[tokio::test]
async fn a_log_stays_short_and_who_comes_late_has_it_all() {
    let cluster = Cluster::default();
    let (_books, book) = open(&cluster).await;
    for number in 0..45 {
        append(&book, number).await.unwrap();
    }
    let page = cluster.read(&name(), Version(0), READ_MAX).await.unwrap();
    assert_eq!((page.last, page.trimmed), (Version(45), Version(40 - KEEPING.entries_kept)));
    let all: Vec<_> = (0..45).map(|number| number.to_string()).collect();
    let (_late, late) = open(&cluster).await;
    assert_eq!((said(&late), late.cursor()), (all.clone(), book.cursor()));

    // A kept state that cannot be read is said, and what is left is read.
    let snapshot = Snapshot { version: Version(45), payload: "broken".into() };
    cluster.keep(&name(), snapshot).await.unwrap();
    let (_later, later) = open(&cluster).await;
    assert_eq!(said(&later), all[37..]);
}

#[tokio::test]
async fn who_was_away_for_longer_than_entries_are_kept_reads_the_kept_state() {
    let cluster = Cluster::default();
    let (_books, book) = open(&cluster).await;
    let log = Arc::new(Faulty::of(&cluster));
    let (_slow, slow) = open_over(&cluster, log.clone()).await;
    log.is_away.store(true, Relaxed);
    for number in 0..44 {
        append(&book, number).await.unwrap();
    }
    assert_eq!(slow.cursor().version, Version(0));
    log.is_away.store(false, Relaxed);
    append(&book, 44).await.unwrap();
    soon("all of it", slow.reached(Version(45))).await.unwrap();
    assert_eq!(said(&slow), said(&book));
}

#[tokio::test]
async fn a_book_ends_with_its_node() {
    let cluster = Cluster::default();
    let (books, book) = open(&cluster).await;
    append(&book, "a").await.unwrap();
    books.stop().cancel();
    eventually("the end", async || {
        (append(&book, "b").await == Err(Refused::Stopped)).then_some(())
    })
    .await;
    assert_eq!(soon("the end", book.reached(Version(9))).await, Err(Refused::Stopped));
    assert!(!said(&book).is_empty(), "what was read can still be looked at");
}

#[test]
fn a_cursor_reads_as_it_was_written() {
    let cursor = Cursor { epoch: u64::MAX, version: Version(7) };
    assert_eq!(cursor.to_string(), "ffffffffffffffff-7");
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for wrong in ["", "-", "1", "1-", "g-1", "1-x", "1-2-3"] {
        assert_eq!(wrong.parse::<Cursor>(), Err(NotACursor), "{wrong}");
    }
}
