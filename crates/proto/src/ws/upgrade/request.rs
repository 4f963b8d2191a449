//! A client's request to open a WebSocket, judged before any backend hears of it.
//!
//! Strict where leniency would let two parsers disagree (security), lenient nowhere else: what
//! browsers and the common libraries send passes.

mod plain;

use std::mem::MaybeUninit;

use super::{
    HEADERS_MAX, HeadError, PROTOCOLS_MAX, REQUEST_HEAD_MAX, Refusal,
    head::is_whole,
    headers::{is_token, lines, list},
    key::{accept_for, is_key},
};
use crate::ws::extension::{DeflateOffer, ExtensionError, read_offers};

pub use plain::{RequestScan, passes_to_backend, passes_to_client};

/// A request that may become a pipe: HTTP/1.1, GET, version 13, one Host, a good key, no body.
#[derive(Clone)]
pub struct UpgradeRequest {
    head: Box<[u8]>,
    target_len: usize,
    accept: [u8; 28],
    deflate: Vec<DeflateOffer>,
}

impl UpgradeRequest {
    /// Judges a whole head, its empty line included, of at most [`REQUEST_HEAD_MAX`] bytes.
    ///
    /// The refusals: 400 for what can be misread, 405 for another method, 426 for no upgrade or
    /// another version, 431 for a head, a list or a number of fields beyond its limit.
    pub fn parse(head: &[u8]) -> Result<Self, Refusal> {
        match is_whole(head, REQUEST_HEAD_MAX) {
            Ok(true) => {}
            Ok(false) => return Err(Refusal::bad_request("the request head is not complete")),
            Err(error) => return Err(error.into()),
        }
        let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let parsed = read_head(head, &mut fields)?;
        let target = parsed.path.unwrap_or_default();
        let facts = Facts::collect(parsed.headers)?;
        check_request(&parsed, &facts)?;
        Ok(Self {
            head: head.into(),
            target_len: target.len(),
            accept: accept_for(facts.key.unwrap_or_default()),
            deflate: facts.deflate,
        })
    }

    /// The same judgement of a request that an HTTP library has already taken apart. `target` is
    /// the path and query.
    pub fn from_parts<'a>(
        method: &str,
        target: &str,
        version: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Refusal> {
        let mut head = format!("{method} {target} {version}\r\n").into_bytes();
        let mut line_ends = 1;
        for (name, value) in headers {
            super::headers::push_line(&mut head, name, value);
            line_ends += 1;
        }
        // A line end inside a part would start a field that nobody sent.
        if head.iter().filter(|byte| **byte == b'\n').count() != line_ends {
            return Err(Refusal::bad_request("a part of the request has a line end in it"));
        }
        head.extend_from_slice(b"\r\n");
        Self::parse(&head)
    }

    /// The path and query as sent, percent-encoding untouched.
    pub fn target(&self) -> &str {
        let bytes = &self.head[TARGET_AT..TARGET_AT + self.target_len];
        std::str::from_utf8(bytes).unwrap_or("/")
    }

    /// The target without its query: what may be shown and logged.
    pub fn path(&self) -> &str {
        split_target(self.target()).0
    }

    /// What stands behind the question mark, if there is one.
    pub fn query(&self) -> Option<&str> {
        split_target(self.target()).1
    }

    /// The only `Host`.
    pub fn host(&self) -> &str {
        self.text("host").unwrap_or_default()
    }

    /// The `Origin` that a browser states for its page, if any.
    pub fn origin(&self) -> Option<&str> {
        self.text("origin")
    }

