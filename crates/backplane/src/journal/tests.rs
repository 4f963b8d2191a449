//! The journal on a disk that fails: what is committed is there, and nothing else is.

mod platter;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use everwire_testkit::wait::eventually;
use proptest::prelude::*;

use self::platter::Platter;
use super::{format::HEADER, *};
use crate::{Entry, PAYLOAD_MAX, READ_MAX};

fn log(number: u8) -> Channel {
    Channel::new(format!("log {number}")).unwrap()
}

fn payload(number: u64) -> Bytes {
    Bytes::from(format!("entry {number} {}", "x".repeat(number as usize % 50)))
}

async fn append(journal: &Journal, number: u64) -> Append {
    journal.append(&log(0), Expected::Any, payload(number)).await
}

/// Appends entries from the first one on, and expects each to be committed.
async fn append_all(journal: &Journal, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        assert_eq!(append(journal, number).await, Append::Committed(Version(number)));
    }
}

async fn entries(journal: &Journal) -> Vec<Entry> {
    journal.read(&log(0), Version(0), READ_MAX).await.unwrap().entries
}

/// That the entries are the first ones, and so many.
fn assert_first(found: &[Entry], count: u64) {
    let wanted =
        (1..=count).map(|number| Entry { version: Version(number), payload: payload(number) });
    assert_eq!(found, wanted.collect::<Vec<_>>());
}

fn reopen(platter: &Platter) -> (Journal, Opened) {
    Journal::on(platter.clone()).unwrap()
}

/// A file with that many entries, and where each ends.
async fn filled(count: u64) -> (Vec<u8>, Vec<usize>) {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    let mut ends = vec![platter.safe().len()];
    for number in 1..=count {
        append_all(&journal, number..=number).await;
        ends.push(platter.safe().len());
    }
    (platter.safe(), ends)
}

#[tokio::test]
async fn fault_c3_a_file_cut_anywhere_has_what_was_committed_before_the_cut() {
    let (bytes, ends) = filled(12).await;
    for cut in 0..=bytes.len() {
        let platter = Platter::with(bytes[..cut].to_vec());
        let (journal, opened) = reopen(&platter);
        let whole = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1);
        assert_first(&entries(&journal).await, whole as u64);
        let good = if cut < HEADER { 0 } else { ends[whole] };
        assert_eq!(opened, Opened { entries: whole, cut: (cut - good) as u64 }, "cut at {cut}");
        append_all(&journal, whole as u64 + 1..=whole as u64 + 1).await;
        drop(journal);
        let (journal, opened) = reopen(&platter);
        assert_first(&entries(&journal).await, whole as u64 + 1);
        assert_eq!(opened.cut, 0, "what was cut is gone");
    }
}

#[tokio::test]
async fn fault_c3_a_byte_that_rots_is_found_and_never_read() {
    let (bytes, ends) = filled(8).await;
    let last = ends[ends.len() - 2];
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut rotten = bytes.clone();
            rotten[at] ^= flip;
            let platter = Platter::with(rotten.clone());
            match Journal::on(platter.clone()) {
                Ok((journal, opened)) => {
                    assert!(
                        at >= last,
                        "only the last write can be taken for one broken off: {at}"
                    );
                    assert_first(&entries(&journal).await, 7);
                    assert_eq!(opened.cut, (bytes.len() - last) as u64);
                }
                Err(Unreadable::Damaged { at: found, .. }) => {
                    let frame = ends.iter().rev().find(|&&end| end <= at).unwrap();
                    assert_eq!(found, *frame as u64, "flipped {at}");
                    assert_eq!(platter.safe(), rotten, "it is left as it is");
                }
                Err(Unreadable::Foreign) => assert!(at < HEADER, "{at}"),
                Err(error) => panic!("{error:?} at {at}"),
            }
        }
    }
}

