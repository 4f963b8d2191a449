//! The status demo: who has this page open, how they are, and on which node each of them hangs.
//!
//! One node needs nothing:
//!
//!     cargo run --release -p everwire-status-example -- --listen 127.0.0.1:8080
//!
//! Several are one hub, whichever of them a tab comes to. They need a Redis and a secret that they
//! share; in front of them goes any load balancer, for example the gateway:
//!
//!     everwire-status-example --listen 127.0.0.1:9001 --redis redis://127.0.0.1 --secret …
//!     everwire-status-example --listen 127.0.0.1:9002 --redis redis://127.0.0.1 --secret …
//!     everwire serve --listen 127.0.0.1:8080 --backend ws://127.0.0.1:9001 --backend ws://127.0.0.1:9002
//!
//! Read [`hub`] first: it is what a hub's author writes. [`site`] is what lies around it.

mod hub;
mod site;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use clap::Parser;
use everwire_backplane::{
    Bus,
    redis::{Config, Redis},
};
use everwire_hub::Cluster;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::hub::Others;

/// Who has this page open, how they are, and on which node each of them hangs.
#[derive(Debug, Parser)]
struct Options {
    /// Where browsers connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// What joins this node and others; without it the node is alone.
    #[arg(long, value_name = "URL", requires = "secret")]
    redis: Option<String>,
    /// What all nodes know, and nobody else does: 16 characters or more.
    #[arg(long, requires = "redis", hide_env_values = true, env = "STATUS_SECRET")]
    secret: Option<String>,
    /// After how many seconds of silence a node is taken for dead, and its tabs for gone: the same on
    /// all nodes.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
    /// Where the other nodes reach this one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen_nodes: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let options = Options::parse();
    let mut servers = JoinSet::new();
    let hub = match options.redis.as_deref().zip(options.secret.as_deref()) {
        Some((redis, secret)) => {
            let lease = Duration::from_secs(options.lease);
            let bus: Arc<dyn Bus> = Arc::new(Redis::start(Config { lease, ..Config::new(redis) })?);
            let listener = listen(options.listen_nodes).await?;
            let cluster = Cluster::new(&listener.local_addr()?.to_string(), [secret])?;
            let hub = hub::build(Some(&Others { bus, cluster: cluster.clone() }))?;
            let nodes = Router::new().fallback_service(cluster.service([hub.service()]));
            servers.spawn(async move { axum::serve(listener, nodes).await });
            hub
        }
        None => hub::build(None)?,
    };
    // Other nodes are heard before the first tab comes, which is told who is there.
    hub.start();
    let listener = listen(options.listen).await?;
    tracing::info!("node {}, listening on {}", hub.node(), listener.local_addr()?);
    let site = site::router(&hub);
    servers.spawn(async move { axum::serve(listener, site).await });

    told_to_end().await?;
    // The tabs are told to look for another node.
    hub.stop();
    hub.stopped().await;
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        done = tokio::signal::ctrl_c() => done,
    }
}
