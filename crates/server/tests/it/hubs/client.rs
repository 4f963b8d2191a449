//! A SignalR client over a WebSocket, written from the specification.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that has shaken hands.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Messages that have come and nobody has asked for.
    received: Vec<Value>,
    calls: u32,
    /// The code of the Close frame, once that has come.
    pub(crate) code: Option<u16>,
}

impl Client {
    /// Connects to a path without negotiation.
    pub(crate) async fn connect(address: SocketAddr, path: &str) -> Self {
        Self::try_connect(address, path).await.expect("the hub lets the client in")
    }

    pub(crate) async fn try_connect(address: SocketAddr, path: &str) -> Result<Self, Error> {
        let (socket, _) = connect_async(format!("ws://{address}{path}")).await?;
        let mut client = Self { socket, received: Vec::new(), calls: 0, code: None };
        client.say(&json!({ "protocol": "json", "version": 1 })).await;
        assert_eq!(client.next().await, Some(json!({})));
        Ok(client)
    }

    /// Calls a method and waits for its end; gives the error, if it failed.
    pub(crate) async fn call(&mut self, target: &str, arguments: Value) -> Option<String> {
        self.calls += 1;
        let id = self.calls.to_string();
        let call = json!({
            "type": 1, "invocationId": id, "target": target, "arguments": arguments
        });
        self.say(&call).await;
        let mut others = Vec::new();
        let completion = loop {
            let next = self.next().await.expect("the call is answered");
            if next["type"] == 3 && next["invocationId"] == id {
                break next;
            }
            others.push(next);
        };
        self.received.splice(0..0, others);
        completion["error"].as_str().map(str::to_owned)
    }

    /// Calls a method that has to do what it is told.
    pub(crate) async fn invoke(&mut self, target: &str, arguments: Value) {
        assert_eq!(self.call(target, arguments).await, None, "{target}");
    }

    /// What the hub calls next: its target and arguments.
    pub(crate) async fn called(&mut self) -> (String, Value) {
        let next = self.next().await.expect("the hub calls");
        assert_eq!(next["type"], 1, "{next}");
        (next["target"].as_str().unwrap_or_default().to_owned(), next["arguments"].clone())
    }

    /// What the hub calls next has to be this.
    pub(crate) async fn is_called(&mut self, target: &str, arguments: Value) {
        assert_eq!(self.called().await, (target.to_owned(), arguments));
    }

    /// The next message that is no ping; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while self.received.is_empty() {
                let next = timeout(PATIENCE, self.socket.next()).await.expect("something comes");
                match next?.ok()? {
                    Message::Text(text) => {
                        let whole = text.strip_suffix('\x1e').expect("a frame ends a message");
                        let message = |text| serde_json::from_str(text).expect("it is JSON");
                        self.received.extend(whole.split('\x1e').map(message));
                    }
                    Message::Close(close) => {
                        self.code = close.map(|close| close.code.into());
                        return None;
                    }
                    _ => {}
                }
            }
            let next = self.received.remove(0);
            if next["type"] != 6 {
                return Some(next);
            }
        }
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        let text = format!("{message}\x1e");
        self.socket.send(Message::text(text)).await.expect("the hub listens");
    }
}