#[tokio::test]
async fn fault_c3_a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=5).await;
    platter.with_room(30);
    for _ in 0..3 {
        assert_eq!(append(&journal, 6).await, Append::NotStored(Refusal::Disk));
    }
    assert!(journal.trim(&log(0), Keep::Last(1)).await.is_err());
    assert_first(&entries(&journal).await, 5);
    assert_eq!(journal.failure(), None, "a full disk is no reason to end");
    platter.with_room(usize::MAX);
    append_all(&journal, 6..=9).await;
    drop(journal);
    let (journal, opened) = reopen(&platter);
    assert_eq!(opened, Opened { entries: 9, cut: 0 });
    assert_first(&entries(&journal).await, 9);
}

#[tokio::test]
async fn fault_c3_short_writes_are_finished() {
    let platter = Platter::default();
    platter.write_at_most(7);
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=20).await;
    platter.lose_power(0);
    drop(journal);
    assert_first(&entries(&reopen(&platter).0).await, 20);
}

#[tokio::test]
async fn fault_c3_after_a_sync_that_failed_nothing_is_committed_until_it_is_opened_again() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=5).await;
    platter.fail_syncs(true);
    assert_eq!(append(&journal, 6).await, Append::Unknown);
    assert_first(&entries(&journal).await, 5);
    platter.fail_syncs(false);
    assert_eq!(append(&journal, 6).await, Append::NotStored(Refusal::Disk));
    assert!(journal.failure().is_some_and(|why| why.contains("may not be on the disk")));
    drop(journal);
    // What the system said it had lost may be there all the same.
    let (journal, opened) = reopen(&platter);
    assert_first(&entries(&journal).await, 6);
    assert_eq!(opened.cut, 0);
    append_all(&journal, 7..=8).await;
}

#[tokio::test]
async fn fault_c3_half_a_write_that_cannot_be_taken_back_ends_it() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=5).await;
    platter.with_room(30);
    platter.fail_cuts(true);
    assert_eq!(append(&journal, 6).await, Append::NotStored(Refusal::Disk));
    platter.with_room(usize::MAX);
    assert_eq!(append(&journal, 6).await, Append::NotStored(Refusal::Disk));
    assert!(journal.failure().is_some_and(|why| why.contains("taken back")));
    drop(journal);
    platter.fail_cuts(false);
    let (journal, opened) = reopen(&platter);
    assert_eq!(opened, Opened { entries: 5, cut: 30 });
    append_all(&journal, 6..=6).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fault_c3_power_lost_at_any_moment_loses_nothing_that_was_committed(
        seed in any::<u64>(), syncs in 0..12_usize, others in 0..4_u64
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let platter = Platter::default();
            let (journal, _) = reopen(&platter);
            platter.syncs_left(syncs);
            let (mut committed, mut asked) = (0, 0);
            loop {
                asked += 1;
                let others: Vec<_> =
                    (0..others).map(|_| journal.append(&log(1), Expected::Any, payload(1))).collect();
                let (first, _) = tokio::join!(
                    append(&journal, asked), futures_util::future::join_all(others));
                match first {
                    Append::Committed(version) => committed = version.0,
                    Append::Unknown | Append::NotStored(Refusal::Disk) => break,
                    other => panic!("{other:?}"),
                }
            }
            drop(journal);
            platter.lose_power(seed);
            let (journal, _) = reopen(&platter);
            let found = entries(&journal).await;
            assert_first(&found, found.len() as u64);
            assert!(found.len() as u64 >= committed, "{} of {committed}", found.len());
            assert!(found.len() as u64 <= asked);
            append_all(&journal, found.len() as u64 + 1..=found.len() as u64 + 1).await;
        });
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Until a sync is under way, which the test holds.
async fn syncing(platter: &Platter) {
    eventually("a sync", async || platter.is_syncing().then_some(())).await;
}

