//! What happens to a Redis, and that each message is there once and in order all the same.

use std::time::Duration;

use bytes::Bytes;
use everwire_backplane::{
    Append, Bus, Expected, Fate, Gap, Item, Log, Refusal, Start,
    redis::{Config, Redis},
};
use everwire_testkit::{need, swallow::Swallower, tools, wait::eventually};

use super::{Received, all_stored, channel, follow, next, publish};
use crate::server::{DURABLE, Server, VOLATILE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_b4_an_answer_swallowed_a_thousand_times_doubles_and_loses_nothing() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (mut proxies, mut nodes, mut subscriptions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let proxy = Swallower::start(server.address()).await;
        let node = Redis::start(Config::new(proxy.url())).unwrap();
        subscriptions.push(follow(&node).await);
        proxies.push(proxy);
        nodes.push(node);
    }
    proxies.iter().for_each(|proxy| proxy.swallow(true));
    let mut published = 0;
    while proxies.iter().map(Swallower::swallowed).sum::<u64>() < 1000 {
        published += 1;
        let round: Vec<_> =
            nodes.iter().flat_map(|node| publish(node, published..=published)).collect();
        all_stored(round).await;
    }
    proxies.iter().for_each(|proxy| proxy.swallow(false));
    let resent: u64 = nodes.iter().map(|node| node.health().counts.resent).sum();
    // Now and then what was swallowed was the answer to an announcement alone.
    assert!(resent >= 900, "{resent} were sent again");
    for subscription in &mut subscriptions {
        let mut numbers = vec![Vec::new(); 3];
        while numbers.iter().map(Vec::len).sum::<usize>() < 3 * published as usize {
            match next(subscription).await {
                Item::Message(message) => {
                    let from = |node: &Redis| node.member() == message.origin.member;
                    let from = nodes.iter().position(from).unwrap();
                    numbers[from].push(message.origin.sequence);
                }
                Item::Reachable(_) => {}
                Item::Gap(gap) => panic!("{gap:?}"),
            }
        }
        assert!(numbers.iter().all(|numbers| *numbers == (1..=published).collect::<Vec<_>>()));
    }
    let duplicates: u64 = nodes.iter().map(|node| node.health().counts.duplicates).sum();
    assert!(duplicates > 0, "what was swallowed had been stored");
}

/// Publishes through a fault, and expects each message once; what gaps were announced.
async fn through(server: &mut Server, fault: impl AsyncFnOnce(&mut Server)) -> Vec<Gap> {
    let (one, two) = (server.node(), server.node());
    let mut subscription = follow(&two).await;
    let mut received = Received::default();
    all_stored(publish(&one, 1..=100)).await;
    received.until(&mut subscription, 50).await;
    let during = publish(&one, 101..=200);
    fault(server).await;
    let after = publish(&one, 201..=300);
    received.until(&mut subscription, 300).await;
    all_stored(during).await;
    all_stored(after).await;
    received.assert_complete(300);
    received.gaps
}

#[tokio::test]
async fn fault_b1_a_killed_redis_that_remembers_loses_nothing() {
    let mut server = Server::start(&need!(tools::redis()), DURABLE).await;
    assert_eq!(through(&mut server, async |server| server.kill_and_restart().await).await, []);
}

#[tokio::test]
async fn fault_b1_a_killed_redis_that_forgets_says_so_and_what_nodes_still_have_comes_again() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let gaps = through(&mut server, async |server| server.kill_and_restart().await).await;
    assert_eq!(gaps, [Gap::Emptied]);
}

#[tokio::test]
async fn fault_b1_an_emptied_redis_says_so_and_what_nodes_still_have_comes_again() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two) = (server.node(), server.node());
    let mut subscription = follow(&two).await;
    let mut received = Received::default();
    all_stored(publish(&one, 1..=100)).await;
    received.until(&mut subscription, 100).await;
    server.tell(&["FLUSHALL"]).await;
    while next(&mut subscription).await != Item::Gap(Gap::Emptied) {}
    all_stored(publish(&one, 101..=200)).await;
    received.until(&mut subscription, 200).await;
    received.assert_complete(200);
    server.process.kill();
}

