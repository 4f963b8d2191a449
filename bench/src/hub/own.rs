//! Everwire's hub as a program of the benchmark: a listener and a shard per thread.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;

use anyhow::{Context as _, Result};
use everwire_hub::method::{Opaque, Untouched};
use everwire_hub::{Context, Hub, HubService, Shard};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::control::Questions;
use crate::floor::listen_shared;

/// How the hub runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// Threads, each with its own listener and shard.
    #[arg(long)]
    threads: NonZeroUsize,
}

/// Serves until the benchmark goes.
pub(crate) async fn run(options: Options) -> Result<()> {
    let hub = Hub::builder()
        .shards(options.threads)
        .method("Send", |cx: Context, message: Untouched| async move {
            cx.hub().all().send_encoded("Receive", message.0)?;
            Ok(())
        })
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .build()?;
    for shard in hub.take_shards() {
        let listener = listen_shared(options.listen)?;
        let service = hub.service().on(&shard);
        thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(listener, service, shard))
        });
    }
    let mut questions = Questions::listen()?;
    while questions.next().await.is_some() {}
    Ok(())
}

async fn serve(listener: std::net::TcpListener, service: HubService, shard: Shard) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(shard.run());
    loop {
        tokio::select! {
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("accepting")?;
                let service = service.clone();
                let answer = service_fn(move |request| {
                    let service = service.clone();
                    async move { Ok::<_, Infallible>(service.handle(request).await) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tasks.spawn(async move {
                    // How a client leaves is its own business.
                    let _ = connection.with_upgrades().await;
                });
            }
        }
    }
}
