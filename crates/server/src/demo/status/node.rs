//! One node of the status demo: its hub, which is declared, and the site around it.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::Router;
use everwire_backplane::{
    Bus,
    redis::{Config, Redis},
};
use everwire_hub::Hub;
use tokio::net::TcpListener;

use super::site;
use crate::{
    cli::DemoNodeArgs,
    commands,
    config::{self, Sources},
    demo::process::left_alone,
    failure::Failure,
    node::Hubs,
    terminal,
};

/// A node that listens and does not serve yet.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    /// Its id, by which the page knows it.
    pub(super) name: String,
    listener: TcpListener,
    hub: Hub,
}

impl Node {
    /// A node on this bus, or a hub of its own without one.
    pub(super) async fn open(listen: SocketAddr, bus: Option<Arc<dyn Bus>>) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.context("a node cannot listen")?;
        let file = Some(("the demo".to_owned(), declaration("127.0.0.1:0")));
        let sources = Sources { file, ..Sources::default() };
        let config = config::load(&sources).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))?;
        let hubs = Hubs::new(&config.hubs, NonZeroUsize::MIN, bus.as_ref(), None)?;
        let hub = hubs.find("status").context("the hub is not declared")?.hub.clone();
        hub.start();
        let (address, name) = (listener.local_addr()?, hub.node().to_string());
        Ok(Self { address, name, listener, hub })
    }

    /// Serves until it is dropped.
    pub(super) async fn serve(self) -> std::io::Result<()> {
        let site: Router = site::router(&self.hub);
        axum::serve(self.listener, site).await
    }
}

/// Runs a node in a process of its own, until it is killed or left alone by the demo.
pub(crate) fn run(args: &DemoNodeArgs) -> Result<(), Failure> {
    commands::block_on(async {
        let config =
            Config { prefix: PREFIX.to_owned(), lease: LEASE, ..Config::new(args.redis.as_str()) };
        let bus: Arc<dyn Bus> = Arc::new(Redis::start(config).map_err(Failure::failed)?);
        let node = Node::open(args.listen, Some(bus)).await?;
        terminal::print_line(&format!("listening on {} {}", node.address, node.name))?;
        let alone = left_alone();
        tokio::select! {
            ended = node.serve() => ended.map_err(Failure::failed),
            () = alone.cancelled() => Ok(()),
        }
    })
}

/// A node's configuration as its user would write it.
pub(super) fn declaration(listen: &str) -> String {
    format!("listen = \"{listen}\"\n{HUB}")
}

/// The hub: the same that `examples/status` writes.
const HUB: &str = r#"
[hubs.status]
path = "/statusHub"
memberships_max = 2                     # what a tab says, and what it said before

[hubs.status.presence]
roster = "roster"                       # who comes is told who is there,
joined = "joined"                       # and all are told who has come
left   = "left"                         # and who has gone, however they went

[hubs.status.methods]
Announce = { present = "{node} {connection} {0}", absent = "{node} {connection} {1}" }
"#;

/// Begins the keys in Redis, which stay there.
pub(super) const PREFIX: &str = "everwire-demo";

/// After this long a node's silence means that it is dead. Short, since somebody is looking.
pub(super) const LEASE: Duration = Duration::from_secs(3);
