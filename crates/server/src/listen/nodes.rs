//! The other nodes' listener: what they ask of the hubs is answered on the thread that it comes to.
//!
//! It stays open while the node stops, since sessions that live here are still asked for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use everwire_hub::PeerService;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use super::shard::{Shard, Trouble};

/// Accepts until the thread ends.
pub(super) async fn serve(listener: std::net::TcpListener, shard: Shard) {
    let Some(cluster) = &shard.node.hubs.cluster else { return };
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the nodes' listener cannot be used"),
    };
    let service = shard.desk.peer_service(cluster);
    let places = Arc::new(Semaphore::new(shard.node.limits.connections_max));
    let mut trouble = Trouble::default();
    loop {
        // Who finds no place waits in the listener's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                trouble.over();
                let answering = answer(stream, service.clone());
                shard.tasks.spawn(async move {
                    answering.await;
                    drop(place);
                });
            }
            Err(error) => {
                shard.node.metrics.accept_errors.inc();
                trouble.wait(&error).await;
            }
        }
    }
}

/// Answers one request after the other; what becomes a WebSocket goes its own way.
async fn answer(stream: TcpStream, service: PeerService) {
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.handle(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
    // An answer is written when it is whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
        tracing::debug!(%error, "requests of another node ended");
    }
}

/// How long a node may keep a connection that it does not use; nodes give theirs up sooner.
const IDLE_MAX: Duration = Duration::from_secs(60);
