//! How the servers of the hub figures are talked to: what a client says once its WebSocket is
//! open, how a message is published, and how a call is made.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::connection::{Connection, Message};
use crate::wire;

/// A way to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Dialect {
    /// SignalR in JSON without negotiation; a client publishes by invoking a method.
    Signalr,
    /// Bare WebSockets; what one client says all hear.
    Plain,
    /// Bare WebSockets; what is posted over HTTP all hear.
    Posted,
}

impl Dialect {
    /// The arguments that name it.
    pub(crate) fn args(self) -> [String; 2] {
        let name = match self {
            Self::Signalr => "signalr",
            Self::Plain => "plain",
            Self::Posted => "posted",
        };
        ["--dialect", name].map(String::from)
    }

    /// Says what comes before anything else.
    pub(crate) async fn greet(self, connection: &mut Connection) -> io::Result<()> {
        match self {
            Self::Signalr => {
                let greeting = Message::asked_and_told(HELLO.as_bytes(), WELCOME.as_bytes());
                connection.send(&greeting, 1).await?;
                connection.receive(&greeting).await.map(drop)
            }
            Self::Plain | Self::Posted => Ok(()),
        }
    }

    /// A connection to publish on; what comes back on it is of no interest.
    pub(crate) async fn open_publisher(self, target: SocketAddr) -> io::Result<TcpStream> {
        if self == Self::Posted {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
        let head = wire::request_head(&target.to_string(), super::hold::HEAD_LEN);
        let mut connection = Connection::open(target, &head).await?;
        self.greet(&mut connection).await?;
        Ok(connection.into_stream())
    }

    /// The bytes that publish texts.
    pub(crate) fn publication(self, texts: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in texts {
            match self {
                Self::Signalr => put_text(&mut bytes, &invocation(None, "Send", text)),
                Self::Plain => put_text(&mut bytes, text),
                Self::Posted => {
                    let head = "POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: ";
                    let length = text.len();
                    bytes.extend_from_slice(format!("{head}{length}\r\n\r\n{text}").as_bytes());
                }
            }
        }
        bytes
    }

    /// A call of so many bytes that is answered with the same bytes.
    pub(crate) fn call(self, size: usize) -> Message {
        let text = "x".repeat(size);
        match self {
            Self::Signalr => {
                let answer = format!(r#"{{"type":3,"invocationId":"1","result":"{text}"}}{END}"#);
                let question = invocation(Some("1"), "Echo", &text);
                Message::asked_and_told(question.as_bytes(), answer.as_bytes())
            }
            Self::Plain | Self::Posted => Message::asked_and_told(text.as_bytes(), text.as_bytes()),
        }
    }
}

fn invocation(id: Option<&str>, target: &str, argument: &str) -> String {
    let id = id.map(|id| format!(r#""invocationId":"{id}","#)).unwrap_or_default();
    format!(r#"{{"type":1,{id}"target":"{target}","arguments":["{argument}"]}}{END}"#)
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    wire::put_frame(bytes, true, wire::TEXT, Some(wire::CLIENT_MASK), text.as_bytes());
}

/// What ends every SignalR message in JSON.
const END: char = '\x1e';
/// What a client of SignalR says first.
pub(crate) const HELLO: &str = "{\"protocol\":\"json\",\"version\":1}\x1e";
const WELCOME: &str = "{}\x1e";
