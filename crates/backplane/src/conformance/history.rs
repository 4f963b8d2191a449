//! What every [`Bus`] promises of histories.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::{
    PATIENCE,
    bus::{follow, messages, name, text},
};
use crate::{Bus, Channel, Cursor, Fate, History, Retention, Stretch};

/// All nodes record; all receive every message with the same number, and the history has the same.
pub async fn recorded_messages_are_numbered_for_all_alike(nodes: &[&dyn Bus]) {
    let (channel, history) = (name("recorded"), history("recorded", 1_000_000));
    let mut subscriptions = Vec::new();
    for node in nodes {
        subscriptions.push(follow(*node, &channel).await);
    }
    let mut fates = Vec::new();
    for number in 1..=EACH {
        for node in nodes {
            let payload = || Bytes::from(number.to_string());
            fates.push(node.record(&channel, &history, payload()));
            // What is not recorded has no number and takes none.
            drop(node.publish(&channel, payload()));
        }
    }
    for fate in fates {
        assert!(matches!(fate.await, Fate::Stored(_)));
    }
    let total = nodes.len() * EACH as usize;
    for subscription in &mut subscriptions {
        let received = messages(subscription, 2 * total).await;
        let recorded: Vec<_> =
            received.iter().filter(|message| message.recorded.is_some()).collect();
        let stretch = replay(nodes[0], &history, 0).await;
        assert_eq!((stretch.first, stretch.last, recorded.len()), (1, total as u64, total));
        for (offset, (message, entry)) in (1..).zip(recorded.iter().zip(&stretch.entries)) {
            let cursor = Cursor { epoch: stretch.epoch, offset };
            assert_eq!((message.recorded, entry.offset), (Some(cursor), offset));
            assert_eq!((message.origin, &message.payload), (entry.origin, &entry.payload));
        }
        for node in nodes {
            let of = received.iter().filter(|message| message.origin.member == node.member());
            let numbers: Vec<_> = of.map(text).collect();
            let twice = (1..=EACH).flat_map(|number| [number.to_string(), number.to_string()]);
            assert_eq!(numbers, twice.collect::<Vec<_>>(), "recorded or not, in their order");
        }
    }
}

/// Who has a cursor gets what came after it, in parts, and sees what is no cursor of this history.
pub async fn a_history_continues_for_who_was_away(one: &dyn Bus, other: &dyn Bus) {
    let (channel, history) = (name("away"), history("away", 1000));
    let begun = other.replay(&history, 0, 10).await.unwrap();
    assert_eq!((begun.first, begun.last, begun.entries.len()), (1, 0, 0));
    for number in 1..=EACH {
        drop(one.record(&channel, &history, Bytes::from(number.to_string())));
    }
    let last = one.record(&channel, &history, Bytes::from("last")).await;
    assert!(matches!(last, Fate::Stored(_)));
    let mut cursor = begun.end();
    while cursor.offset <= EACH {
        let stretch = other.replay(&history, cursor.offset, 7).await.unwrap();
        assert!(stretch.continues(cursor) && stretch.entries.len() <= 7);
        for entry in &stretch.entries {
            cursor = cursor.plus(1);
            assert_eq!(entry.offset, cursor.offset);
        }
    }
    let stretch = replay(other, &history, cursor.offset).await;
    assert!(stretch.entries.is_empty() && stretch.end() == cursor);
    assert!(!stretch.continues(cursor.plus(1)), "from the future");
    assert!(!stretch.continues(Cursor { epoch: cursor.epoch ^ 1, ..cursor }));
}

/// What is too much, by any measure, goes from the oldest end, and the numbers go on.
pub async fn a_history_keeps_no_more_than_it_may(node: &dyn Bus) {
    let channel = name("bounded");
    let bounds = [
        Retention { count_max: 3, ..LARGE },
        Retention { bytes_max: 1500, ..LARGE },
        Retention { count_max: 0, ..LARGE },
    ];
    for (kept, (number, retention)) in [3, 3, 0].into_iter().zip((0..).zip(bounds)) {
        let history = History { name: name(&format!("bounded {number}")), retention };
        for _ in 1..=EACH {
            drop(node.record(&channel, &history, vec![b'x'; 450].into()));
        }
        let recorded = node.record(&channel, &history, vec![b'x'; 450].into()).await;
        assert!(matches!(recorded, Fate::Stored(_)));
        let stretch = replay(node, &history, 0).await;
        assert_eq!(stretch.entries.len(), kept, "{retention:?}");
        assert_eq!((stretch.first, stretch.last), (EACH + 2 - kept as u64, EACH + 1));
        let oldest = Cursor { epoch: stretch.epoch, offset: stretch.first - 1 };
        assert!(stretch.continues(oldest));
        assert!(!stretch.continues(Cursor { offset: oldest.offset - 1, ..oldest }));
    }
    let retention = Retention { age_max: Duration::from_millis(50), ..LARGE };
    let history = History { name: name("bounded by age"), retention };
    let recorded = node.record(&channel, &history, Bytes::from("x")).await;
    assert!(matches!(recorded, Fate::Stored(_)));
    let gone = async {
        loop {
            let stretch = replay(node, &history, 0).await;
            if stretch.first == 2 {
                return stretch;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let stretch = tokio::time::timeout(PATIENCE, gone).await.expect("an end of its age");
    assert_eq!((stretch.last, stretch.entries.len()), (1, 0), "its number is not given again");
    assert!(stretch.continues(stretch.end()), "nobody who has it misses anything");
}

/// Names that look like parts of keys are names and nothing else.
pub async fn histories_do_not_meet_whatever_their_names(node: &dyn Bus) {
    let channel = name("names");
    let names = ["h", "h:h", "1:h", "h\r\nDEL h", "*", "{h}", "h\0"];
    for text in names {
        let fate = node.record(&channel, &history(text, 9), Bytes::from(text)).await;
        assert!(matches!(fate, Fate::Stored(_)));
    }
    for text in names {
        let stretch = replay(node, &history(text, 9), 0).await;
        assert_eq!((stretch.last, &stretch.entries[0].payload[..]), (1, text.as_bytes()));
    }
}

fn history(text: &str, count_max: u64) -> History {
    let name: Channel = name(text);
    History { name, retention: Retention { count_max, ..LARGE } }
}

async fn replay(node: &dyn Bus, history: &History, after: u64) -> Stretch {
    node.replay(history, after, crate::READ_MAX).await.expect("a history that answers")
}

const LARGE: Retention =
    Retention { count_max: 1_000_000, age_max: Duration::from_secs(3600), bytes_max: 1 << 20 };

/// Messages of each node.
const EACH: u64 = 200;
