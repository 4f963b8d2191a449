//! A chat: `cargo run -p everwire-hub --example chat -- 127.0.0.1:8080`, then connect a SignalR
//! client to `http://127.0.0.1:8080/chat`. What one says with `Send` all hear as `Receive`.

use everwire_hub::Hub;
use everwire_proto::signalr::message::Outcome;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder()
        .method("Send", |caller, call| async move {
            match caller.hub().all().send_encoded("Receive", call.arguments) {
                Ok(()) => Outcome::Void,
                Err(error) => Outcome::Error(error.to_string().into()),
            }
        })
        .method("Echo", |_, call| async move {
            match call.arguments.iter().next() {
                Some(first) => Outcome::Result(first),
                None => Outcome::Void,
            }
        })
        .build();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, axum::Router::new().nest_service("/chat", hub.service())).await
}