#[tokio::test]
async fn fault_b2_a_redis_that_is_stopped_for_two_seconds_loses_nothing() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let gaps = through(&mut server, async |server| {
        server.process.freeze();
        // The fault is this long; nothing is waited for.
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.process.wake();
    })
    .await;
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn fault_b2_a_redis_that_is_stopped_until_nodes_give_up_on_it_loses_nothing() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let gaps = through(&mut server, async |server| {
        server.process.freeze();
        tokio::time::sleep(Duration::from_secs(8)).await;
        server.process.wake();
    })
    .await;
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn fault_b4_killed_connections_lose_nothing() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let gaps = through(&mut server, async |server| {
        for _ in 0..10 {
            server.tell(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        }
    })
    .await;
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn fault_b2_a_paused_redis_loses_nothing() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let gaps = through(&mut server, async |server| {
        server.tell(&["CLIENT", "PAUSE", "2000", "ALL"]).await;
    })
    .await;
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn fault_b4_a_reader_whose_answers_overflow_is_cut_and_loses_nothing() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    server.tell(&["CONFIG", "SET", "client-output-buffer-limit", "normal 300kb 0 0"]).await;
    let (one, two) = (server.node(), server.node());
    let mut subscription = follow(&two).await;
    // What waits for the reader in one answer is more than the server lets wait.
    let large = Bytes::from(vec![1; 100_000]);
    let sent: Vec<_> = (0..50).map(|_| one.publish(&channel(), large.clone())).collect();
    all_stored(sent).await;
    for number in 1..=50 {
        loop {
            match next(&mut subscription).await {
                Item::Message(message) => break assert_eq!(message.origin.sequence, number),
                Item::Reachable(_) => {}
                Item::Gap(gap) => panic!("{gap:?}"),
            }
        }
    }
    server.process.kill();
}

#[tokio::test]
async fn entries_trimmed_unread_are_asked_of_their_publisher() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let (one, two) = (server.node(), server.node());
    let mut subscription = follow(&two).await;
    all_stored(publish(&one, 1..=10)).await;
    let mut received = Received::default();
    received.until(&mut subscription, 10).await;
    // In one step, so that nobody reads in between: more is stored, and is gone again.
    let key = "everwire:channel:7:channel";
    server.tell(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let waiting = publish(&one, 11..=30);
    server.tell(&["CLIENT", "UNPAUSE"]).await;
    all_stored(waiting).await;
    server.tell(&["DEL", key]).await;
    all_stored(publish(&one, 31..=31)).await;
    received.until(&mut subscription, 31).await;
    received.assert_complete(31);
    assert_eq!(received.gaps, []);
}

#[tokio::test]
async fn fault_b2_messages_wait_for_an_absent_redis_up_to_a_limit() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut config = Config::new(server.url());
    config.waiting_max = 100;
    let node = Redis::start(config).unwrap();
    let mut subscription = follow(&node).await;
    server.process.kill();
    eventually("the loss being noticed", async || (!node.health().reachable).then_some(())).await;
    let mut waiting = publish(&node, 1..=101);
    let mut refused = waiting.pop().unwrap();
    assert_eq!(refused.now(), Some(Fate::NotStored(Refusal::Full)));
    let refused = node.append(&channel(), Expected::Any, Bytes::new()).await;
    assert_eq!(refused, Append::NotStored(Refusal::Unreachable));
    server.restart().await;
    all_stored(waiting).await;
    let mut received = Received::default();
    received.until(&mut subscription, 100).await;
    received.assert_complete(100);
}

#[tokio::test]
async fn a_message_is_unknown_when_its_node_ends_before_it_is_confirmed() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let node = server.node();
    let mut subscription = follow(&node).await;
    server.tell(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let mut publishing = node.publish(&channel(), Bytes::from("1"));
    assert_eq!(publishing.now(), None);
    drop(node);
    assert_eq!(publishing.await, Fate::Unknown);
    while subscription.next().await.is_some() {}
}

#[tokio::test]
async fn a_cursor_from_before_the_loss_learns_that_it_is_worth_nothing() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let node = server.node();
    let Fate::Stored(position) = node.publish(&channel(), Bytes::from("1")).await else { panic!() };
    server.tell(&["FLUSHALL"]).await;
    let late = server.node();
    let mut subscription = late.subscribe(&channel(), Start::After(position));
    assert_eq!(next(&mut subscription).await, Item::Reachable(true));
    assert_eq!(next(&mut subscription).await, Item::Gap(Gap::Emptied));
}
