//! A server that says exactly what a test wants.

use std::net::SocketAddr;

use everwire_client::{Client, ClientBuilder, Connection, Protocol, Transport};
use everwire_testkit::wait::soon;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// Where clients connect to.
pub(crate) struct Peer {
    listener: TcpListener,
}

/// A client's WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The request that opened it.
    pub(crate) request: Request,
}

/// The answer to a negotiation, without stateful reconnect.
pub(crate) const PLAIN: &str = r#"{"negotiateVersion":1,"connectionId":"one","connectionToken":"a+b",
    "availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]}"#;

/// The same with stateful reconnect.
pub(crate) const STATEFUL: &str = r#"{"negotiateVersion":1,"connectionId":"one",
    "connectionToken":"a+b","useStatefulReconnect":true,
    "availableTransports":[{"transport":"WebSockets","transferFormats":["Text","Binary"]}]}"#;

pub(crate) const PING: &str = "{\"type\":6}\u{1e}";

/// Each transport with each encoding that it carries.
pub(crate) fn ways() -> impl Iterator<Item = (Transport, Protocol)> {
    let both = |transport| Protocol::ALL.into_iter().map(move |protocol| (transport, protocol));
    Transport::ALL.into_iter().flat_map(both).filter(|(transport, protocol)| {
        transport.transfer_formats().contains(&protocol.transfer_format())
    })
}

impl Peer {
    pub(crate) async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A client of `/hub` here.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(self.url("/hub"))
    }

    pub(crate) async fn accept(&self) -> TcpStream {
        soon("a connection", self.listener.accept()).await.unwrap().0
    }

    /// Answers one request with these lines and this body; gives the request's head.
    pub(crate) async fn answer(&self, status: &str, headers: &str, body: &str) -> String {
        let asked = self.asked().await;
        let head = asked.head.clone();
        asked.answer_with(status, headers, body).await;
        head
    }

    /// Answers a negotiation; gives the request's head.
    pub(crate) async fn negotiate(&self, body: &str) -> String {
        self.answer("200 OK", "Content-Type: application/json\r\n", body).await
    }

    /// Accepts a WebSocket.
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    pub(crate) async fn socket(&self) -> Socket {
        let stream = self.accept().await;
        let mut opened = None;
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            opened = Some(request.clone());
            Ok(response)
        };
        let stream = soon("an upgrade", accept_hdr_async(stream, note)).await.unwrap();
        Socket { stream, request: opened.unwrap() }
    }

    /// Takes a client that connects through negotiation, handshake and first ping.
    pub(crate) async fn serve(&self, negotiation: &str) -> Socket {
        self.negotiate(negotiation).await;
        let mut socket = self.socket().await;
        socket.shake().await;
        socket
    }

    /// Both ends of a connection.
    pub(crate) async fn connected(&self, client: ClientBuilder) -> (Connection, Socket) {
        self.connected_by(client, PLAIN).await
    }

    /// Both ends of a connection that is negotiated like this.
    pub(crate) async fn connected_by(
        &self,
        client: ClientBuilder,
        negotiation: &str,
    ) -> (Connection, Socket) {
        let (connection, socket) = tokio::join!(client.connect(), self.serve(negotiation));
        (connection.unwrap(), socket)
    }
}

impl Socket {
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        self.stream.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next message but pings.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let text = self.hear_any().await.into_text().unwrap().to_string();
            if text != PING {
                return text;
            }
        }
    }

    /// The next binary message but pings.
    pub(crate) async fn hear_bytes(&mut self) -> Vec<u8> {
        loop {
            let bytes = match self.hear_any().await {
                Message::Binary(bytes) => bytes.to_vec(),
                other => panic!("not binary: {other:?}"),
            };
            if bytes != [2, 0x91, 6] {
                return bytes;
            }
        }
    }

    pub(crate) async fn hear_any(&mut self) -> Message {
        soon("a message", self.stream.next()).await.unwrap().unwrap()
    }

    /// Agrees to a client's handshake and hears its first ping; gives the handshake.
    pub(crate) async fn shake(&mut self) -> String {
        let handshake = self.hear_any().await;
        assert!(handshake.is_text());
        self.say("{}\u{1e}").await;
        let ping = self.hear_any().await;
        assert!([PING.as_bytes(), &[2, 0x91, 6]].contains(&&*ping.into_data()));
        handshake.into_text().unwrap().to_string()
    }

    /// Passes over everything to the end of the connection.
    pub(crate) async fn ended(mut self) {
        soon("the end", async { while let Some(Ok(_)) = self.stream.next().await {} }).await;
    }

    /// Ends the connection with RST: what was on its way is lost.
    pub(crate) fn cut(self) {
        self.stream.get_ref().set_zero_linger().unwrap();
    }
}
