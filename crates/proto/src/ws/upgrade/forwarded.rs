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
    scheme: Scheme,
}

/// How the client reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Keeps what may pass of `request`. What the client itself says about where it comes from is
    /// dropped.
    pub fn new(request: &UpgradeRequest, scheme: Scheme) -> Self {
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
        // A head is shorter than 4 GiB by far.
        let target_len = u32::try_from(target.len()).unwrap_or_default();
        // A copy: allocators shrink a block in place and keep its size.
        Self { text: text.as_slice().into(), target_len, scheme }
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

    /// Appends the header fields: what passes, and where it comes from. `client` is the peer of the
    /// client's connection.
    pub fn write_lines(&self, client: IpAddr, to: &mut Vec<u8>) {
        to.extend_from_slice(self.split().1);
        push_line(to, "X-Forwarded-For", client.to_canonical().to_string().as_bytes());
        push_line(to, "X-Forwarded-Proto", self.scheme.as_str().as_bytes());
        push_line(to, "X-Forwarded-Host", self.host());
    }

    /// The host that the client asked for; a request without one is refused.
    fn host(&self) -> &[u8] {
        let mut lines = self.split().1.split(|byte| *byte == b'\n');
        let host = lines
            .find(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:")));
        host.map_or(b"", |line| line[5..].trim_ascii())
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
