//! One SignalR connection over a WebSocket, in JSON, as little of it as the receivers need.
//!
//! Built on tungstenite and serde, so that nothing of the product judges itself.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::super::backend::config;

/// An open connection that has shaken hands.
pub(super) struct Talk {
    pub(super) ear: Ear,
    pub(super) mouth: Mouth,
}

/// Its receiving half.
pub(super) struct Ear {
    socket: SplitStream<WebSocketStream<TcpStream>>,
    waiting: VecDeque<Word>,
}

/// Its sending half.
pub(super) struct Mouth(SplitSink<WebSocketStream<TcpStream>, Message>);

/// One message of the hub.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Word {
    #[serde(rename = "type")]
    pub(super) kind: u8,
    #[serde(default)]
    pub(super) target: String,
    #[serde(default)]
    pub(super) arguments: Vec<Value>,
    pub(super) invocation_id: Option<String>,
    pub(super) error: Option<String>,
    pub(super) sequence_id: Option<u64>,
}

impl Word {
    pub(super) const CALL: u8 = 1;
    pub(super) const COMPLETION: u8 = 3;
    pub(super) const CLOSE: u8 = 7;
    pub(super) const ACK: u8 = 8;
    pub(super) const SEQUENCE: u8 = 9;

    /// Whether stateful reconnect counts it.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(self.kind, 1..=5)
    }
}

impl Talk {
    /// Opens a WebSocket and shakes hands, without negotiation.
    pub(super) async fn open(target: SocketAddr) -> Result<Self> {
        let mut talk = Self::attach(target, None).await?;
        talk.shake_hands(1).await?;
        Ok(talk)
    }

    /// Opens a WebSocket alone, for the connection of a token if there is one.
    pub(super) async fn attach(target: SocketAddr, token: Option<&str>) -> Result<Self> {
        let stream = timeout(OPEN_MAX, TcpStream::connect(target)).await??;
        Self::over(stream, target, token).await
    }

    /// The same over a socket.
    pub(super) async fn over(
        stream: TcpStream,
        target: SocketAddr,
        token: Option<&str>,
    ) -> Result<Self> {
        stream.set_nodelay(true)?;
        let query = token.map(|token| format!("?id={token}")).unwrap_or_default();
        let url = format!("ws://{target}{PATH}{query}");
        let open = client_async_with_config(url, stream, Some(config()));
        let (socket, _) = timeout(OPEN_MAX, open).await.context("no WebSocket in time")??;
        let (mouth, ear) = socket.split();
        Ok(Self { ear: Ear { socket: ear, waiting: VecDeque::new() }, mouth: Mouth(mouth) })
    }

    /// Says which version of the protocol follows, and waits for the answer.
    pub(super) async fn shake_hands(&mut self, version: u8) -> Result<()> {
        self.mouth.say(&format!(r#"{{"protocol":"json","version":{version}}}"#)).await?;
        let answer = timeout(OPEN_MAX, self.ear.records()).await.context("no handshake")??;
        // What comes in the same frame is the first that is heard.
        let (hello, rest) = answer.split_once(END).context("a handshake without an end")?;
        if hello != "{}" {
            bail!("the handshake was answered {hello}");
        }
        self.ear.waiting.extend(parse(rest)?);
        Ok(())
    }

    /// Calls a method and waits for its completion; what comes before it goes to `other`.
    pub(super) async fn call(
        &mut self,
        target: &str,
        argument: &str,
        mut other: impl FnMut(Word),
    ) -> Result<()> {
        self.mouth.say(&invocation("call", target, argument)).await?;
        loop {
            let word = timeout(OPEN_MAX, self.ear.hear()).await.context("no completion")??;
            match (word.kind, word.invocation_id.as_deref()) {
                (Word::COMPLETION, Some("call")) => return done(&word),
                _ => other(word),
            }
        }
    }
}

fn done(word: &Word) -> Result<()> {
    match &word.error {
        None => Ok(()),
        Some(error) => bail!("the call failed: {error}"),
    }
}

impl Ear {
    /// The next message; an end of the socket is an error.
    pub(super) async fn hear(&mut self) -> Result<Word> {
        loop {
            if let Some(word) = self.waiting.pop_front() {
                return Ok(word);
            }
            let records = self.records().await?;
            self.waiting.extend(parse(&records)?);
        }
    }

    async fn records(&mut self) -> Result<String> {
        loop {
            match self.socket.next().await.context("the socket has ended")?? {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(_) => bail!("the socket is closed"),
                _ => {}
            }
        }
    }
}

impl Mouth {
    /// Sends one message.
    pub(super) async fn say(&mut self, message: &str) -> Result<()> {
        Ok(self.0.send(Message::text(format!("{message}{END}"))).await?)
    }

    /// Puts one message where the next [`flush`](Self::flush) finds it.
    pub(super) async fn add(&mut self, message: &str) -> Result<()> {
        Ok(self.0.feed(Message::text(format!("{message}{END}"))).await?)
    }

    pub(super) async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }
}

/// A call of a method with one text.
pub(super) fn invocation(id: &str, target: &str, argument: &str) -> String {
    let argument = Value::from(argument);
    format!(r#"{{"type":1,"invocationId":"{id}","target":"{target}","arguments":[{argument}]}}"#)
}

/// The records of a text, without those that carry nothing.
pub(super) fn parse(records: &str) -> Result<Vec<Word>> {
    let records = records.split(END).filter(|record| !record.is_empty());
    records.map(|record| serde_json::from_str(record).context("no message of a hub")).collect()
}

/// Where the hub of the plays is.
pub(super) const PATH: &str = "/bench";
const END: char = '\u{1e}';
/// What does not answer for so long is tried elsewhere.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(5);
