//! The nodes of the status demo, which are killed and started again: threads of this process that
//! share its memory or, where there is a Redis, processes.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, thread};

use anyhow::{Context, Result};
use everwire_backplane::{Bus, memory::Cluster};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::node::Node;
use crate::{
    commands,
    demo::process::{self, Process},
};

/// What joins the nodes.
pub(super) enum Between {
    /// The memory of this process.
    Memory(Cluster),
    /// A Redis at this address.
    Redis(String),
    /// Nothing: each is alone.
    Nothing,
}

/// All nodes; dropping them ends them.
pub(super) struct Nodes {
    between: Between,
    list: Vec<Life>,
}

/// A node's life. Its address stays its own when it has ended.
struct Life {
    address: SocketAddr,
    name: String,
    body: Option<Body>,
}

enum Body {
    Process(Process),
    Thread(Thread),
}

/// A thread with a runtime of its own, on which everything of the node runs.
struct Thread {
    bus: Option<Arc<dyn Bus>>,
    thread: thread::JoinHandle<()>,
    end: DropGuard,
}

impl Nodes {
    /// Starts `count` nodes on free ports.
    pub(super) async fn start(count: usize, between: Between) -> Result<Self> {
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(
                process::somewhere(async |address| Life::begin(address, &between).await).await?,
            );
        }
        Ok(Self { between, list })
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) const fn between(&self) -> &Between {
        &self.between
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.list.iter().map(|node| node.address).collect()
    }

    /// The ids of those that live.
    pub(super) fn living(&self) -> BTreeSet<&str> {
        let living = self.list.iter().filter(|node| node.body.is_some());
        living.map(|node| node.name.as_str()).collect()
    }

    /// A node for people.
    pub(super) fn describe(&self, index: usize) -> String {
        let Life { name, body, .. } = &self.list[index];
        let short = name.get(..SHORT).unwrap_or(name);
        match body {
            Some(Body::Process(process)) => {
                format!("node {short} (pid {})", process.id().unwrap_or_default())
            }
            _ => format!("node {short}"),
        }
    }

    /// The node is gone in the middle of whatever it does.
    pub(super) async fn kill(&mut self, index: usize) -> Result<()> {
        match self.list[index].body.take() {
            Some(Body::Process(mut process)) => process.kill().await,
            Some(Body::Thread(thread)) => thread.kill(&self.between).await,
            None => Ok(()),
        }
    }

    /// A new node on the address of the old one, which has ended.
    pub(super) async fn restart(&mut self, index: usize) -> Result<()> {
        self.list[index] = Life::begin(self.list[index].address, &self.between).await?;
        Ok(())
    }

    /// The number of a node that somebody has killed.
    pub(super) fn died(&mut self) -> Option<usize> {
        self.list.iter_mut().position(|node| match &mut node.body {
            Some(Body::Process(process)) => process.has_ended(),
            _ => false,
        })
    }
}

impl Life {
    async fn begin(address: SocketAddr, between: &Between) -> Result<Self> {
        let bus: Option<Arc<dyn Bus>> = match between {
            Between::Redis(url) => {
                let mut command = process::command("demo-node", address)?;
                // A password would be read among the arguments by everybody on the machine.
                let process = Process::start(command.env(REDIS, url)).await?;
                let (address, name) = (process.address, process.said.clone());
                return Ok(Self { address, name, body: Some(Body::Process(process)) });
            }
            Between::Memory(cluster) => Some(Arc::new(cluster.node())),
            Between::Nothing => None,
        };
        let (tell, told) = oneshot::channel();
        let end = CancellationToken::new();
        let (ended, end, on) = (end.clone(), end.drop_guard(), bus.clone());
        let thread = thread::Builder::new().name("demo-node".to_owned());
        let thread = thread.spawn(move || live(address, on, tell, &ended))?;
        let (address, name) = told.await.context("a node did not start")??;
        let thread = Thread { bus, thread, end };
        Ok(Self { address, name, body: Some(Body::Thread(thread)) })
    }
}

impl Thread {
    /// First the others hear nothing of it any more, then its sockets end where they are: it takes no
    /// leave of anybody.
    async fn kill(self, between: &Between) -> Result<()> {
        let Self { bus, thread, end } = self;
        if let (Between::Memory(cluster), Some(bus)) = (between, &bus) {
            cluster.kill(bus.member().node);
        }
        drop(end);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        joined.map_err(|_| anyhow::anyhow!("a node ended by a panic"))
    }
}

/// A node's thread. What runs on its runtime is dropped with it.
fn live(
    listen: SocketAddr,
    bus: Option<Arc<dyn Bus>>,
    tell: oneshot::Sender<Result<(SocketAddr, String)>>,
    end: &CancellationToken,
) {
    let lived = commands::block_on(async {
        match Node::open(listen, bus).await {
            Ok(node) => {
                // Who has started it and is gone has ended it, too.
                let _ = tell.send(Ok((node.address, node.name.clone())));
                tokio::select! {
                    _ = node.serve() => {}
                    () = end.cancelled() => {}
                }
            }
            // Who has started it says why there is none.
            Err(error) => drop(tell.send(Err(error))),
        }
        Ok(())
    });
    if let Err(error) = lived {
        tracing::error!(%error, "a node has no runtime");
    }
}

/// Where a node's process finds the address of its Redis.
pub(super) const REDIS: &str = "EVERWIRE_DEMO_REDIS";

/// Characters of an id that people read.
pub(super) const SHORT: usize = 6;
