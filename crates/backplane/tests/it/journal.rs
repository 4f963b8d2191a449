//! The journal on a real disk, and in a process that is killed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use bytes::Bytes;
use everwire_backplane::{
    Append, Channel, Expected, Log, READ_MAX, Version, conformance,
    journal::{Journal, JournalError},
};
use everwire_testkit::everwire::Folder;

fn log() -> Channel {
    Channel::new("log").unwrap()
}

#[tokio::test]
async fn logs() {
    let folder = Folder::new();
    let (journal, opened) = Journal::open(folder.0.join("journal")).unwrap();
    assert_eq!((opened.entries, opened.cut), (0, 0));
    let other = journal.clone();
    conformance::of_writers_who_expect_the_same_version_one_succeeds(&[&journal, &other]).await;
    conformance::a_log_continues_after_trimming(&journal).await;
    conformance::a_removed_log_has_never_been(&journal).await;
    conformance::the_latest_snapshot_is_kept(&journal).await;
    conformance::logs_do_not_meet_whatever_their_names(&journal).await;
}

#[tokio::test]
async fn what_was_committed_is_there_when_it_is_opened_again_in_the_same_epoch() {
    let folder = Folder::new();
    let path = folder.0.join("journal");
    let mut epochs = Vec::new();
    for round in 0..3 {
        let (journal, opened) = Journal::open(&path).unwrap();
        assert_eq!((opened.entries, opened.cut), (round, 0));
        let appended =
            journal.append(&log(), Expected::At(Version(round as u64)), "x".into()).await;
        assert_eq!(appended, Append::Committed(Version(round as u64 + 1)));
        epochs.push(journal.read(&log(), Version(0), 1).await.unwrap().epoch);
    }
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]));
    let (another, _) = Journal::open(folder.0.join("another")).unwrap();
    assert_ne!(another.read(&log(), Version(0), 1).await.unwrap().epoch, epochs[0]);
}

#[tokio::test]
async fn a_second_user_of_the_file_is_told_what_several_nodes_need() {
    let folder = Folder::new();
    let path = folder.0.join("journal");
    let (journal, _) = Journal::open(&path).unwrap();
    let refused = Journal::open(&path).unwrap_err();
    assert!(matches!(refused, JournalError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("`backplane.url`"), "{refused}");
    // Written anew it is another file, under the same name and locked as well.
    let large = Bytes::from(vec![7; 4 << 20]);
    let size = || std::fs::metadata(&path).unwrap().len();
    let mut before = 0;
    while size() >= before {
        before = size();
        journal.append(&log(), Expected::Any, large.clone()).await;
        let _ = journal.trim(&log(), everwire_backplane::Keep::Last(0)).await;
    }
    assert!(size() < 10 << 20 && before > 16 << 20, "{before} became {}", size());
    assert!(matches!(Journal::open(&path), Err(JournalError::Locked { .. })));
    drop(journal);
    assert!(Journal::open(&path).is_ok());
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_and_a_folder_that_is_not_there_are_refused() {
    let folder = Folder::new();
    let path = folder.0.join("notes");
    std::fs::write(&path, "remember the milk").unwrap();
    let refused = Journal::open(&path).unwrap_err();
    assert!(matches!(refused, JournalError::NotAJournal { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "remember the milk");
    let nowhere = Journal::open(folder.0.join("none").join("journal")).unwrap_err();
    assert!(matches!(nowhere, JournalError::Io { .. }), "{nowhere}");
}

#[tokio::test]
async fn only_this_user_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let path = folder.0.join("journal");
    let _journal = Journal::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The same test begins a process that is this test once more: told where the journal is, it appends
/// until it is killed, and says each version when it is committed.
#[tokio::test]
async fn fault_c1_a_process_killed_right_after_a_commit_loses_nothing() {
    if let Some(path) = std::env::var_os(JOURNAL) {
        return append_until_killed(Journal::open(path).unwrap().0).await;
    }
    let folder = Folder::new();
    let path = folder.0.join("journal");
    let name = "journal::fault_c1_a_process_killed_right_after_a_commit_loses_nothing";
    let mut kept = 0;
    for kill_after in [1, 2, 17, 60] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(JOURNAL, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said =
            lines.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        let committed = said.by_ref().take(kill_after).last().unwrap();
        child.kill().unwrap();
        let committed = said.last().unwrap_or(committed);
        child.wait().unwrap();
        let (journal, _) = Journal::open(&path).unwrap();
        let page = journal.read(&log(), Version(kept), READ_MAX).await.unwrap();
        assert!(page.last.0 >= committed, "{committed} was committed, {} is there", page.last);
        let payloads = page.entries.iter().map(|entry| entry.payload.clone());
        assert!(
            payloads.eq((kept + 1..=page.last.0).map(|number| Bytes::from(number.to_string())))
        );
        kept = page.last.0;
    }
}

async fn append_until_killed(journal: Journal) {
    let mut version = journal.read(&log(), Version(0), 0).await.unwrap().last;
    loop {
        let next = Bytes::from((version.0 + 1).to_string());
        let appended = journal.append(&log(), Expected::At(version), next).await;
        let Append::Committed(committed) = appended else { panic!("{appended:?}") };
        version = committed;
        if writeln!(std::io::stdout(), "committed {version}").is_err() {
            return;
        }
    }
}

/// Tells the process that it is the one to be killed, and where the journal is.
const JOURNAL: &str = "EVERWIRE_TEST_JOURNAL";
