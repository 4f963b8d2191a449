//! A chat: `cargo run -p everwire-hub --example chat -- 127.0.0.1:8080`, then connect a SignalR
//! client to `http://127.0.0.1:8080/chat`. What one says with `Send` all hear as `Receive`; what
//! one says with `Say` those hear who have joined the same room.

use everwire_hub::{
    Context, Hub, HubError,
    method::{Opaque, Untouched},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::builder()
        .method("Send", |cx: Context, message: Untouched| async move {
            cx.hub().all().send_encoded("Receive", message.0)?;
            Ok(())
        })
        .method("Join", |cx: Context, room: String, name: String| async move {
            cx.items().insert(name.clone());
            cx.hub().groups().add(cx.connection_id(), room.as_str())?;
            cx.hub().group(room).send("Joined", &[name])?;
            Ok(())
        })
        .method("Say", |cx: Context, room: String, text: String| async move {
            let name: Option<String> = cx.items().find();
            let name = name.ok_or_else(|| HubError::new("Join a room first."))?;
            cx.hub().group(room).send("Said", &(name, text))?;
            Ok(())
        })
        .method("Echo", |_: Context, anything: Opaque| async move { anything })
        .build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, axum::Router::new().nest_service("/chat", hub.service())).await?;
    Ok(())
}
