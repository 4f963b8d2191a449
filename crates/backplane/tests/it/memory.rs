//! The backplane within one process.

use std::time::Duration;

use bytes::Bytes;
use everwire_backplane::{
    Answer, Append, Bus, Channel, Expected, Fate, Gap, Item, Log, Membership, Refusal, Start,
    conformance, memory::Cluster,
};

fn channel() -> Channel {
    Channel::new("channel").unwrap()
}

#[tokio::test]
async fn messages() {
    let cluster = Cluster::default();
    let (one, two, three) = (cluster.node(), cluster.node(), cluster.node());
    conformance::every_node_receives_each_message_once_in_order(&[&one, &two, &three]).await;
    conformance::channels_do_not_meet_whatever_their_names(&one, &two).await;
    conformance::a_late_reader_catches_up_from_its_position(&one, &two).await;
    conformance::too_large_a_payload_is_refused_at_once(&one).await;
    conformance::a_slow_reader_learns_that_it_was_too_slow(&one, &two).await;
}

#[tokio::test]
async fn questions() {
    let cluster = Cluster::default();
    let (one, two) = (cluster.node(), cluster.node());
    conformance::a_question_reaches_one_node_and_its_answer_comes_back(&[&one, &two]).await;
    conformance::a_question_that_cannot_be_answered_says_why(&one, &two).await;
}

#[tokio::test]
async fn members() {
    let cluster = Cluster::default();
    let (one, two, three) = (cluster.node(), cluster.node(), cluster.node());
    conformance::every_node_sees_who_joins_and_who_leaves(&one, &two).await;
    conformance::a_node_that_left_publishes_nothing(&one, &three).await;
}

#[tokio::test]
async fn histories() {
    let cluster = Cluster::default();
    let (one, two, three) = (cluster.node(), cluster.node(), cluster.node());
    conformance::recorded_messages_are_numbered_for_all_alike(&[&one, &two, &three]).await;
    conformance::a_history_continues_for_who_was_away(&one, &two).await;
    conformance::a_history_keeps_no_more_than_it_may(&one).await;
    conformance::histories_do_not_meet_whatever_their_names(&one).await;
}

#[tokio::test]
async fn logs() {
    let cluster = Cluster::default();
    let other = cluster.clone();
    conformance::of_writers_who_expect_the_same_version_one_succeeds(&[&cluster, &other]).await;
    conformance::a_log_continues_after_trimming(&cluster).await;
    conformance::a_removed_log_has_never_been(&cluster).await;
    conformance::the_latest_snapshot_is_kept(&cluster).await;
    conformance::logs_do_not_meet_whatever_their_names(&cluster).await;
}

#[tokio::test]
async fn one_survivor_cleans_up_after_a_crash_and_another_after_it() {
    let cluster = Cluster::default();
    let nodes = [cluster.node(), cluster.node(), cluster.node()];
    let crashed = cluster.node();
    let gone = crashed.member();
    drop(crashed);
    let mut cleaners = Vec::new();
    for node in nodes {
        let mut members = node.members();
        let yours = Membership::Expired { member: gone, yours: true };
        // Everybody is listed first; only the one who cleans up has an event more.
        for _ in 0..3 {
            assert!(matches!(members.next().await, Some(Membership::Joined(_))));
        }
        let waits = tokio::time::timeout(Duration::ZERO, members.next()).await;
        cleaners.push((waits == Ok(Some(yours)), node));
    }
    assert_eq!(cleaners.iter().filter(|(cleans, _)| *cleans).count(), 1);
    cleaners.sort_by_key(|(cleans, _)| *cleans);
    let (_, cleaner) = cleaners.pop().unwrap();
    drop(cleaner);
    let mut inherited = 0;
    for (_, node) in &cleaners {
        let mut members = node.members();
        while let Ok(Some(change)) = tokio::time::timeout(Duration::ZERO, members.next()).await {
            inherited += u32::from(change == Membership::Expired { member: gone, yours: true });
        }
    }
    assert_eq!(inherited, 1);
}

