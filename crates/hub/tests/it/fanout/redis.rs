//! The same over a real Redis, through what can happen to it.

use std::{path::Path, sync::Arc};

use everwire_backplane::redis::{Config, Redis};
use everwire_testkit::{
    need,
    redis::{DURABLE, Server},
    tools,
    wait::eventually,
};

use super::{builder, call, channel};
use crate::peer::{Peer, Served, serve};

/// A Redis that forgets nothing it has confirmed, and three nodes on it with a client each.
struct Cluster {
    server: Server,
    nodes: Vec<Served>,
    clients: Vec<Peer>,
}

impl Cluster {
    async fn start(program: &Path) -> Self {
        let server = Server::start(program, DURABLE).await;
        let mut all = Self { server, nodes: Vec::new(), clients: Vec::new() };
        for _ in 0..3 {
            let bus = Redis::start(Config::new(all.server.url())).unwrap();
            let hub = builder().backplane(Arc::new(bus), channel()).build().unwrap();
            hub.start();
            let served = serve(hub).await;
            all.clients.push(served.peer().await);
            all.nodes.push(served);
        }
        for node in &all.nodes {
            eventually("all nodes to answer", async || {
                let count = node.hub.all().count().await;
                (count.value == 3 && count.unreached == 0).then_some(())
            })
            .await;
        }
        all
    }

    /// Each node says these numbers; its own client is told at once, whatever Redis does.
    fn say(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            for (from, node) in self.nodes.iter().enumerate() {
                node.hub.all().send("m", &(from, number)).unwrap();
            }
        }
    }

    /// What each client gets of each node: every number once and in order.
    async fn hears(&mut self, numbers: std::ops::Range<u32>) {
        for peer in &mut self.clients {
            let mut next = [numbers.start; 3];
            while next != [numbers.end; 3] {
                let said: serde_json::Value =
                    serde_json::from_str(&peer.next().await.unwrap()).unwrap();
                let from = said["arguments"][0].as_u64().unwrap() as usize;
                assert_eq!(said["arguments"][1], next[from], "from node {from}");
                next[from] += 1;
            }
        }
    }

    fn gaps(&self) -> u64 {
        self.nodes.iter().map(|node| node.hub.exchanged().unwrap().gaps).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pred_s10_nothing_is_lost_or_doubled_when_redis_is_killed_and_comes_back() {
    let program = need!(tools::redis());
    let mut cluster = Cluster::start(&program).await;
    cluster.say(0..200);
    cluster.server.process.kill();
    cluster.say(200..400);
    // Without Redis this node's clients are told what this node says.
    let hub = cluster.nodes[0].hub.clone();
    hub.all().send("here", &()).unwrap();
    while cluster.clients[0].next().await != Some(call("here", "[]")) {}
    cluster.server.restart().await;
    cluster.say(400..600);
    cluster.clients.remove(0);
    for peer in &mut cluster.clients {
        let (mut next, mut here) = ([0; 3], 0);
        while next != [600; 3] {
            let text = peer.next().await.unwrap();
            if text == call("here", "[]") {
                here += 1;
                continue;
            }
            let said: serde_json::Value = serde_json::from_str(&text).unwrap();
            let from = said["arguments"][0].as_u64().unwrap() as usize;
            assert_eq!(said["arguments"][1], next[from], "from node {from}");
            next[from] += 1;
        }
        assert_eq!(here, 1);
    }
    assert_eq!(cluster.gaps(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_redis_stands_still() {
    let program = need!(tools::redis());
    let mut cluster = Cluster::start(&program).await;
    cluster.say(0..100);
    cluster.server.process.freeze();
    cluster.say(100..300);
    cluster.server.process.wake();
    cluster.say(300..400);
    cluster.hears(0..400).await;
    assert_eq!(cluster.gaps(), 0);
}
