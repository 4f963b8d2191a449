//! The HTTP answer of a client that is not let in.

use std::io::Write;

use super::headers::HeaderLines;

/// An HTTP response that ends the connection instead of opening a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, never 101.
    pub status: u16,
    /// The reason phrase of the status line, for people.
    pub reason: String,
    /// End-to-end header fields; length and `Connection` are added when written.
    pub headers: HeaderLines,
    /// The body, at most what the gateway kept of a backend's.
    pub body: Vec<u8>,
}

impl Refusal {
    /// A refusal of ours, with `why` as a body of plain text.
    pub fn new(status: u16, why: impl Into<String>) -> Self {
        let mut body = why.into();
        body.push('\n');
        let mut headers = HeaderLines::default();
        headers.push("Content-Type", b"text/plain; charset=utf-8");
        let reason = reason_phrase(status).to_owned();
        Self { status, reason, headers, body: body.into_bytes() }
    }

    /// 400: the request can be read in more than one way, or not at all.
    pub fn bad_request(why: impl Into<String>) -> Self {
        Self::new(400, why)
    }

    /// 426 with the one protocol and version that is spoken here.
    pub fn upgrade_required(why: impl Into<String>) -> Self {
        let mut refusal = Self::new(426, why);
        refusal.headers.push("Upgrade", b"websocket");
        refusal.headers.push("Sec-WebSocket-Version", b"13");
        refusal
    }

    /// 405: only GET opens a WebSocket.
    pub fn method_not_allowed() -> Self {
        let mut refusal = Self::new(405, "a WebSocket is opened with GET");
        refusal.headers.push("Allow", b"GET");
        refusal
    }

    /// 431: a head, a list or a field beyond its limit.
    pub fn head_too_large(why: impl Into<String>) -> Self {
        Self::new(431, why)
    }

    /// 502: a backend answered, but not as a WebSocket server may.
    pub fn bad_gateway(why: impl Into<String>) -> Self {
        Self::new(502, why)
    }

    /// 503: no backend took the connection in time.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::new(503, why)
    }

    /// The whole response; the connection is to be closed behind it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head_guess = 128 + self.reason.len() + self.headers.as_bytes().len();
        let mut out = Vec::with_capacity(head_guess + self.body.len());
        // Writing to a Vec cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, self.reason);
        out.extend_from_slice(self.headers.as_bytes());
        if self.status != 204 && self.status != 304 {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        // A field of one hop must be named as such (RFC 9110 section 7.8).
        let upgrade = self.headers.get("upgrade").is_some();
        out.extend_from_slice(b"Connection: close");
        out.extend_from_slice(if upgrade { b", upgrade\r\n\r\n" } else { b"\r\n\r\n" });
        out.extend_from_slice(&self.body);
        out
    }
}

/// The standard phrase of the statuses that the gateway itself answers with.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Refused",
    }
}
