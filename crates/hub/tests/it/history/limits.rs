//! One node without a backplane: what is recovered, what is not, and the limits.

use everwire_hub::{History, HubConfig, Retention};
use serde_json::json;

use super::{Follower, HUB, moving::come_back, say, with_history};
use crate::peer::{builder, serve};

#[tokio::test]
async fn recover_sends_what_was_missed_in_order_and_then_what_is_live() {
    let served = serve(with_history().build().unwrap()).await;
    let mut follower = Follower::new(served.peer().await);
    assert!(follower.recover(&HUB).await, "nothing is missing for who begins now");
    assert_eq!(follower.cursor["offset"], 0);
    say(&served.hub, 1..=100);
    follower.until(100).await;
    while follower.cursor["offset"] != 100 {
        follower.step().await;
    }
    // What the old connection is sent and nobody reads is lost with it.
    say(&served.hub, 101..=500);
    let mut follower = come_back(follower, &served).await;
    assert!(follower.recover(&HUB).await);
    say(&served.hub, 501..=600);
    follower.until(600).await;
    assert_eq!(follower.seen, (1..=600).collect::<Vec<_>>());
    assert_eq!(follower.gaps, 0);
}

#[tokio::test]
async fn recover_of_a_group_is_for_its_members() {
    let served = serve(with_history().build().unwrap()).await;
    let mut follower = Follower::new(served.peer().await);
    let refused = follower.ask(&json!("room"), &json!(null)).await;
    let expected = "You are no member of this group.";
    assert!(refused["error"].as_str().unwrap().ends_with(expected), "{refused}");
    follower.peer.call("Join", r#"["room"]"#).await;
    assert!(follower.recover(&json!("room")).await);
    let cursor = follower.cursor.clone();
    served.hub.group("other").send("m", &(9,)).unwrap();
    served.hub.group("room").send("m", &(1,)).unwrap();
    // What is not for the whole group is of no history.
    served.hub.members(["room", "other"]).send("m", &(7,)).unwrap();
    served.hub.group("room").send("m", &(2,)).unwrap();
    while follower.seen.len() < 3 {
        follower.step().await;
    }
    let mut late = Follower::new(served.peer().await);
    late.peer.call("Join", r#"["room"]"#).await;
    late.cursor = cursor;
    assert!(late.recover(&json!("room")).await);
    assert_eq!(late.seen, [1, 2]);
}

#[tokio::test]
async fn recover_says_what_is_wrong_with_the_call() {
    let history = History::new().groups("room-*", Retention::default());
    let served = serve(builder().history(history).build().unwrap()).await;
    let mut peer = served.peer().await;
    for (arguments, expected) in [
        ("[]", "This channel keeps no history."),
        ("[null]", "This channel keeps no history."),
        (r#"["lobby"]"#, "This channel keeps no history."),
        (r#"["room-1"]"#, "You are no member of this group."),
        ("[1]", "A channel is text, or null for the hub's own."),
        (r#"["room-1", "x"]"#, "A cursor is {epoch, offset}, or null."),
        (r#"["room-1", {"epoch": 1}]"#, "A cursor is {epoch, offset}, or null."),
        (r#"["room-1", {"epoch": -1, "offset": 1}]"#, "A cursor is {epoch, offset}, or null."),
    ] {
        let completion = peer.call("recover", arguments).await;
        assert!(completion.contains(expected), "{arguments}: {completion}");
    }
}

#[tokio::test]
async fn recover_replays_nothing_if_something_is_missing() {
    let kept = Retention { count_max: 50, ..Retention::default() };
    let history = History::new().hub(kept).replay_max(20);
    let served = serve(builder().history(history).build().unwrap()).await;
    let mut first = Follower::new(served.peer().await);
    first.recover(&HUB).await;
    say(&served.hub, 1..=100);
    first.until(100).await;
    let epoch = first.cursor["epoch"].as_u64().unwrap();
    for (cursor, why) in [
        (json!({"epoch": epoch, "offset": 49}), "trimmed"),
        (json!({"epoch": epoch, "offset": 79}), "more than may be replayed"),
        (json!({"epoch": epoch, "offset": 101}), "from the future"),
        (json!({"epoch": epoch, "offset": u64::MAX}), "from the far future"),
        (json!({"epoch": epoch + 1, "offset": 90}), "another epoch"),
    ] {
        let mut late = Follower::new(served.peer().await);
        late.cursor = cursor;
        assert!(!late.recover(&HUB).await, "{why}");
        assert_eq!(late.cursor, json!({"epoch": epoch, "offset": 100}), "{why}");
        assert_eq!(late.seen, [0; 0], "{why}");
    }
    let mut late = Follower::new(served.peer().await);
    late.cursor = json!({"epoch": epoch, "offset": 80});
    assert!(late.recover(&HUB).await);
    assert_eq!(late.seen, (81..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn recover_is_for_no_more_channels_than_one_may_follow() {
    let history = History::new().groups("*", Retention::default()).follows_max(2);
    let served = serve(builder().history(history).build().unwrap()).await;
    let mut follower = Follower::new(served.peer().await);
    for group in ["a", "b", "c"] {
        follower.peer.call("Join", &json!([group]).to_string()).await;
    }
    // The third is one too many; the first is followed already.
    for (group, is_followed) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        let answer = follower.ask(&json!(group), &json!(null)).await;
        assert_eq!(answer["result"]["recovered"].as_bool().is_some(), is_followed, "{answer}");
        let error = answer["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("as many channels as it may"), !is_followed, "{answer}");
    }
}

#[tokio::test]
async fn what_was_sent_live_before_recover_is_not_sent_again() {
    let served = serve(with_history().build().unwrap()).await;
    let mut first = Follower::new(served.peer().await);
    first.recover(&HUB).await;
    let cursor = first.cursor.clone();
    say(&served.hub, 1..=10);
    first.until(10).await;
    let mut late = Follower::new(served.peer().await);
    say(&served.hub, 11..=20);
    late.until(20).await;
    late.cursor = cursor;
    assert!(late.recover(&HUB).await);
    say(&served.hub, 21..=30);
    late.until(30).await;
    let expected: Vec<u64> = (11..=20).chain(1..=10).chain(21..=30).collect();
    assert_eq!(late.seen, expected, "once each");
}

#[tokio::test]
async fn who_recovers_first_is_sent_nothing_before_and_sees_one_order() {
    let served = serve(with_history().build().unwrap()).await;
    let mut first = Follower::new(served.peer().await);
    first.recover(&HUB).await;
    let cursor = first.cursor.clone();
    say(&served.hub, 1..=10);
    first.until(10).await;
    let mut late = served.stranger("?recover=first").await;
    late.send(r#"{"protocol":"json","version":1}"#).await;
    assert_eq!(late.next().await.as_deref(), Some("{}"));
    let mut late = Follower::new(late);
    say(&served.hub, 11..=20);
    first.until(20).await;
    late.cursor = cursor;
    assert!(late.recover(&HUB).await);
    say(&served.hub, 21..=30);
    late.until(30).await;
    assert_eq!(late.seen, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_client_that_follows_is_cut_off_and_nothing_is_left_out() {
    let slow = everwire_hub::config::SlowPolicy::DropOldest;
    let config = HubConfig { queue_max: 20_000, slow, ..HubConfig::default() };
    let served = serve(with_history().config(config).build().unwrap()).await;
    let mut follower = Follower::new(served.peer().await);
    follower.recover(&HUB).await;
    let mut sent = 0;
    while served.hub.connected() > 0 {
        sent += 1;
        served.hub.all().send("m", &(sent, "x".repeat(10_000))).unwrap();
        tokio::task::yield_now().await;
        if served.hub.totals().slow > 0 {
            break;
        }
    }
    let mut next = 1;
    while let Some(text) = follower.peer.next().await {
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        match message["target"].as_str() {
            Some("m") => {
                assert_eq!(message["arguments"][0], next);
                next += 1;
            }
            Some("Position") => assert_eq!(message["arguments"][1]["offset"], next - 1),
            _ => {}
        }
    }
    assert!(next <= sent);
}
