//! What every [`Bus`] promises.

use std::time::Duration;

use bytes::Bytes;

use super::PATIENCE;
use crate::{
    Answer, Bus, Channel, Fate, Gap, Item, Membership, Message, NodeId, PAYLOAD_MAX, Refusal,
    Start, Subscription, WAITING_MAX,
};

/// Every node publishes, every node receives: each message once, each publisher's in its order,
/// and all in the same order everywhere.
pub async fn every_node_receives_each_message_once_in_order(nodes: &[&dyn Bus]) {
    let channel = name("everybody");
    let mut subscriptions = Vec::new();
    for node in nodes {
        subscriptions.push(follow(*node, &channel).await);
    }
    let mut fates = Vec::new();
    for number in 1..=EACH {
        for node in nodes {
            fates.push(node.publish(&channel, Bytes::from(number.to_string())));
        }
    }
    for fate in fates {
        assert!(matches!(fate.await, Fate::Stored(_)));
    }
    let mut orders = Vec::new();
    for subscription in &mut subscriptions {
        let messages = messages(subscription, nodes.len() * EACH as usize).await;
        for node in nodes {
            let from = messages.iter().filter(|message| message.origin.member == node.member());
            let numbers: Vec<_> =
                from.map(|message| (message.origin.sequence, text(message))).collect();
            let expected: Vec<_> = (1..=EACH).map(|number| (number, number.to_string())).collect();
            assert_eq!(numbers, expected);
        }
        assert!(messages.is_sorted_by_key(|message| message.position));
        orders.push(messages.iter().map(|message| message.origin).collect::<Vec<_>>());
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "one order for all");
}

/// Names that look like parts of keys, of patterns or of commands are names and nothing else.
pub async fn channels_do_not_meet_whatever_their_names(one: &dyn Bus, other: &dyn Bus) {
    let names = ["a", "a:b", "a:b:c", "1:a", "a\r\nDEL a", "*", "{a}", "a\0b", " ", "а"];
    let mut subscriptions = Vec::new();
    for text in names {
        subscriptions.push((text, follow(other, &name(text)).await));
    }
    for text in names {
        let fate = one.publish(&name(text), Bytes::from(text)).await;
        assert!(matches!(fate, Fate::Stored(_)));
    }
    for (expected, subscription) in &mut subscriptions {
        let message = message(subscription).await;
        assert_eq!((text(&message), message.origin.sequence), ((*expected).to_owned(), 1));
    }
    // Each had one message: a further one on each is the next it sees.
    for (expected, subscription) in &mut subscriptions {
        drop(one.publish(&name(expected), Bytes::from("second")));
        assert_eq!(message(subscription).await.origin.sequence, 2);
    }
}

/// A reader that names the position of the last message it has gets what follows, and no more.
pub async fn a_late_reader_catches_up_from_its_position(one: &dyn Bus, other: &dyn Bus) {
    let channel = name("late");
    let mut first = follow(one, &channel).await;
    for number in 1..=EACH {
        drop(one.publish(&channel, Bytes::from(number.to_string())));
    }
    let early = messages(&mut first, EACH as usize).await;
    for number in [0, 1, early.len() / 2, early.len() - 1] {
        let mut late = other.subscribe(&channel, Start::After(early[number].position));
        let missed = messages(&mut late, early.len() - number - 1).await;
        assert_eq!(missed, early[number + 1..]);
        drop(one.publish(&channel, Bytes::from("new")));
        assert_eq!(text(&message(&mut late).await), "new");
    }
}

/// What is too large is refused before it goes anywhere, and takes no number.
pub async fn too_large_a_payload_is_refused_at_once(node: &dyn Bus) {
    let channel = name("large");
    let mut subscription = follow(node, &channel).await;
    let mut refused = node.publish(&channel, Bytes::from(vec![0; PAYLOAD_MAX + 1]));
    assert_eq!(refused.now(), Some(Fate::NotStored(Refusal::TooLarge)));
    let largest = Bytes::from(vec![1; PAYLOAD_MAX]);
    assert!(matches!(node.publish(&channel, largest.clone()).await, Fate::Stored(_)));
    let received = message(&mut subscription).await;
    assert_eq!((received.origin.sequence, received.payload), (1, largest));
}

/// A reader that lets too much wait gets a gap and then what is new.
pub async fn a_slow_reader_learns_that_it_was_too_slow(one: &dyn Bus, other: &dyn Bus) {
    let channel = name("slow");
    let mut slow = follow(other, &channel).await;
    let mut quick = follow(other, &channel).await;
    let total = WAITING_MAX + 10;
    let mut read = 0;
    while read < total {
        let batch = (total - read).min(1000);
        for _ in 0..batch {
            drop(one.publish(&channel, Bytes::from("x")));
        }
        messages(&mut quick, batch).await;
        read += batch;
    }
    assert_eq!(next(&mut slow).await, Item::Gap(Gap::Slow));
    drop(one.publish(&channel, Bytes::from("last")));
    while text(&message(&mut slow).await) != "last" {}
}

