//! What every [`Log`] promises.

use std::time::Duration;

use bytes::Bytes;

use crate::{Append, Channel, Expected, Keep, Log, Page, READ_MAX, Snapshot, Version};

/// Of many who expect the same version one succeeds, and the others learn the version there is.
pub async fn of_writers_who_expect_the_same_version_one_succeeds(logs: &[&dyn Log]) {
    let log = name("contested");
    for version in 0..20 {
        let expected = Expected::At(Version(version));
        let racing = logs.iter().enumerate().map(|(writer, each)| {
            each.append(&log, expected, Bytes::from(format!("{version} by {writer}")))
        });
        let results = futures_util::future::join_all(racing).await;
        let committed = Append::Committed(Version(version + 1));
        let winners: Vec<_> =
            (0..logs.len()).filter(|&writer| results[writer] == committed).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        let conflict = Append::Conflict(Version(version + 1));
        assert!(results.iter().all(|result| *result == committed || *result == conflict));
        let page = page(logs[0], &log, version).await;
        assert_eq!(page.entries.len(), 1);
        assert_eq!(page.entries[0].payload, format!("{version} by {}", winners[0]));
    }
    let any = logs[0].append(&log, Expected::Any, Bytes::from("any")).await;
    assert_eq!(any, Append::Committed(Version(21)));
}

/// Entries go from the oldest end, the version stays, and a reader sees what it has missed.
pub async fn a_log_continues_after_trimming(log: &dyn Log) {
    let name = name("trimmed");
    let empty = page(log, &name, 0).await;
    assert_eq!((empty.trimmed, empty.last, empty.entries.len()), (Version(0), Version(0), 0));
    for version in 1..=10 {
        let appended = log.append(&name, Expected::Any, Bytes::from(format!("{version}"))).await;
        assert_eq!(appended, Append::Committed(Version(version)));
    }
    for (keep, trimmed) in [
        (Keep::After(Version(3)), 3),
        (Keep::Last(5), 5),
        (Keep::After(Version(2)), 5),
        (Keep::Younger(Duration::from_secs(3600)), 5),
        (Keep::Last(0), 10),
    ] {
        log.trim(&name, keep).await.unwrap();
        let page = page(log, &name, 0).await;
        assert_eq!((page.trimmed, page.last), (Version(trimmed), Version(10)), "{keep:?}");
        let versions: Vec<u64> = page.entries.iter().map(|entry| entry.version.0).collect();
        assert_eq!(versions, (trimmed + 1..=10).collect::<Vec<_>>(), "{keep:?}");
        assert!(page.continues(page.epoch, Version(trimmed)));
        assert!(!page.continues(page.epoch, Version(trimmed - 1)), "something was missed");
        assert!(!page.continues(page.epoch, Version(11)), "nobody can be ahead");
        assert!(!page.continues(page.epoch.wrapping_add(1), Version(10)), "another epoch");
    }
    let next = log.append(&name, Expected::At(Version(10)), Bytes::from("next")).await;
    assert_eq!(next, Append::Committed(Version(11)), "versions are never given again");
    assert_eq!(page(log, &name, 10).await.entries.len(), 1);
    let few = log.read(&name, Version(10), 0).await.unwrap();
    assert!(few.entries.is_empty(), "no more than asked for");
}

/// A log that is removed is empty, and begins again with the first version.
pub async fn a_removed_log_has_never_been(log: &dyn Log) {
    let (gone, other) = (name("removed"), name("stays"));
    for log_name in [&gone, &other] {
        for _ in 0..3 {
            log.append(log_name, Expected::Any, Bytes::from("x")).await;
        }
        let snapshot = Snapshot { version: Version(2), payload: Bytes::from("state") };
        log.keep(log_name, snapshot).await.unwrap();
    }
    log.remove(&other, Duration::from_secs(3600)).await.unwrap();
    log.remove(&gone, Duration::ZERO).await.unwrap();
    log.remove(&gone, Duration::ZERO).await.unwrap();
    assert_eq!(log.snapshot(&gone).await, Ok(None));
    let empty = page(log, &gone, 0).await;
    assert_eq!((empty.trimmed, empty.last, empty.entries.len()), (Version(0), Version(0), 0));
    let first = log.append(&gone, Expected::At(Version(0)), Bytes::from("first")).await;
    assert_eq!(first, Append::Committed(Version(1)));
    assert_eq!(page(log, &other, 0).await.entries.len(), 3);
}

/// The later of two snapshots stays, whichever comes last.
pub async fn the_latest_snapshot_is_kept(log: &dyn Log) {
    let name = name("snapshots");
    assert_eq!(log.snapshot(&name).await, Ok(None));
    let snapshot = |version| Snapshot {
        version: Version(version),
        payload: Bytes::from(format!("state \r\n\0 {version}")),
    };
    for (kept, latest) in [(2, 2), (1, 2), (12, 12), (3, 12)] {
        log.keep(&name, snapshot(kept)).await.unwrap();
        assert_eq!(log.snapshot(&name).await, Ok(Some(snapshot(latest))));
    }
}

/// Names that look like parts of keys are names and nothing else.
pub async fn logs_do_not_meet_whatever_their_names(log: &dyn Log) {
    let names = ["x", "x:y", "1:x", "x:snapshot", "x\r\n", "*", "{x}"];
    for text in names {
        let first = log.append(&name(text), Expected::At(Version(0)), Bytes::from(text)).await;
        assert_eq!(first, Append::Committed(Version(1)), "{text:?}");
    }
    for text in names {
        assert_eq!(log.snapshot(&name(text)).await, Ok(None));
        assert_eq!(page(log, &name(text), 0).await.entries[0].payload, text);
    }
}

fn name(text: &str) -> Channel {
    Channel::new(text).expect("a name")
}

async fn page(log: &dyn Log, name: &Channel, after: u64) -> Page {
    log.read(name, Version(after), READ_MAX).await.expect("a log that answers")
}
