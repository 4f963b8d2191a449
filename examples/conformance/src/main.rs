//! The conformance fixture: the server that functional tests of SignalR clients drive.
//!
//! Its surface is the one that the tests of the official JavaScript client expect, in [`hubs`],
//! [`site`] and [`echo`], and beside it [`rooms`] for what those tests leave out. It knows no
//! test: everything here is done with what any application has.
//!
//!     everwire-conformance --listen 127.0.0.1:5000 [--listen-tls 127.0.0.1:5001]
//!
//! With a secret it is a node: several of them with the same one serve their hubs together, whichever a
//! client's requests come to. With a Redis, too, what is said at one of them reaches the clients of all.
//!
//! It says `listening on ADDRESS` on standard error for each listener. Told to end by SIGTERM or
//! Ctrl-C, it sends its clients away with the advice to come back.

mod clock;
mod echo;
mod edge;
mod hubs;
mod rooms;
mod site;
mod tls;
mod token;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
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
use tracing_subscriber::EnvFilter;

use crate::{
    edge::Scheme,
    hubs::{Hubs, Others},
    tls::TlsListener,
    token::Tokens,
};

/// Serves what tests of SignalR clients ask for.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen for plain connections.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to listen for connections with TLS.
    #[arg(long)]
    listen_tls: Option<SocketAddr>,
    /// The certificate's chain, as PEM. Without it the certificate is the server's own work.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, as PEM.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// The client's script for web workers, served as `/lib/signalr-webworker/signalr.js`.
    #[arg(long)]
    webworker: Option<PathBuf>,
    /// What other nodes know that serve these hubs too; at least 32 characters. Each listens to the
    /// others on a port of 127.0.0.1.
    #[arg(long)]
    secret: Option<String>,
    /// The URL of the Redis over which the nodes talk.
    #[arg(long, requires = "secret")]
    redis: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    serve(Options::parse()).await
}

async fn serve(options: Options) -> Result<()> {
    let mut servers = JoinSet::new();
    let hubs = match &options.secret {
        Some(secret) => join(secret, options.redis.as_deref(), &mut servers).await?,
        None => Hubs::new(&Arc::new(Tokens::random()), &Others::default())?,
    };

    let listener = TcpListener::bind(options.listen).await.context("listening")?;
    tracing::info!("listening on {}", listener.local_addr()?);
    let app = site::router(&hubs, Scheme::Http, options.webworker.clone());
    servers.spawn(async move { axum::serve(listener, app).await });

    if let Some(address) = options.listen_tls {
        let identity = options.certificate.zip(options.key);
        let listener = TlsListener::bind(address, tls::config(identity)?).await?;
        tracing::info!("listening on {} with TLS", listener.address()?);
        let app = site::router(&hubs, Scheme::Https, options.webworker);
        servers.spawn(async move { axum::serve(listener, app).await });
    }

    told_to_end().await?;
    hubs.stop().await;
    Ok(())
}

/// The hubs of one node of several.
async fn join(
    secret: &str,
    redis: Option<&str>,
    servers: &mut JoinSet<std::io::Result<()>>,
) -> Result<Hubs> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listening")?;
    let cluster = Cluster::new(&listener.local_addr()?.to_string(), [secret])?;
    let redis = redis.map(|url| Redis::start(Config::new(url))).transpose()?;
    let bus = redis.map(|redis| Arc::new(redis) as Arc<dyn Bus>);
    let others = Others { cluster: Some(cluster.clone()), bus };
    let hubs = Hubs::new(&Arc::new(Tokens::shared(secret)?), &others)?;
    hubs.all().iter().for_each(|hub| hub.start());
    let peers = cluster.service(hubs.all().map(|hub| hub.service()));
    let app = Router::new().fallback_service(peers);
    servers.spawn(async move { axum::serve(listener, app).await });
    Ok(hubs)
}

async fn told_to_end() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        done = tokio::signal::ctrl_c() => done?,
    }
    Ok(())
}
