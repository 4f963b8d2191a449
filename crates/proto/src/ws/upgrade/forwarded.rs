//! What of a client's handshake every leg repeats.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    UpgradeRequest,
    headers::{list, push_line, removable, stays_here},
    request::split_target,
};

/// The part of a client's handshake that goes to backends, as it is written to them. It is kept
/// for the life of the pipe, in one allocation about as long as the client's own head.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The target, then header lines.
    text: Box<[u8]>,
    target_len: u32,
}

/// How the client reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The scheme's name, as in `X-Forwarded-Proto`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Forwarded {
    /// Keeps what may pass of `request`, and states where it comes from: `client` is the peer of
    /// the client's connection. What the client itself says about that is dropped.
    pub fn new(request: &UpgradeRequest, client: IpAddr, scheme: Scheme) -> Self {
        let dropped = dropped_by_client(request);
        let passes = |name: &str| {
            !stays_here(name)
                && !dropped.iter().any(|gone| gone.eq_ignore_ascii_case(name.as_bytes()))
        };
        let target = request.target();
        let mut text = Vec::with_capacity(REQUEST_GUESS);
        text.extend_from_slice(target.as_bytes());
        for (name, value) in request.headers().filter(|(name, _)| passes(name)) {
            push_line(&mut text, name, value);
        }
        push_line(&mut text, "X-Forwarded-For", client.to_canonical().to_string().as_bytes());
        push_line(&mut text, "X-Forwarded-Proto", scheme.as_str().as_bytes());
        push_line(&mut text, "X-Forwarded-Host", request.host().as_bytes());
        // A head is shorter than 4 GiB by far.
        let target_len = u32::try_from(target.len()).unwrap_or_default();
        Self { text: text.into(), target_len }
    }

    /// The path and query.
    pub fn target(&self) -> &str {
        std::str::from_utf8(self.split().0).unwrap_or("/")
    }

    /// The path alone: what may be shown and logged.
    pub fn path(&self) -> &str {
        split_target(self.target()).0
    }

    /// What stands behind the question mark, if there is one.
    pub fn query(&self) -> Option<&str> {
        split_target(self.target()).1
    }

    /// The header fields, as they are written to a backend.
    pub fn lines(&self) -> &[u8] {
        self.split().1
    }

    /// What this holds in memory beside its own two words, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.text.len()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let target_len = usize::try_from(self.target_len).unwrap_or_default();
        self.text.split_at_checked(target_len).unwrap_or((b"/", b""))
    }
}

impl std::fmt::Debug for Forwarded {
    /// The path only: query strings and header values hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// The fields that the client declares to be for the next hop only.
fn dropped_by_client(request: &UpgradeRequest) -> Vec<&[u8]> {
    request
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| list(value))
        .filter(|option| !option.eq_ignore_ascii_case(b"upgrade") && removable(option))
        .collect()
}

/// A browser's head is 0.5 to 1 KiB; more grows the buffer once.
const REQUEST_GUESS: usize = 1024;
