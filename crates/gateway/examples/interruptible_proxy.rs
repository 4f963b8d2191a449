//! Library use 2: the gateway as a tower service, one route of an axum application.
//!
//! ```sh
//! cargo run -p everwire-gateway --example interruptible_proxy -- 127.0.0.1:8080 ws://127.0.0.1:9001
//! ```

#![expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]

use std::{error::Error, net::SocketAddr};

use axum::{Router, extract::ConnectInfo, routing::get};
use everwire_gateway::{InterruptibleProxy, PipeManager, config::RouteConfig};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("first argument: where to listen, 127.0.0.1:8080")?;
    let manager = PipeManager::new(RouteConfig::default());
    for url in arguments {
        manager.add_backend(&url)?;
    }
    let proxy = InterruptibleProxy::new(manager).client_from(|request| {
        request.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)
    });
    let application = Router::new()
        .route("/hello", get(|| async { "the rest of the application" }))
        .route_service("/chat", proxy);
    let listener = TcpListener::bind(&listen).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let service = application.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}