#[tokio::test]
async fn what_comes_while_the_disk_works_goes_to_it_together_and_is_answered_after_it() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    platter.hold_syncs(true);
    let before = platter.syncs();
    let mut first = Box::pin(append(&journal, 1));
    assert_eq!(poll(&mut first), Poll::Pending);
    syncing(&platter).await;
    let mut others: Vec<_> = (2..=100).map(|number| Box::pin(append(&journal, number))).collect();
    for other in &mut others {
        assert_eq!(poll(other), Poll::Pending);
    }
    assert_eq!(poll(&mut first), Poll::Pending, "it is not safe yet");
    assert_first(&entries(&journal).await, 0);
    platter.hold_syncs(false);
    assert_eq!(first.await, Append::Committed(Version(1)));
    for (other, version) in others.into_iter().zip(2..) {
        assert_eq!(other.await, Append::Committed(Version(version)));
    }
    assert_eq!(platter.syncs() - before, 2, "the first alone, all others together");
    assert_first(&entries(&journal).await, 100);
}

#[tokio::test]
async fn a_disk_that_is_too_slow_is_not_waited_for_by_more_than_there_is_room_for() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    platter.hold_syncs(true);
    let poll_append = |bytes: &Bytes| {
        let mut appended = journal.append(&log(0), Expected::Any, bytes.clone());
        (poll(&mut appended), appended)
    };
    let (large, mut waiting) = (Bytes::from(vec![0; PAYLOAD_MAX]), Vec::new());
    waiting.push(poll_append(&large).1);
    syncing(&platter).await;
    for _ in 0..WAITING_BYTES_MAX / PAYLOAD_MAX {
        waiting.push(poll_append(&large).1);
    }
    let refused = Poll::Ready(Append::NotStored(Refusal::Full));
    assert_eq!(poll_append(&large).0, refused);
    let empty = Bytes::new();
    while waiting.len() <= WAITING_MAX {
        let (state, appended) = poll_append(&empty);
        assert_eq!(state, Poll::Pending, "{} wait", waiting.len());
        waiting.push(appended);
    }
    assert_eq!(poll_append(&empty).0, refused);
    platter.hold_syncs(false);
    let fates = futures_util::future::join_all(waiting).await;
    let stored = |fate: &Append| matches!(fate, Append::Committed(_));
    assert!(fates.iter().all(stored), "what was taken is done");
}

#[tokio::test]
async fn a_conflict_with_an_entry_that_was_not_written_in_the_end_is_none() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    platter.hold_syncs(true);
    let mut first = Box::pin(append(&journal, 1));
    assert_eq!(poll(&mut first), Poll::Pending);
    syncing(&platter).await;
    let expect_one = || journal.append(&log(0), Expected::At(Version(1)), payload(2));
    let mut racing = [Box::pin(expect_one()), Box::pin(expect_one())];
    for each in &mut racing {
        assert!(poll(each).is_pending());
    }
    platter.with_room(0);
    platter.hold_syncs(false);
    assert_eq!(first.await, Append::Committed(Version(1)));
    for each in racing {
        assert_eq!(each.await, Append::NotStored(Refusal::Disk));
    }
    platter.with_room(usize::MAX);
    assert_eq!(expect_one().await, Append::Committed(Version(2)));
}

/// Fills a file with what is of no use: entries that are trimmed at once.
async fn fill_with_garbage(journal: &Journal, until: impl Fn() -> bool) {
    let large = Bytes::from(vec![7; 1 << 20]);
    while !until() {
        let appended = journal.append(&log(1), Expected::Any, large.clone()).await;
        assert!(matches!(appended, Append::Committed(_)), "{appended:?}");
        journal.trim(&log(1), Keep::Last(0)).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_of_little_use_is_written_anew_with_all_that_is_kept() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=20).await;
    let snapshot = Snapshot { version: Version(3), payload: payload(3) };
    journal.keep(&log(0), snapshot.clone()).await.unwrap();
    journal.remove(&log(0), Duration::from_secs(3600)).await.unwrap();
    let epoch = journal.read(&log(0), Version(0), 1).await.unwrap().epoch;
    fill_with_garbage(&journal, || platter.replaced() > 0).await;
    let last = journal.read(&log(1), Version(0), 1).await.unwrap().last;
    assert!(platter.safe().len() < 2 << 20, "{} bytes are left", platter.safe().len());
    append_all(&journal, 21..=22).await;
    drop(journal);
    let (journal, opened) = reopen(&platter);
    assert_eq!(opened, Opened { entries: 22, cut: 0 });
    assert_first(&entries(&journal).await, 22);
    assert_eq!(journal.snapshot(&log(0)).await, Ok(Some(snapshot)));
    let page = journal.read(&log(1), Version(0), 1).await.unwrap();
    assert_eq!((page.epoch, page.last, page.trimmed), (epoch, last, last), "versions stay");
}

