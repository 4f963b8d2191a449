//! What a pool of backends is: the pool's section of the configuration.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A pool: which backends, which of them next, and whether they are asked for their health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolConfig {
    /// How a backend is chosen. Default: the one with the fewest sessions.
    pub balance: Balance,
    /// Active checks. Default: none; failed dials tell enough where backends restart.
    pub health: Option<HealthCheck>,
    /// The backends to begin with. Default: none; they can be added while running.
    pub backends: Vec<BackendConfig>,
}

/// How a backend is chosen for a new leg.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// In turn, in proportion to weight.
    RoundRobin,
    /// The fewest sessions for its weight. The default: sessions live long, so turns alone leave
    /// a restarted backend empty.
    #[default]
    LeastSessions,
    /// The same backend for the same key, as long as it is there; another backend's end moves no
    /// other key. Without a key: the fewest sessions.
    Hash,
}

/// An HTTP question that a healthy backend answers with 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that is asked for.
    pub path: String,
    /// The time between two questions to one backend; also how long an answer may take.
    pub interval: Duration,
}

/// One backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendConfig {
    /// Where it is.
    pub url: BackendUrl,
    /// Its share relative to the others. Default: 1. Zero counts as 1.
    pub weight: u32,
    /// The most sessions that it is given. Default: no limit.
    pub sessions_max: Option<u32>,
}

impl BackendConfig {
    /// A backend with the defaults.
    pub fn new(url: BackendUrl) -> Self {
        Self { url, weight: 1, sessions_max: None }
    }
}

/// Where a backend is: `ws://host[:port][/path]`.
///
/// Written in one way only, so that the same backend is not registered twice: host in lower case,
/// port always named. A path of `/` alone is no path (RFC 3986 section 6.2.3): the client's own is
/// used.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendUrl {
    host: Host,
    port: u16,
    path: Option<Box<str>>,
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// To be resolved before each leg (the answer is kept for a few seconds).
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

/// Why a text is not the URL of a backend; the operator's to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not `ws://`.
    #[error("a backend's URL starts with ws://, as ws://127.0.0.1:9001 does")]
    Scheme,
    /// `wss://`.
    #[error("TLS towards backends is not available yet: use ws://")]
    Tls,
    /// User name or password.
    #[error("a backend's URL has no user or password")]
    User,
    /// No host, or not one.
    #[error("the host is neither a name, an IPv4 address nor an IPv6 address in brackets")]
    Host,
    /// A port that is not one.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A query or fragment.
    #[error("a backend's URL has no query and no fragment: the client's query is passed on")]
    Query,
    /// A byte in the path that has no place there.
    #[error("the path has a byte outside of printable ASCII")]
    Path,
}

impl BackendUrl {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path that every leg is dialled at, or `None` for the client's own.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The address, where it need not be resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl FromStr for BackendUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => {}
            "wss" => return Err(UrlError::Tls),
            _ => return Err(UrlError::Scheme),
        }
        if rest.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Path);
        }
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let (host, port) = split_port(authority)?;
        let path = (path != "/").then(|| path.into());
        Ok(Self { host: parse_host(host)?, port: parse_port(port)?, path })
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}:{}{}", self.host, self.port, self.path().unwrap_or_default())
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl TryFrom<String> for BackendUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<BackendUrl> for String {
    fn from(url: BackendUrl) -> Self {
        url.to_string()
    }
}

/// Host and port of an authority; a colon inside brackets belongs to the host.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    let host_end = if authority.starts_with('[') {
        authority.find(']').ok_or(UrlError::Host)? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    match port.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if port.is_empty() => Ok((host, None)),
        None => Err(UrlError::Host),
    }
}

fn parse_host(host: &str) -> Result<Host, UrlError> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| UrlError::Host)?;
        return Ok(Host::Address(address.into()));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name_like = !host.is_empty() && host.len() <= NAME_MAX && host.bytes().all(of_name);
    // A last label of digits would be an address that is not one, such as 10.0.0.256.
    let last = host.rsplit('.').find(|label| !label.is_empty()).unwrap_or_default();
    if name_like && !last.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(Host::Name(host.to_ascii_lowercase().into()))
    } else {
        Err(UrlError::Host)
    }
}

fn parse_port(port: Option<&str>) -> Result<u16, UrlError> {
    let Some(port) = port else { return Ok(80) };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|number| digits && *number != 0).ok_or(UrlError::Port)
}

/// The longest host name (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_host_can_be_dialled() {
        for (text, canonical) in [
            ("ws://10.0.0.5:9001", "ws://10.0.0.5:9001"),
            ("ws://127.0.0.1:1/x", "ws://127.0.0.1:1/x"),
            ("ws://[::1]:1/x", "ws://[::1]:1/x"),
            ("ws://[0:0::1]", "ws://[::1]:80"),
            ("ws://localhost/x", "ws://localhost:80/x"),
            ("ws://10-0-0-5.svc:1/x", "ws://10-0-0-5.svc:1/x"),
            ("WS://Chat_1.Example:8080/", "ws://chat_1.example:8080"),
            ("ws://chat:65535/a/b//c%20", "ws://chat:65535/a/b//c%20"),
        ] {
            let url: BackendUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(url), "the canonical form means the same");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, error) in [
            ("127.0.0.1:80", UrlError::Scheme),
            ("http://a", UrlError::Scheme),
            ("wss://a", UrlError::Tls),
            ("ws://", UrlError::Host),
            ("ws:///x", UrlError::Host),
            ("ws://:80", UrlError::Host),
            ("ws://a b", UrlError::Host),
            ("ws://a\r\nb", UrlError::Host),
            ("ws://::1", UrlError::Host),
            ("ws://[::1", UrlError::Host),
            ("ws://[::1]x", UrlError::Host),
            ("ws://[1.2.3.4]", UrlError::Host),
            ("ws://10.0.0.256", UrlError::Host),
            ("ws://u:p@a", UrlError::User),
            ("ws://a:", UrlError::Port),
            ("ws://a:0", UrlError::Port),
            ("ws://a:65536", UrlError::Port),
            ("ws://a:+80", UrlError::Port),
            ("ws://a:80:80", UrlError::Port),
            ("ws://a?x", UrlError::Query),
            ("ws://a/#x", UrlError::Query),
            ("ws://a/x y", UrlError::Path),
            ("ws://a/x\r\nEvil: 1", UrlError::Path),
            ("ws://a/\u{e4}", UrlError::Path),
        ] {
            assert_eq!(text.parse::<BackendUrl>(), Err(error), "{text}");
        }
    }
}
