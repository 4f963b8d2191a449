//! Rows B1, B2 and B4: what happens to the Redis of three processes, while clients at each of them say
//! something to everybody all the time. Nobody loses a socket, and each message comes once.

use std::time::Duration;

use everwire_testkit::{
    need,
    redis::{DURABLE, Server, VOLATILE},
    tools,
};

use super::three::{Three, heard};

/// Says all through a fault and long enough before and after it, and checks that all was heard.
async fn through(redis: &mut Server, fault: impl AsyncFnOnce(&mut Server)) -> Three {
    let mut three = Three::on(redis).await;
    three.say(50);
    three.say_during(fault(redis)).await;
    three.say(50);
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
    three
}

/// The fault is this long; nothing is waited for.
async fn lasts(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test]
async fn fault_b1_redis_is_killed_and_comes_back_at_once_or_after_two_seconds() {
    let program = need!(tools::redis());
    for outage in [Duration::ZERO, Duration::from_secs(2)] {
        let mut redis = Server::start(&program, DURABLE).await;
        through(&mut redis, async |redis| {
            redis.process.kill();
            lasts(outage).await;
            redis.restart().await;
        })
        .await;
    }
}

/// Three leases long: nobody is taken for dead, since nobody can be seen. Meanwhile each node's own
/// clients hear each other.
#[tokio::test]
async fn fault_b1_redis_is_away_for_thirty_seconds_and_nobody_has_left() {
    let mut redis = Server::start(&need!(tools::redis()), DURABLE).await;
    let mut three = Three::on(&redis).await;
    three.all_appear().await;
    redis.process.kill();
    three.say(20);
    lasts(Duration::from_secs(30)).await;
    for at in 0..3 {
        assert_eq!(three.heard_at_home(at), three.said_at(at), "at node {at}, without Redis");
    }
    redis.restart().await;
    three.all_have_heard_all().await;
    // And a lease more, in which somebody could be missed.
    three.say_during(lasts(Duration::from_secs(11))).await;
    three.all_have_heard_all().await;
    three.nobody_was_dropped();
    for client in &three.clients {
        assert_eq!(heard(client, "offline"), Vec::<serde_json::Value>::new());
        assert_eq!(heard(client, "online").len(), 3);
    }
}

#[tokio::test]
async fn fault_b2_redis_stands_still_for_five_seconds() {
    let mut redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    through(&mut redis, async |redis| {
        redis.process.freeze();
        lasts(Duration::from_secs(5)).await;
        redis.process.wake();
    })
    .await;
}

#[tokio::test]
async fn fault_b2_redis_takes_no_command_for_five_seconds() {
    let mut redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    through(&mut redis, async |redis| {
        redis.tell(&["CLIENT", "PAUSE", "5000", "ALL"]).await;
        lasts(Duration::from_secs(5)).await;
    })
    .await;
}

#[tokio::test]
async fn fault_b4_redis_cuts_its_clients_time_and_again() {
    let mut redis = Server::start(&need!(tools::redis()), VOLATILE).await;
    let three = through(&mut redis, async |redis| {
        for _ in 0..20 {
            redis.tell(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            lasts(Duration::from_millis(50)).await;
        }
    })
    .await;
    for node in &three.nodes {
        assert!(node.metric("everwire_backplane_cuts_total").await >= 5.0);
        assert_eq!(node.metric("everwire_backplane_lost_total").await, 0.0);
    }
}
