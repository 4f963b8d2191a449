//! Header fields as the bytes they travel in, lists inside them, and which fields cross a hop.

use serde::{Deserialize, Serialize};

/// Header fields kept as the text `Name: value\r\n`, one after the other: one allocation, and
/// writing them to a socket is one copy.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLines(Vec<u8>);

impl HeaderLines {
    /// Adds one field. A name or value that could end the line is left out: it would be read as
    /// another field.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let breaks_line = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        if name.bytes().any(|byte| breaks_line(&byte) || byte == b':')
            || value.iter().any(breaks_line)
        {
            return;
        }
        push_line(&mut self.0, name, value);
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.0)
    }

    /// The first field of this name, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The fields as they are written to a socket.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for HeaderLines {
    /// Names only: values hold cookies and authorisation.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Appends one field. The caller knows that neither part has a line end.
pub(super) fn push_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The fields in `text`, which a parser has already accepted: lines that end in CR LF and have a
/// colon. Anything else ends the iteration.
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        let end = text.iter().position(|byte| *byte == b'\r')?;
        let line = &text[..end];
        text = text.get(end + 2..)?;
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name, trim(&line[colon + 1..])))
    })
}

/// The members of a comma-separated list; empty ones do not count (RFC 9110 section 5.6.1).
pub(in crate::ws) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// `bytes` without the spaces and tabs around them.
pub(in crate::ws) fn trim(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let Some(start) = bytes.iter().position(|byte| !blank(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Whether `bytes` is a token of RFC 9110: a name without separators.
pub(in crate::ws) fn is_token(bytes: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

/// Whether a client's field stays with us: it belongs to one hop, is written anew for each leg, or
/// claims what only the gateway may say.
///
/// An underscore counts as a hyphen, because backends that turn names into variables cannot tell
/// `X_Real_IP` from `X-Real-IP`.
pub(super) fn stays_here(name: &str) -> bool {
    belongs_to_hop(name)
        || has_prefix(name, "x-forwarded-")
        || SPOKEN_FOR_CLIENT.iter().any(|reserved| same_name(name, reserved))
}

/// Whether a field of either direction ends at the next hop, or is this handshake's own.
pub(super) fn belongs_to_hop(name: &str) -> bool {
    HOP_PREFIXES.iter().any(|prefix| has_prefix(name, prefix))
        || HOP_FIELDS.iter().any(|field| same_name(name, field))
}

/// Whether a client may name this field in `Connection` and so have it dropped. What identifies
/// the user or the target it may not: a backend would take the request for somebody else's.
pub fn removable(name: &[u8]) -> bool {
    !PROTECTED.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}

pub(super) fn same_name(name: &str, canonical: &str) -> bool {
    name.len() == canonical.len() && has_prefix(name, canonical)
}

fn has_prefix(name: &str, canonical: &str) -> bool {
    let folded =
        name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
    name.len() >= canonical.len() && folded.take(canonical.len()).eq(canonical.bytes())
}

/// Families of fields that end here: the handshake's, the gateway's own, and those of proxies.
const HOP_PREFIXES: [&str; 3] = ["sec-websocket-", "everwire-", "proxy-"];

/// Fields of one hop (RFC 9110 section 7.6.1), of a body that an upgrade has not, and of other
/// protocols that the peer might be talked into.
const HOP_FIELDS: [&str; 10] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
    "http2-settings",
    "alt-svc",
];

/// What clients may not say about themselves; the first is older than `X-Forwarded-*`.
const SPOKEN_FOR_CLIENT: [&str; 2] = ["forwarded", "x-real-ip"];

const PROTECTED: [&str; 4] = ["host", "cookie", "authorization", "origin"];
