//! Plain requests of the receivers, over a connection that is used again.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::talk::{OPEN_MAX, PATH};
use crate::wire;

/// A connection to a node.
pub(super) struct Http {
    stream: TcpStream,
    input: Vec<u8>,
    target: SocketAddr,
}

/// What a request was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Http {
    pub(super) async fn to(target: SocketAddr) -> Result<Self> {
        let stream = timeout(OPEN_MAX, TcpStream::connect(target)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: Vec::new(), target })
    }

    /// Asks for something below the hub's path, and waits for the whole answer.
    pub(super) async fn ask(&mut self, method: &str, rest: &str, body: &str) -> Result<Answer> {
        let (host, length) = (self.target, body.len());
        let request = format!(
            "{method} {PATH}{rest} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let head = wire::read_head(&mut self.stream, &mut self.input).await?;
        let status = head.split(' ').nth(1).context("an answer without a status")?.parse()?;
        let length = wire::field(&head, "content-length").unwrap_or("0").parse()?;
        while self.input.len() < length {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                anyhow::bail!("an answer that breaks off");
            }
        }
        let rest = self.input.split_off(length);
        let body = String::from_utf8(std::mem::replace(&mut self.input, rest))?;
        Ok(Answer { status, body })
    }
}

/// Negotiates with a node and gives the token of a connection.
pub(super) async fn negotiate(target: SocketAddr, is_stateful: bool) -> Result<String> {
    let negotiate = async {
        let rest = format!("/negotiate?negotiateVersion=1&useStatefulReconnect={is_stateful}");
        Http::to(target).await?.ask("POST", &rest, "").await
    };
    let answer = timeout(OPEN_MAX, negotiate).await.context("no negotiation")??;
    let negotiated: serde_json::Value = serde_json::from_str(&answer.body)?;
    let token = negotiated.get("connectionToken").and_then(serde_json::Value::as_str);
    Ok(token.context("a negotiation without a token")?.to_owned())
}