/// A question goes to the one node it names, and the answer to the one that asked.
pub async fn a_question_reaches_one_node_and_its_answer_comes_back(nodes: &[&dyn Bus]) {
    let topic = name("echo");
    let mut taken: Vec<_> = nodes.iter().map(|node| node.questions(&topic)).collect();
    for asker in nodes {
        for (node, questions) in nodes.iter().zip(&mut taken) {
            see(*asker, node.member().node).await;
            let asking = asker.ask(node.member().node, &topic, Bytes::from("who"), PATIENCE);
            let answering = async {
                let question = questions.next().await.expect("a question");
                assert_eq!((question.from, &question.payload[..]), (asker.member(), &b"who"[..]));
                question.answer(Bytes::from(node.member().to_string()));
            };
            let (answer, ()) = futures_util::future::join(asking, answering).await;
            assert_eq!(answer, Answer::Reply(Bytes::from(node.member().to_string())));
        }
    }
}

/// Who asks nobody, or one who does not listen or does not answer, learns which of them it was.
pub async fn a_question_that_cannot_be_answered_says_why(one: &dyn Bus, other: &dyn Bus) {
    let (topic, short) = (name("silence"), Duration::from_millis(200));
    let node = other.member().node;
    see(one, node).await;
    let nobody = one.ask(NodeId::random(), &topic, Bytes::new(), PATIENCE).await;
    assert_eq!(nobody, Answer::NoSuchNode);
    assert_eq!(one.ask(node, &topic, Bytes::new(), PATIENCE).await, Answer::NotTaken);
    let mut questions = other.questions(&topic);
    assert_eq!(one.ask(node, &topic, Bytes::new(), short).await, Answer::TimedOut);
    assert!(questions.next().await.is_some(), "it was heard all the same");
    let large = Bytes::from(vec![0; PAYLOAD_MAX + 1]);
    let large = one.ask(node, &topic, large, PATIENCE).await;
    assert_eq!(large, Answer::NotSent(Refusal::TooLarge));
    drop(questions);
    assert_eq!(one.ask(node, &topic, Bytes::new(), PATIENCE).await, Answer::NotTaken);
}

/// All see one another, and one that takes its leave goes without expiring.
pub async fn every_node_sees_who_joins_and_who_leaves(staying: &dyn Bus, leaving: &dyn Bus) {
    let mut members = staying.members();
    let mut present = Vec::new();
    while !(present.contains(&staying.member()) && present.contains(&leaving.member())) {
        match within("a node joining", members.next()).await {
            Some(Membership::Joined(member)) => present.push(member),
            other => panic!("{other:?}"),
        }
    }
    let gone = leaving.member();
    within("leaving", leaving.leave()).await;
    loop {
        match within("a node leaving", members.next()).await {
            Some(Membership::Left(member)) if member == gone => break,
            Some(Membership::Joined(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// After its leave a node refuses to publish.
pub async fn a_node_that_left_publishes_nothing(staying: &dyn Bus, leaving: &dyn Bus) {
    let channel = name("left");
    let mut subscription = follow(staying, &channel).await;
    let before = leaving.publish(&channel, Bytes::from("before"));
    within("leaving", leaving.leave()).await;
    assert!(matches!(before.await, Fate::Stored(_)), "what was published before is not lost");
    let mut after = leaving.publish(&channel, Bytes::from("after"));
    assert_eq!(after.now(), Some(Fate::NotStored(Refusal::Left)));
    drop(staying.publish(&channel, Bytes::from("next")));
    assert_eq!(text(&message(&mut subscription).await), "before");
    assert_eq!(text(&message(&mut subscription).await), "next");
}

pub(super) fn name(text: &str) -> Channel {
    Channel::new(text).expect("a name")
}

/// A subscription that has begun.
pub(super) async fn follow(node: &dyn Bus, channel: &Channel) -> Subscription {
    let mut subscription = node.subscribe(channel, Start::Now);
    assert_eq!(next(&mut subscription).await, Item::Reachable(true));
    subscription
}

/// Waits until one node knows of another.
async fn see(node: &dyn Bus, other: NodeId) {
    let mut members = node.members();
    loop {
        let change = within("a node joining", members.next()).await;
        if matches!(change, Some(Membership::Joined(member)) if member.node == other) {
            return;
        }
    }
}

async fn next(subscription: &mut Subscription) -> Item {
    within("an item", subscription.next()).await.expect("the bus goes on")
}

async fn message(subscription: &mut Subscription) -> Message {
    loop {
        match next(subscription).await {
            Item::Message(message) => return message,
            Item::Reachable(true) => {}
            other => panic!("{other:?} in place of a message"),
        }
    }
}

pub(super) async fn messages(subscription: &mut Subscription, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.push(message(subscription).await);
    }
    messages
}

pub(super) fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Messages of each node.
const EACH: u64 = 200;
