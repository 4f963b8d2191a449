//! Library use 1: a hyper server of one's own, made uninterrupted by a `PipeManager`.
//!
//! ```sh
//! cargo run -p everwire-gateway --example pipe_manager -- 127.0.0.1:8080 ws://127.0.0.1:9001
//! ```

#![expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]

use std::{convert::Infallible, error::Error, net::SocketAddr};

use everwire_gateway::{ClientInfo, PipeManager, Scheme, config::RouteConfig};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("first argument: where to listen, 127.0.0.1:8080")?;
    let manager = PipeManager::new(RouteConfig::default());
    for url in arguments {
        manager.add_backend(&url)?;
    }
    let listener = TcpListener::bind(&listen).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, client) = listener.accept().await?;
        connections.spawn(serve(manager.clone(), stream, client));
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection: the HTTP part by hyper, and then the pipe.
async fn serve(manager: PipeManager, stream: tokio::net::TcpStream, client: SocketAddr) {
    let client = ClientInfo { address: client, scheme: Scheme::Http };
    let (opened, mut pipe) = tokio::sync::mpsc::channel(1);
    let service = service_fn(|request| {
        let (manager, opened) = (manager.clone(), opened.clone());
        async move {
            let (response, pipe) = manager.answer(request, client).await;
            if let Some(pipe) = pipe {
                let _ = opened.try_send(pipe);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
    drop(opened);
    if let Some(pipe) = pipe.recv().await
        && let Some(end) = pipe.await
    {
        eprintln!("pipe closed by {}: {} ({})", end.who, end.why, end.code);
    }
}
