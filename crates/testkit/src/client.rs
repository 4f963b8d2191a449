//! The checking client: a WebSocket client on tungstenite that numbers what it says and keeps what
//! it hears. It shares nothing with the codec under test.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::{Request, Response},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{
    message::{self, Kind, Mark},
    wait::{SOON, soon, within},
};

/// What a client heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole message.
    Message(Kind, Vec<u8>),
    /// The other side closed, with this code and reason; no code is 1005.
    Closed(u16, String),
    /// The socket ended without a Close.
    Dropped(String),
}

impl Heard {
    /// The mark of one of our messages.
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Self::Message(kind, payload) => message::read(*kind, payload),
            _ => None,
        }
    }

    /// The text of a message.
    #[track_caller]
    pub fn text(&self) -> &str {
        match self {
            Self::Message(Kind::Text, payload) => str::from_utf8(payload).expect("text is UTF-8"),
            other => panic!("not a text message: {other:?}"),
        }
    }
}

/// A connected client.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    name: String,
    said: u64,
}

impl Client {
    /// Connects to `path`; its messages are the stream `name`.
    pub async fn open(to: SocketAddr, path: &str, name: &str) -> Self {
        let request = request(to, path);
        match Self::try_open(to, request, name).await {
            Ok((client, _)) => client,
            Err(error) => panic!("{name} could not connect to {to}{path}: {error}"),
        }
    }

    /// Connects with `request`, or says why not: an HTTP refusal is [`Error::Http`].
    pub async fn try_open(
        to: SocketAddr,
        request: Request,
        name: &str,
    ) -> Result<(Self, Response), Error> {
        soon("a client connected", async {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Self::over(stream, request, name).await
        })
        .await
    }

