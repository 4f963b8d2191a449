//! Sessions that move to another node when theirs drains.

mod faults;
mod histories;
mod session;
mod sessions;

use std::{sync::Arc, time::Duration};

use everwire_backplane::{Bus, memory};
use everwire_hub::{Cluster, Context, Hub, HubBuilder, PeerService, method::Opaque};
use tokio::{net::TcpListener, task::JoinSet};

use self::{faults::Losses, session::Session};
use crate::{
    fanout::channel,
    peer::{self, Served, serve},
};

const SECRET: &str = "what the three nodes have in common";

/// Nodes that have one hub together.
struct Nodes {
    bus: memory::Cluster,
    nodes: Vec<Node>,
}

/// One of them.
struct Node {
    served: Served,
    bus: Arc<memory::Node>,
    losses: Losses,
    _peers: JoinSet<()>,
}

/// Methods that answer, too.
fn builder() -> HubBuilder {
    peer::builder()
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .method("User", |cx: Context| async move { cx.user_id().map(ToString::to_string) })
}

impl Nodes {
    async fn of(count: usize, builder: impl Fn() -> HubBuilder) -> Self {
        let mut all = Self { bus: memory::Cluster::default(), nodes: Vec::new() };
        for _ in 0..count {
            all.add(builder()).await;
        }
        all
    }

    /// One more node, once it and the others know of each other.
    async fn add(&mut self, builder: HubBuilder) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let advertise = listener.local_addr().unwrap().to_string();
        let cluster = Cluster::new(&advertise, [SECRET]).unwrap();
        let bus = Arc::new(self.bus.node());
        let builder = builder.cluster(&cluster, "hub").backplane(bus.clone(), channel());
        let hub = builder.build().unwrap();
        hub.start();
        let service: PeerService = cluster.service([hub.service()]);
        let (losses, mut peers) = (Losses::default(), JoinSet::new());
        let losing = losses.clone();
        let answer = move |request| losing.clone().answer(service.clone(), request);
        let router = axum::Router::new().fallback(answer);
        peers.spawn(async move { axum::serve(listener, router).await.unwrap() });
        self.nodes.push(Node { served: serve(hub).await, bus, losses, _peers: peers });
        self.meet().await;
    }

    /// Waits until each node knows all others, and they answer it.
    async fn meet(&self) {
        for node in &self.nodes {
            while node.hub().nodes().len() + 1 < self.nodes.len()
                || node.hub().all().count().await.unreached > 0
            {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Ends a node: it takes its leave, and nobody answers where it was.
    async fn end(&mut self, node: usize) {
        let node = self.nodes.remove(node);
        node.hub().stop();
        node.hub().stopped().await;
        node.bus.leave().await;
        drop(node);
    }
}

impl Node {
    fn hub(&self) -> &Hub {
        &self.served.hub
    }

    async fn drain(&self) -> everwire_hub::Drained {
        self.hub().drain(Duration::ZERO).await
    }
}