#[tokio::test]
async fn a_node_taken_for_dead_comes_back_as_a_new_incarnation() {
    let cluster = Cluster::default();
    let (one, two) = (cluster.node(), cluster.node());
    let old = two.member();
    let mut members = two.members();
    cluster.expire(old.node);
    let new = two.member();
    assert!(new.incarnation > old.incarnation);
    let mut changes = Vec::new();
    while changes.last() != Some(&Membership::Joined(new)) {
        changes.push(members.next().await.unwrap());
    }
    assert!(changes.contains(&Membership::Expired { member: old, yours: false }));
    drop(one);
}

#[tokio::test]
async fn what_is_published_while_the_backplane_is_away_arrives_when_it_is_back() {
    let cluster = Cluster::default();
    let (one, two) = (cluster.node(), cluster.node());
    let mut subscription = two.subscribe(&channel(), Start::Now);
    assert_eq!(subscription.next().await, Some(Item::Reachable(true)));
    cluster.cut();
    assert!(!one.health().reachable);
    let mut waiting = one.publish(&channel(), Bytes::from("late"));
    assert_eq!(waiting.now(), None);
    let mut refused = waiting;
    while refused.now().is_none() {
        refused = one.publish(&channel(), Bytes::from("more"));
    }
    assert_eq!(refused.await, Fate::NotStored(Refusal::Full));
    let asked = one.ask(two.member().node, &channel(), Bytes::new(), Duration::from_millis(1));
    assert_eq!(asked.await, Answer::TimedOut);
    let appended = cluster.append(&channel(), Expected::Any, Bytes::new()).await;
    assert_eq!(appended, Append::NotStored(Refusal::Unreachable));
    cluster.heal();
    assert_eq!(subscription.next().await, Some(Item::Reachable(false)));
    assert_eq!(subscription.next().await, Some(Item::Reachable(true)));
    let Some(Item::Message(message)) = subscription.next().await else { panic!("no message") };
    assert_eq!(message.payload, "late");
}

#[tokio::test]
async fn an_emptied_backplane_is_announced_to_followers_and_to_cursors() {
    let cluster = Cluster::default();
    let node = cluster.node();
    let mut subscription = node.subscribe(&channel(), Start::Now);
    assert_eq!(subscription.next().await, Some(Item::Reachable(true)));
    let Fate::Stored(position) = node.publish(&channel(), Bytes::from("1")).await else { panic!() };
    assert!(matches!(subscription.next().await, Some(Item::Message(_))));
    cluster.empty();
    assert_eq!(subscription.next().await, Some(Item::Gap(Gap::Emptied)));
    let mut cursor = node.subscribe(&channel(), Start::After(position));
    assert_eq!(cursor.next().await, Some(Item::Reachable(true)));
    assert_eq!(cursor.next().await, Some(Item::Gap(Gap::Emptied)));
}

#[tokio::test]
async fn a_cursor_older_than_what_is_kept_learns_that_it_missed_something() {
    let cluster = Cluster::default();
    let node = cluster.node();
    let Fate::Stored(position) = node.publish(&channel(), Bytes::from("1")).await else { panic!() };
    for _ in 0..8192 {
        drop(node.publish(&channel(), Bytes::from("x")));
    }
    let kept = |subscription: &mut everwire_backplane::Subscription| {
        let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut next = Box::pin(subscription.next());
        next.as_mut().poll(&mut ctx)
    };
    let mut just = node.subscribe(&channel(), Start::After(position));
    assert_eq!(just.next().await, Some(Item::Reachable(true)));
    assert!(matches!(just.next().await, Some(Item::Message(_))), "nothing is missing yet");
    drop(node.publish(&channel(), Bytes::from("x")));
    drop(node.publish(&channel(), Bytes::from("x")));
    let mut late = node.subscribe(&channel(), Start::After(position));
    assert_eq!(late.next().await, Some(Item::Reachable(true)));
    assert_eq!(kept(&mut late), std::task::Poll::Ready(Some(Item::Gap(Gap::Trimmed))));
}