    /// Opens the WebSocket over a stream that is already connected.
    pub async fn over(
        stream: TcpStream,
        request: Request,
        name: &str,
    ) -> Result<(Self, Response), Error> {
        // The library's own limits and buffers would hide what the proxy does.
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, response) = client_async_with_config(request, stream, Some(config)).await?;
        Ok((Self { socket, name: name.to_owned(), said: 0 }, response))
    }

    /// The stream that its numbered messages belong to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many numbered messages it has sent.
    pub fn said(&self) -> u64 {
        self.said
    }

    /// Sends its next numbered message, with `size` bytes of filler, and gives its number.
    pub async fn say(&mut self, size: usize) -> u64 {
        self.said += 1;
        let (kind, payload) = message::write(&self.name, self.said, size);
        self.send(kind, payload).await;
        self.said
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Kind::Text, text.as_bytes().to_vec()).await;
    }

    /// Sends a message.
    pub async fn send(&mut self, kind: Kind, payload: Vec<u8>) {
        let sent = within(SEND_MAX, "a message sent", self.try_send(kind, payload)).await;
        sent.unwrap_or_else(|error| panic!("{} could not send: {error}", self.name));
    }

    /// Sends a message, or says why not; waits as long as the other side does not read.
    pub async fn try_send(&mut self, kind: Kind, payload: Vec<u8>) -> Result<(), Error> {
        self.socket.send(to_message(kind, payload)).await
    }

    /// Writes what an earlier, interrupted [`Client::try_send`] has left.
    pub async fn flush(&mut self) {
        let flushed = within(SEND_MAX, "everything written", self.socket.flush()).await;
        flushed.unwrap_or_else(|error| panic!("{} could not write: {error}", self.name));
    }

    /// The next thing that it hears; fails the test when there is nothing.
    pub async fn hear(&mut self) -> Heard {
        self.hear_within(SOON).await
    }

    /// The next thing that it hears within `limit`.
    pub async fn hear_within(&mut self, limit: Duration) -> Heard {
        let what = format!("something for {}", self.name);
        within(limit, &what, self.listen()).await
    }

    /// The next thing that it hears, however long that takes. Pings are answered meanwhile.
    pub async fn listen(&mut self) -> Heard {
        loop {
            return match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    Heard::Message(Kind::Text, text.as_bytes().to_vec())
                }
                Some(Ok(Message::Binary(bytes))) => Heard::Message(Kind::Binary, bytes.to_vec()),
                Some(Ok(Message::Close(frame))) => {
                    // The answer to a Close goes out with the next flush.
                    let _ = self.socket.flush().await;
                    let frame = frame.map(|CloseFrame { code, reason }| (code, reason));
                    frame.map_or_else(
                        || Heard::Closed(1005, String::new()),
                        |(code, reason)| Heard::Closed(code.into(), reason.to_string()),
                    )
                }
                Some(Ok(_)) => continue,
                Some(Err(error)) => Heard::Dropped(error.to_string()),
                None => Heard::Dropped("end of stream".to_owned()),
            };
        }
    }

    /// Hears the echo or answer of numbered message `sequence` of `stream`, nothing else.
    pub async fn hear_mark(&mut self, stream: &str, sequence: u64) {
        let heard = self.hear().await;
        let wanted = Mark { stream: stream.to_owned(), sequence, whole: true };
        assert_eq!(heard.mark(), Some(wanted), "{heard:?}");
    }

    /// Hears the echo of its own message `sequence`, nothing else.
    pub async fn hear_echo(&mut self, sequence: u64) {
        let name = self.name.clone();
        self.hear_mark(&name, sequence).await;
    }

    /// Says something and hears its echo: the way through is open.
    pub async fn round_trip(&mut self) {
        let sequence = self.say(32).await;
        self.hear_echo(sequence).await;
    }

    /// Hears a Close, nothing else, and gives its code and reason.
    pub async fn hear_close(&mut self) -> (u16, String) {
        match self.hear().await {
            Heard::Closed(code, reason) => (code, reason),
            other => panic!("{} wanted a Close, heard {other:?}", self.name),
        }
    }

    /// Passes over messages until a Close comes, and gives its code and reason.
    pub async fn hear_close_at_last(&mut self) -> (u16, String) {
        self.hear_close_within(SOON).await
    }

    /// The same within `limit`.
    pub async fn hear_close_within(&mut self, limit: Duration) -> (u16, String) {
        within(limit, "a Close", async {
            loop {
                match self.listen().await {
                    Heard::Message(..) => {}
                    Heard::Closed(code, reason) => return (code, reason),
                    Heard::Dropped(why) => panic!("{} was dropped: {why}", self.name),
                }
            }
        })
        .await
    }

    /// Sends a Close; what comes back is heard with [`Client::hear_close`].
    pub async fn start_close(&mut self, code: u16, reason: &str) {
        let closed = self.try_close(code, reason).await;
        closed.unwrap_or_else(|error| panic!("{} could not close: {error}", self.name));
    }

    /// Sends a Close, or says why not.
    pub async fn try_close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        soon("a Close sent", self.socket.close(Some(frame))).await
    }

    /// Closes with 1000 and waits for the answer, passing over messages.
    pub async fn close(&mut self) -> (u16, String) {
        self.start_close(1000, "done").await;
        self.hear_close_at_last().await
    }

    /// Ends the connection with RST, without a Close.
    pub fn reset(self) {
        let _ = self.socket.get_ref().set_zero_linger();
    }

    /// The stream below.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}

/// An upgrade request for `path`, to which headers can be added.
pub fn request(to: SocketAddr, path: &str) -> Request {
    format!("ws://{to}{path}").into_client_request().expect("an address and a path make a URL")
}

fn to_message(kind: Kind, payload: Vec<u8>) -> Message {
    match kind {
        Kind::Text => Message::text(String::from_utf8(payload).expect("text is UTF-8")),
        Kind::Binary => Message::binary(payload),
    }
}

/// A sender that waits longer than this for a reader hangs.
const SEND_MAX: Duration = Duration::from_secs(30);
