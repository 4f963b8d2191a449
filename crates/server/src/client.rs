//! Talks to a running node's admin API.

use std::{error::Error, fmt::Write, time::Duration};

use everwire_proto::signalr::events::EventReader;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Buf, Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::{cli::NodeArgs, failure::Failure};

/// One node's admin API.
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<String>,
}

/// What the node said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Client {
    /// Checks the address; nothing is connected yet.
    pub(crate) fn new(node: &NodeArgs) -> Result<Self, Failure> {
        let base = base_of(&node.admin)?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base, token: node.token.clone() })
    }

    /// The node's answer to GET.
    pub(crate) async fn read(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await?.into_result()
    }

    /// The node's answer to a request that changes something.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        self.call_with(method, path, body, &[]).await
    }

    /// The same with more headers.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, String)],
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path, body, headers)?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let waited = ANSWER_TIMEOUT.as_secs();
                Err(self.unreachable(&format!("no answer within {waited} s")))
            }
        }
    }

    /// The events at an address, behind the one with the id `after`.
    pub(crate) async fn follow(&self, path: &str, after: Option<&str>) -> Result<Events, Failure> {
        let after = after.map(|id| (LAST_EVENT_ID, id.to_owned()));
        let request = self.request(Method::GET, path, None, after.as_slice())?;
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, self.http.request(request)).await;
        let sent = sent.map_err(|_| self.unreachable("it does not answer"))?;
        let response = sent.map_err(|error| self.unreachable(&deepest(&error)))?;
        if !response.status().is_success() {
            let refused = self.read_answer(response).await?.into_result();
            return refused.and_then(|_| Err(Failure::failed("the node sends no events")));
        }
        let reader = EventReader::new(EVENT_MAX);
        Ok(Events { body: response.into_body(), reader, piece: Bytes::new() })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(HeaderName, String)],
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let wrong = |_| Failure::Usage("the token has characters a header cannot carry".to_owned());
        request.body(Full::new(body)).map_err(wrong)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let sent = self.http.request(request).await;
        self.read_answer(sent.map_err(|error| self.unreachable(&deepest(&error)))?).await
    }

    async fn read_answer(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body =
            body.map_err(|error| Failure::failed(format!("the answer broke off: {error}")))?;
        let bytes = body.to_bytes();
        if bytes.is_empty() {
            return Ok(Answer { status, body: Value::Null });
        }
        let wrong = |_| {
            let base = &self.base;
            Failure::failed(format!(
                "{base} answers, but not as an Everwire admin API does. `everwire serve` says \
                 where that listens; it is not where clients connect."
            ))
        };
        Ok(Answer { status, body: serde_json::from_slice(&bytes).map_err(wrong)? })
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::Unreachable(format!(
            "cannot reach a node at {}: {why}. Is it running? Another address is given with \
             --admin URL or EVERWIRE_ADMIN.",
            self.base
        ))
    }
}

/// Server-sent events of a node.
pub(crate) struct Events {
    body: Incoming,
    reader: EventReader,
    /// What was received and not read.
    piece: Bytes,
}

impl Events {
    /// The data of the next event, or nothing at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        loop {
            let mut input = &self.piece[..];
            let read = self.reader.next(&mut input).map_err(Failure::failed)?;
            let used = self.piece.len() - input.len();
            self.piece.advance(used);
            if let Some(data) = read {
                return serde_json::from_slice(&data).map(Some).map_err(Failure::failed);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                // A stream that breaks has ended: whoever reads it asks again.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

impl Answer {
    /// The body, or the problem it tells.
    pub(crate) fn into_result(self) -> Result<Value, Failure> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let text = |key: &str| self.body.get(key).and_then(Value::as_str).unwrap_or_default();
        let told = match (text("title"), text("detail")) {
            ("", "") => format!("the node answered {}", self.status),
            (title, "") => title.to_owned(),
            (_, detail) => detail.to_owned(),
        };
        // What the node cannot make sense of was typed wrong; the rest is a matter of its state.
        Err(match self.status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::Usage(told),
            _ => Failure::failed(told),
        })
    }
}

/// `http://host:port`, without anything behind it.
fn base_of(admin: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::Usage(format!("--admin {admin:?} {why}; write for example http://127.0.0.1:8404"))
    };
    let uri: Uri = admin.parse().map_err(|_| wrong("is not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(wrong("is https, which is not available yet")),
        _ => return Err(wrong("does not begin with http://")),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("has a path"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
    Ok(format!("http://{authority}"))
}

/// A name as one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut segment = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let written = write!(segment, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a String takes every text");
        }
    }
    segment
}

/// The outer layers of a connection error say only that there is one.
fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Removing a backend answers only when its sessions have moved.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(150);

/// A list of all sessions of a full node is about ten times smaller.
const ANSWER_MAX: usize = 256 << 20;

/// An event carries no more than a snapshot of the largest set.
const EVENT_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(segment("room-1"), "room-1");
        assert_eq!(segment("../a b?ä"), "%2E%2E%2Fa%20b%3F%C3%A4");
    }
}
