//! One HTTP/1.1 request, one answer, one connection: enough to talk to an admin listener.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::wait::{PATIENCE, within};

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case; of a repeated one the last.
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request with an optional JSON body and reads the answer to the end of the connection.
pub async fn request(to: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let kind = [("Content-Type", "application/json")];
    let headers = if body.is_empty() { &kind[..0] } else { &kind };
    request_with(to, method, path, headers, body.as_bytes()).await
}

/// The same of somebody who may not be there, or end meanwhile: then there is no answer.
pub async fn attempt(to: SocketAddr, method: &str, path: &str, body: &Value) -> Option<Answer> {
    let body = body.to_string();
    let kind = [("Content-Type", "application/json")];
    let request = compose(to, method, path, &kind, body.as_bytes());
    let raw = within(PATIENCE, &format!("{method} {path}"), exchange(to, &request)).await;
    raw.ok().filter(|raw| !raw.is_empty()).map(|raw| parse(&raw))
}

/// The same with any headers and any body.
pub async fn request_with(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let request = compose(to, method, path, headers, body);
    let raw = within(PATIENCE, &format!("{method} {path}"), exchange(to, &request)).await;
    parse(&raw.unwrap_or_else(|error| panic!("{method} {to}{path}: {error}")))
}

fn compose(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let length = body.len();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

async fn exchange(to: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    // An answer may come before all is said, and the rest is then not heard.
    let (_, read) = tokio::join!(writer.write_all(request), reader.read_to_end(&mut answer));
    match read {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn parse(raw: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(raw);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status: status.unwrap_or_else(|| panic!("not HTTP: {text:?}")), headers, body }
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        whole.push_str(chunk);
        body = rest.get(size + 2..).unwrap_or("");
    }
    whole
}
