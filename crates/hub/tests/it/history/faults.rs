//! Over a real Redis, through what can happen to it.

use std::sync::Arc;

use everwire_backplane::redis::{Config, Redis};
use everwire_testkit::{
    need,
    redis::{DURABLE, Server, VOLATILE},
    tools,
    wait::eventually,
};
use tokio::task::JoinSet;

use super::{
    Follower, HUB,
    moving::{come_back, flow},
    say, with_history,
};
use crate::{
    fanout::channel,
    peer::{Served, serve},
};

async fn nodes(server: &Server, count: usize) -> Vec<Served> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let bus = Redis::start(Config::new(server.url())).unwrap();
        let hub = with_history().backplane(Arc::new(bus), channel()).build().unwrap();
        hub.start();
        nodes.push(serve(hub).await);
    }
    for node in &nodes {
        eventually("all nodes to answer", async || {
            let all = node.hub.all().count().await;
            (node.hub.nodes().len() + 1 == count && all.unreached == 0).then_some(())
        })
        .await;
    }
    nodes
}

/// A client whose call may come while Redis is away: it asks again, as applications do.
async fn recovers<S>(follower: &mut Follower<S>) -> bool
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        let cursor = follower.cursor.clone();
        let completion = follower.ask(&HUB, &cursor).await;
        if let Some(recovered) = completion["result"]["recovered"].as_bool() {
            follower.cursor = completion["result"]["cursor"].clone();
            return recovered;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recover_misses_and_doubles_nothing_while_redis_is_killed_and_comes_back() {
    let mut server = Server::start(&need!(tools::redis()), DURABLE).await;
    let nodes = nodes(&server, 3).await;
    let mut follower = Follower::new(nodes[0].peer().await);
    let mut steady = Follower::new(nodes[1].peer().await);
    assert!(follower.recover(&HUB).await && steady.recover(&HUB).await);
    let mut flowing = JoinSet::new();
    flowing.spawn(flow(vec![nodes[2].hub.clone()], 3000));
    for round in 1..=6 {
        follower.until(round * 300).await;
        if round % 2 == 0 {
            server.kill_and_restart().await;
        }
        follower = come_back(follower, &nodes[round as usize % 3]).await;
        assert!(recovers(&mut follower).await, "round {round}");
    }
    follower.until(3000).await;
    steady.until(3000).await;
    let all: Vec<u64> = (1..=3000).collect();
    assert_eq!((follower.gaps, steady.gaps), (0, 0));
    assert!(follower.seen == all && steady.seen == all, "each once and in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recover_from_a_redis_that_has_forgotten_says_so() {
    let mut server = Server::start(&need!(tools::redis()), VOLATILE).await;
    let nodes = nodes(&server, 2).await;
    let mut follower = Follower::new(nodes[0].peer().await);
    assert!(follower.recover(&HUB).await);
    say(&nodes[0].hub, 1..=100);
    follower.until(100).await;
    let mut late = Follower::new(nodes[1].peer().await);
    late.cursor = follower.cursor.clone();
    server.kill_and_restart().await;
    assert!(!recovers(&mut late).await);
    say(&nodes[0].hub, 101..=200);
    follower.until(200).await;
    late.until(200).await;
    assert_eq!(follower.seen, (1..=200).collect::<Vec<_>>(), "what it has does not come again");
    assert!(follower.gaps > 0, "it is told that something may be missing");
}
