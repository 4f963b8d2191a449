//! Who is alive, while Redis is there and while it is not.

use std::time::Duration;

use everwire_backplane::{
    Bus, Member, Members, Membership,
    redis::{Config, Redis},
};
use everwire_testkit::{need, tools};

use super::PATIENCE;
use crate::server::{Server, VOLATILE};

const LEASE: Duration = Duration::from_secs(2);

fn nodes(server: &Server) -> Vec<Redis> {
    let node = || {
        let mut config = Config::new(server.url());
        config.lease = LEASE;
        Redis::start(config).unwrap()
    };
    std::iter::repeat_with(node).take(3).collect()
}

async fn change(members: &mut Members) -> Membership {
    tokio::time::timeout(PATIENCE, members.next()).await.expect("a change in time").unwrap()
}

/// Waits until all three know one another; what follows is news.
async fn acquainted(nodes: &[Redis]) -> Vec<Members> {
    let mut all = Vec::new();
    for node in nodes {
        let mut members = node.members();
        for _ in nodes {
            assert!(matches!(change(&mut members).await, Membership::Joined(_)));
        }
        all.push(members);
    }
    all
}

/// What each hears of a member that is gone: when, and whether it is to clean up.
async fn hear(members: &mut [Members], gone: Member) -> Vec<bool> {
    let mut told = Vec::new();
    for members in members {
        match change(members).await {
            Membership::Expired { member, yours } if member == gone => told.push(yours),
            other => panic!("{other:?}"),
        }
    }
    told
}

#[tokio::test]
async fn fault_b1_a_redis_away_for_thirty_seconds_expires_nobody() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let nodes = nodes(&server);
    let mut members = acquainted(&nodes).await;
    server.process.kill();
    // The outage is this long; nothing is waited for.
    tokio::time::sleep(Duration::from_secs(30)).await;
    server.restart().await;
    // And three leases more, in which somebody could be missed.
    tokio::time::sleep(LEASE * 3).await;
    for members in &mut members {
        let change = tokio::time::timeout(Duration::ZERO, members.next()).await;
        assert!(change.is_err(), "{change:?}");
    }
    assert!(nodes.iter().all(|node| node.health().reachable));
}

#[tokio::test]
async fn fault_b6_a_killed_node_expires_within_two_leases_and_one_survivor_cleans_up() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut nodes = nodes(&server);
    let mut members = acquainted(&nodes).await;
    let gone = nodes[2].member();
    members.pop();
    let killed = everwire_testkit::wait::now();
    drop(nodes.pop());
    let told = hear(&mut members, gone).await;
    assert!(killed.elapsed() <= LEASE * 2, "{:?}", killed.elapsed());
    assert_eq!(told.iter().filter(|yours| **yours).count(), 1, "{told:?}");
    // The one who was to clean up ends too, before it has: the last one is to do both.
    let cleaner = told.iter().position(|yours| *yours).unwrap();
    let second = nodes[cleaner].member();
    drop((nodes.remove(cleaner), members.remove(cleaner)));
    assert_eq!(hear(&mut members, second).await, [true]);
    assert_eq!(hear(&mut members, gone).await, [true], "inherited");
}

#[tokio::test]
async fn what_was_cleaned_up_is_not_cleaned_up_again() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let mut nodes = nodes(&server);
    let mut members = acquainted(&nodes).await;
    let gone = nodes[2].member();
    drop((nodes.pop(), members.pop()));
    let told = hear(&mut members, gone).await;
    let cleaner = told.iter().position(|yours| *yours).unwrap();
    nodes[cleaner].cleaned(members[cleaner].observer(), gone);
    everwire_testkit::wait::eventually("the server being told", async || {
        let left = server.tell(&["HLEN", "everwire:cleaning"]).await;
        (left == redis::Value::Int(0)).then_some(())
    })
    .await;
    let second = nodes[cleaner].member();
    drop((nodes.remove(cleaner), members.remove(cleaner)));
    assert_eq!(hear(&mut members, second).await, [true]);
    let more = tokio::time::timeout(LEASE, members[0].next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn fault_b8_a_node_that_was_given_up_comes_back_as_a_new_incarnation() {
    let server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let nodes = nodes(&server);
    let mut members = acquainted(&nodes).await;
    let old = nodes[0].member();
    let key = format!("everwire:expired:{old}");
    server.tell(&["SET", &key, ""]).await;
    server.tell(&["HDEL", "everwire:beats", &old.node.to_string()]).await;
    for members in &mut members {
        let expired = change(members).await;
        assert!(matches!(expired, Membership::Expired { member, .. } if member == old));
        let Membership::Joined(new) = change(members).await else { panic!("nobody joined") };
        assert_eq!(new.node, old.node);
        assert!(new.incarnation > old.incarnation);
        assert_eq!(new, nodes[0].member());
    }
}
