//! A chat in a terminal: `cargo run -p everwire-client --example chat_client -- URL NAME`.
//!
//! It calls `Send(name, text)` on the hub for each line that is typed, and shows what the hub calls
//! `Receive(name, text)` with, as the example `chat` of everwire-hub does. A connection that is lost
//! is made again for as long as it takes.
#![expect(clippy::print_stdout, reason = "a chat is there to be read")]

use everwire_client::{Client, ReconnectPolicy, SendError};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: chat_client URL NAME".into());
    };
    let chat = Client::builder(url)
        .stateful_reconnect()
        .reconnect(ReconnectPolicy::unlimited())
        .on("Receive", |name: String, text: String| println!("{name}: {text}"))
        .connect()
        .await?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        match chat.send("Send", &(&name, line)).await {
            Err(SendError::NotConnected) => println!("(not sent: there is no connection now)"),
            sent => sent?,
        }
    }
    chat.stop().await;
    Ok(())
}
