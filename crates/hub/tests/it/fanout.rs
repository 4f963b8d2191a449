//! One hub on several nodes of one process, over the backplane in memory.

mod asking;
mod faults;
mod groups;
mod hostile;
mod looking;
mod lost;
mod presence;
mod reaching;
mod redis;
mod users;

use std::sync::Arc;

use everwire_backplane::{Bus, memory};
use everwire_hub::{Channel, ConnectionId, Hub, HubBuilder};

use crate::peer::{Peer, Served, builder, serve};

/// Nodes that have one hub together.
pub(crate) struct Nodes {
    pub(crate) cluster: memory::Cluster,
    pub(crate) nodes: Vec<Node>,
}

/// One of them.
pub(crate) struct Node {
    pub(crate) bus: Arc<memory::Node>,
    pub(crate) served: Served,
}

pub(crate) fn channel() -> Channel {
    Channel::new("hub").unwrap()
}

impl Nodes {
    pub(crate) async fn of(count: usize, builder: impl Fn() -> HubBuilder) -> Self {
        let mut all = Self { cluster: memory::Cluster::default(), nodes: Vec::new() };
        for _ in 0..count {
            all.add(builder()).await;
        }
        all
    }

    /// One more node, once it and the others know of each other.
    pub(crate) async fn add(&mut self, builder: HubBuilder) {
        let bus = Arc::new(self.cluster.node());
        let hub = builder.backplane(bus.clone(), channel()).build().unwrap();
        hub.start();
        self.nodes.push(Node { bus, served: serve(hub).await });
        self.meet().await;
    }

    /// Waits until each node knows all others, and they answer it.
    pub(crate) async fn meet(&self) {
        for node in &self.nodes {
            while node.hub().nodes().len() + 1 < self.nodes.len()
                || node.hub().all().count().await.unreached > 0
            {
                tokio::task::yield_now().await;
            }
        }
    }

    /// One of the nodes is killed: nobody hears it any more. Gives what is left of it.
    pub(crate) fn kill(&mut self, node: usize) -> Node {
        let node = self.nodes.remove(node);
        self.cluster.kill(node.bus.member().node);
        node
    }

    /// The hub as one of the nodes has it.
    pub(crate) fn hub(&self, node: usize) -> &Hub {
        self.nodes[node].hub()
    }
}

impl Node {
    pub(crate) const fn hub(&self) -> &Hub {
        &self.served.hub
    }

    /// A client of this node that has shaken hands, and what it is called.
    pub(crate) async fn client(&self, user: &str) -> (Peer, ConnectionId) {
        let mut peer = self.served.stranger(&format!("?user={user}")).await;
        peer.send(r#"{"protocol":"json","version":1}"#).await;
        assert_eq!(peer.next().await.as_deref(), Some("{}"));
        let completion: serde_json::Value =
            serde_json::from_str(&peer.call("id", "[]").await).unwrap();
        (peer, completion["result"].as_str().unwrap().parse().unwrap())
    }
}

/// A call of the client as it comes.
pub(crate) fn call(target: &str, arguments: &str) -> String {
    format!(r#"{{"type":1,"target":"{target}","arguments":{arguments}}}"#)
}