#[tokio::test]
async fn a_file_for_whose_successor_there_is_no_room_goes_on() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    append_all(&journal, 1..=20).await;
    fill_with_garbage(&journal, || platter.safe().len() as u64 > 15 << 20).await;
    platter.with_room(10 << 20);
    // What is kept is more than there is room for a second time.
    let large = Bytes::from(vec![7; 4 << 20]);
    for _ in 0..2 {
        let appended = journal.append(&log(2), Expected::Any, large.clone()).await;
        assert!(matches!(appended, Append::Committed(_)), "{appended:?}");
    }
    let before = platter.safe().len();
    for number in 21..=23 {
        append_all(&journal, number..=number).await;
    }
    assert_eq!(platter.replaced(), 0);
    assert!(platter.safe().len() > before, "it was appended to");
    drop(journal);
    platter.with_room(usize::MAX);
    assert_first(&entries(&reopen(&platter).0).await, 23);
}

#[tokio::test]
async fn fault_c3_when_nobody_knows_which_of_two_files_is_there_nothing_more_is_committed() {
    let platter = Platter::default();
    let (journal, _) = reopen(&platter);
    fill_with_garbage(&journal, || platter.safe().len() as u64 > 15 << 20).await;
    append_all(&journal, 1..=3).await;
    platter.fail_replacing(true);
    let large = Bytes::from(vec![7; 1 << 20]);
    let mut last = Append::Committed(Version(0));
    while matches!(last, Append::Committed(_)) {
        last = journal.append(&log(1), Expected::Any, large.clone()).await;
        drop(journal.trim(&log(1), Keep::Last(0)).await);
    }
    assert_eq!(last, Append::NotStored(Refusal::Disk));
    assert!(journal.failure().is_some_and(|why| why.contains("which of two files")));
}

#[test]
fn what_an_entry_looks_like_does_not_matter() {
    // A frame of another journal, put into an entry of this one whose write is broken off.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (bytes, ends) = filled(2).await;
        let frame = Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]);
        let platter = Platter::default();
        let (journal, _) = reopen(&platter);
        append_all(&journal, 1..=1).await;
        let good = platter.safe().len();
        journal.append(&log(0), Expected::Any, frame).await;
        drop(journal);
        let broken_off = platter.safe()[..platter.safe().len() - 1].to_vec();
        let (journal, opened) = reopen(&Platter::with(broken_off.clone()));
        assert_eq!(opened.cut, (broken_off.len() - good) as u64);
        assert_first(&entries(&journal).await, 1);
    });
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let later = {
        let mut bytes = format::Header { epoch: 1, salt: 2 }.encode();
        bytes[16] = 9;
        let sum = crc32fast::hash(&bytes[..HEADER - 4]).to_le_bytes();
        bytes[HEADER - 4..].copy_from_slice(&sum);
        bytes
    };
    for foreign in [b"[fleet]".to_vec(), vec![b'x'; 4096], later] {
        let platter = Platter::with(foreign.clone());
        let refused = Journal::on(platter.clone()).unwrap_err();
        assert!(matches!(refused, Unreadable::Foreign | Unreadable::Newer), "{refused:?}");
        assert_eq!(platter.safe(), foreign);
    }
    assert_eq!(Journal::on(Platter::with(vec![0; HEADER])).unwrap().1.cut, HEADER as u64);
}
