//! A scripted SignalR client over a WebSocket, and the hub that it talks to.

use std::{net::SocketAddr, num::NonZeroUsize};

use everwire_hub::{Context, Hub, HubBuilder, Identity, UserId, method::Untouched};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A hub at `/hub` of a server that ends with this.
pub(crate) struct Served {
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    _server: JoinSet<()>,
}

/// The stream of a client that dialled.
pub(crate) type Stock = MaybeTlsStream<TcpStream>;

/// A client of it.
pub(crate) struct Peer<S = Stock> {
    socket: WebSocketStream<S>,
    /// What has come and was not asked for yet.
    received: Vec<String>,
    /// The code of the Close frame, if one has come.
    code: Option<u16>,
}

/// Methods that tell a client its id, join a group and broadcast; a client is the user that it says.
pub(crate) fn builder() -> HubBuilder {
    Hub::builder()
        .shards(NonZeroUsize::new(2).unwrap())
        .authenticate(|request| async move {
            let user = request.parameter("user").map(UserId::from);
            Ok(Identity { user, ..Identity::default() })
        })
        .method("Id", |cx: Context| async move { cx.connection_id().to_string() })
        .method("Join", |cx: Context, group: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), group)?)
        })
        .method("Say", |cx: Context, all: Untouched| async move {
            cx.hub().all().send_encoded("said", all.0)?;
            Ok(())
        })
}

pub(crate) async fn serve(hub: Hub) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/hub", hub.service());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Served { hub, address, _server: server }
}

impl Served {
    /// A client that has shaken hands.
    pub(crate) async fn peer(&self) -> Peer {
        let mut peer = self.stranger("").await;
        peer.send(r#"{"protocol":"json","version":1}"#).await;
        assert_eq!(peer.next().await.as_deref(), Some("{}"));
        peer
    }

    /// The token of a session that is to outlive its sockets, for a request with this in its query.
    pub(crate) async fn negotiate(&self, query: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST /hub/negotiate?negotiateVersion=1&useStatefulReconnect=true{query} HTTP/1.1\r\n\
             Host: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["useStatefulReconnect"], true);
        body["connectionToken"].as_str().unwrap().to_owned()
    }

    /// The status that a client is refused with.
    pub(crate) async fn refused(&self, query: &str) -> u16 {
        let opened = connect_async(format!("ws://{}/hub{query}", self.address)).await;
        let answer = match opened.map(drop).unwrap_err() {
            Error::Http(response) => Some(response.status().as_u16()),
            _ => None,
        };
        answer.expect("an answer")
    }

    /// A client that has said nothing.
    pub(crate) async fn stranger(&self, query: &str) -> Peer {
        let url = format!("ws://{}/hub{query}", self.address);
        let (socket, _) = connect_async(url).await.unwrap();
        Peer::new(socket)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) const fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, received: Vec::new(), code: None }
    }

    /// Says something, as one frame that ends where the message does.
    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(format!("{text}\x1e"))).await.unwrap();
    }

    /// Sends frames as they are, until the other side takes no more.
    pub(crate) async fn pour(&mut self, frames: impl IntoIterator<Item = Message>) {
        for frame in frames {
            if self.socket.feed(frame).await.is_err() {
                return;
            }
        }
        // The other side may have ended the connection, which the test sees elsewhere.
        let _ = self.socket.flush().await;
    }

    /// Calls a method and gives the whole completion.
    pub(crate) async fn call(&mut self, target: &str, arguments: &str) -> String {
        self.send(&format!(
            r#"{{"type":1,"invocationId":"7","target":"{target}","arguments":{arguments}}}"#
        ))
        .await;
        self.next().await.unwrap()
    }

    /// Whether something of the last frame is still to be looked at.
    pub(crate) const fn has_more(&self) -> bool {
        !self.received.is_empty()
    }

    /// The next message that is neither a ping nor an acknowledgement, which come when the hub's
    /// clock says so; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let next = self.next_or_ping().await?;
            if next != r#"{"type":6}"# && !next.starts_with(r#"{"type":8,"#) {
                return Some(next);
            }
        }
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next_or_ping(&mut self) -> Option<String> {
        while self.received.is_empty() {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => {
                    let whole = text.strip_suffix('\x1e').unwrap();
                    self.received.extend(whole.split('\x1e').map(str::to_owned));
                }
                Message::Close(close) => {
                    self.code = close.map(|close| close.code.into());
                    return None;
                }
                _ => {}
            }
        }
        Some(self.received.remove(0))
    }

    /// The code of the Close frame, whatever comes before it. Reads to the end of the connection.
    pub(crate) async fn code(&mut self) -> Option<u16> {
        while let Some(Ok(message)) = self.socket.next().await {
            if let Message::Close(Some(close)) = message {
                self.code = Some(close.code.into());
            }
        }
        self.code
    }

    /// Ends the connection without a word.
    pub(crate) async fn cut(&mut self) {
        self.socket.get_mut().shutdown().await.unwrap();
    }

    /// Sends a Close frame, with a code or without.
    pub(crate) async fn close(&mut self, code: Option<u16>) {
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "".into() });
        self.socket.close(frame).await.unwrap();
    }
}