    /// The first field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every field in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.head[TARGET_AT + self.target_len + AFTER_TARGET.len()..])
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
            .flat_map(|(_, value)| list(value))
            .filter_map(|protocol| std::str::from_utf8(protocol).ok())
    }

    /// The compression that the client offers, in its order of preference.
    pub fn deflate_offers(&self) -> &[DeflateOffer] {
        &self.deflate
    }

    /// The `Sec-WebSocket-Accept` that answers this client's key.
    pub fn accept(&self) -> &[u8; 28] {
        &self.accept
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

impl std::fmt::Debug for UpgradeRequest {
    /// The path only: query strings and header values hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpgradeRequest").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// Whether a head is meant for [`UpgradeRequest::parse`] rather than for an HTTP server: it speaks
/// of WebSocket or of an upgrade, or it cannot be read at all. An upgrade to HTTP/2 is none, since
/// it is offered with any request by clients that can do without.
pub fn wants_websocket(head: &[u8]) -> bool {
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    if parsed.parse_with_uninit_headers(head, &mut fields).is_err() {
        return true;
    }
    speaks_of_websocket(parsed.headers.iter().map(|field| (field.name, field.value)))
}

/// The same of header fields that an HTTP library has read.
pub fn speaks_of_websocket<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
    let wants_http2 = |value| list(value).all(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
    fields.into_iter().any(|(name, value)| {
        (name.eq_ignore_ascii_case("upgrade") && !wants_http2(value))
            || name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("sec-websocket-"))
    })
}

/// The path and the query of a target.
pub(super) fn split_target(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// What the fields say, each of those that decide read once.
#[derive(Default)]
struct Facts<'a> {
    host: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: bool,
    upgrade: Upgrade,
    connection_upgrade: bool,
    deflate: Vec<DeflateOffer>,
}

#[derive(Default, PartialEq, Eq)]
enum Upgrade {
    #[default]
    Absent,
    WebSocket,
    Other,
}

impl<'a> Facts<'a> {
    fn collect(fields: &[httparse::Header<'a>]) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        let mut protocols = Vec::new();
        for field in fields {
            facts.read(field, &mut protocols)?;
        }
        Ok(facts)
    }

    fn read(
        &mut self,
        field: &httparse::Header<'a>,
        protocols: &mut Vec<&'a [u8]>,
    ) -> Result<(), Refusal> {
        let named = |name: &str| field.name.eq_ignore_ascii_case(name);
        if named("host") {
            only_one(&mut self.host, field.value, "Host")
        } else if named("origin") {
            only_one(&mut self.origin, field.value, "Origin")
        } else if named("sec-websocket-key") {
            only_one(&mut self.key, field.value, "Sec-WebSocket-Key")
        } else if named("sec-websocket-version") {
            only_one(&mut self.version, field.value, "Sec-WebSocket-Version")
        } else if named("content-length") {
            only_one(&mut self.content_length, field.value, "Content-Length")
        } else if named("transfer-encoding") {
            self.transfer_encoding = true;
            Ok(())
        } else if named("upgrade") {
            list(field.value).for_each(|protocol| self.upgrade.add(protocol));
            Ok(())
        } else if named("connection") {
            self.connection_upgrade |=
                list(field.value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
            Ok(())
        } else if named("sec-websocket-protocol") {
            list(field.value).try_for_each(|protocol| add_protocol(protocols, protocol))
        } else if named("sec-websocket-extensions") {
            Ok(read_offers(field.value, &mut self.deflate)?)
        } else {
            Ok(())
        }
    }
}

impl Upgrade {
    fn add(&mut self, protocol: &[u8]) {
        let websocket = protocol.eq_ignore_ascii_case(b"websocket");
        *self = if websocket && *self == Self::Absent { Self::WebSocket } else { Self::Other };
    }
}

fn only_one<'a>(fact: &mut Option<&'a [u8]>, value: &'a [u8], name: &str) -> Result<(), Refusal> {
    match fact.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad_request(format!("there is more than one {name}"))),
    }
}

fn add_protocol<'a>(protocols: &mut Vec<&'a [u8]>, protocol: &'a [u8]) -> Result<(), Refusal> {
    if protocols.len() == PROTOCOLS_MAX {
        return Err(Refusal::head_too_large("too many subprotocols are offered"));
    }
    if !is_token(protocol) {
        return Err(Refusal::bad_request("Sec-WebSocket-Protocol holds what is not a token"));
    }
    if protocols.contains(&protocol) {
        return Err(Refusal::bad_request("a subprotocol is offered twice"));
    }
    protocols.push(protocol);
    Ok(())
}

