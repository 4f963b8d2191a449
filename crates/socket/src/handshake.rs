//! The opening handshake of endpoints, RFC 6455 section 4, without subprotocols or extensions.

use std::io;

use everwire_proto::ws::upgrade::{
    HeadScan, LegKey, REQUEST_HEAD_MAX, RESPONSE_HEAD_MAX, Refusal, UpgradeRequest,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::message::{MessageSocket, Role, SocketConfig};

/// Why a WebSocket could not be opened.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The connection broke.
    #[error("connection lost during the handshake: {0}")]
    Io(#[from] io::Error),
    /// The connection ended, or the head is not one.
    #[error("no handshake: {0}")]
    Garbage(&'static str),
    /// The client's request was refused, and it was told.
    #[error("request refused: {} {}", .0.status, .0.reason)]
    Refused(Box<Refusal>),
    /// The server's answer is not a 101.
    #[error("server answered {0:?}")]
    NotAccepted(String),
}

/// Opens a WebSocket as a client over a connected stream. `headers` are further header lines, each
/// ending with CRLF.
///
/// # Errors
/// See [`HandshakeError`].
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    host: &str,
    target: &str,
    headers: &str,
    config: SocketConfig,
) -> Result<MessageSocket<S>, HandshakeError> {
    let key = LegKey::new(rand::random());
    let shown = String::from_utf8_lossy(key.as_bytes());
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {shown}\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let (received, end) = read_head(&mut stream, RESPONSE_HEAD_MAX).await?;
    let head = String::from_utf8_lossy(&received[..end]);
    let accept = format!("sec-websocket-accept: {}", String::from_utf8_lossy(&key.accept()));
    let accepted = head.starts_with("HTTP/1.1 101 ")
        && head.lines().any(|line| line.eq_ignore_ascii_case(&accept));
    if !accepted {
        let status = head.lines().next().unwrap_or_default();
        return Err(HandshakeError::NotAccepted(status.to_owned()));
    }
    Ok(MessageSocket::new(stream, Role::Client, config, &received[end..]))
}

/// Opens a WebSocket as a server over an accepted stream. `headers` chooses further header lines
/// of the 101, each ending with CRLF, by the client's request.
///
/// # Errors
/// See [`HandshakeError`].
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    headers: impl FnOnce(&UpgradeRequest) -> String,
    config: SocketConfig,
) -> Result<(MessageSocket<S>, UpgradeRequest), HandshakeError> {
    let (received, end) = read_head(&mut stream, REQUEST_HEAD_MAX).await?;
    let request = match UpgradeRequest::parse(&received[..end]) {
        Ok(request) => request,
        Err(refusal) => {
            stream.write_all(&refusal.to_bytes()).await?;
            return Err(HandshakeError::Refused(Box::new(refusal)));
        }
    };
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{}\r\n",
        String::from_utf8_lossy(request.accept()),
        headers(&request)
    );
    stream.write_all(response.as_bytes()).await?;
    Ok((MessageSocket::new(stream, Role::Server, config, &received[end..]), request))
}

/// Reads until the empty line; gives what was read and where the head ends.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<(Vec<u8>, usize), HandshakeError> {
    let mut received = Vec::with_capacity(1024);
    let mut scan = HeadScan::new(limit);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(HandshakeError::Garbage("the connection ended"));
        }
        match scan.advance(&received) {
            Ok(Some(end)) => return Ok((received, end)),
            Ok(None) => {}
            Err(_) => return Err(HandshakeError::Garbage("not an HTTP head")),
        }
    }
}