fn check_request(parsed: &httparse::Request<'_, '_>, facts: &Facts<'_>) -> Result<(), Refusal> {
    if !facts.host.is_some_and(is_host) {
        return Err(Refusal::bad_request("there must be exactly one Host, and it must be one"));
    }
    if facts.origin.is_some_and(|origin| !origin.iter().all(u8::is_ascii_graphic)) {
        return Err(Refusal::bad_request("Origin has a byte outside of printable ASCII"));
    }
    if facts.transfer_encoding || facts.content_length.is_some_and(|length| length != b"0") {
        return Err(Refusal::bad_request("a request that opens a WebSocket has no body"));
    }
    if parsed.method != Some("GET") {
        return Err(Refusal::method_not_allowed());
    }
    if parsed.version != Some(1) {
        return Err(Refusal::bad_request("a WebSocket is opened with HTTP/1.1"));
    }
    check_handshake(facts)
}

fn check_handshake(facts: &Facts<'_>) -> Result<(), Refusal> {
    match facts.upgrade {
        Upgrade::Absent => {
            return Err(Refusal::upgrade_required("only WebSocket is spoken here"));
        }
        Upgrade::Other => {
            return Err(Refusal::bad_request("Upgrade must name websocket and nothing else"));
        }
        Upgrade::WebSocket => {}
    }
    if !facts.connection_upgrade {
        return Err(Refusal::bad_request("Connection does not name upgrade"));
    }
    if facts.version != Some(b"13") {
        return Err(Refusal::upgrade_required("only version 13 of WebSocket is spoken here"));
    }
    if !facts.key.is_some_and(is_key) {
        return Err(Refusal::bad_request("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    Ok(())
}

/// Reads a whole head that begins with its request line and has a good target.
fn read_head<'h, 'b>(
    head: &'b [u8],
    fields: &'h mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<httparse::Request<'h, 'b>, Refusal> {
    // The parser skips empty lines, which would shift the places that are kept.
    if head.starts_with(b"\r\n") {
        return Err(Refusal::bad_request("there is an empty line before the request"));
    }
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(head, fields).map_err(unreadable)?;
    if status != httparse::Status::Complete(head.len()) {
        return Err(Refusal::bad_request("the request head is not complete"));
    }
    check_target(parsed.path.unwrap_or_default())?;
    Ok(parsed)
}

/// A target in origin form, of bytes that no parser behind us decodes into a line end, a space or
/// the end of the target.
fn check_target(target: &str) -> Result<(), Refusal> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if target.starts_with('/') && target.bytes().all(plain) {
        Ok(())
    } else {
        Err(Refusal::bad_request("the target must be a path without fragment, in ASCII"))
    }
}

/// The characters of a host and port (RFC 3986 section 3.2), without user information and comma.
fn is_host(host: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    !host.is_empty() && host.iter().all(allowed)
}

fn unreadable(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal::head_too_large(format!("there are more than {HEADERS_MAX} header fields"))
        }
        error => Refusal::bad_request(format!("the request cannot be read: {error}")),
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLong => Self::head_too_large(error.to_string()),
            HeadError::ControlByte => Self::bad_request(error.to_string()),
        }
    }
}

impl From<ExtensionError> for Refusal {
    fn from(error: ExtensionError) -> Self {
        match error {
            ExtensionError::TooMany => Self::head_too_large(error.to_string()),
            _ => Self::bad_request(error.to_string()),
        }
    }
}

/// Where the target starts: behind the only method that gets here.
const TARGET_AT: usize = "GET ".len();

/// What stands between the target and the first field.
const AFTER_TARGET: &str = " HTTP/1.1\r\n";
