//! Where a hub is, and what is asked for there.

use everwire_proto::signalr::negotiate::NegotiateRequest;
use http::Uri;

use crate::error::AddressError;

/// The address of a hub.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    path: Box<str>,
    query: Option<Box<str>>,
}

/// Whether what is said on the way can be read by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Plain,
    Secure,
}

impl Address {
    /// Reads `http://host:port/path?query`, or the same with `https`, `ws` or `wss`.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("http" | "ws") => Scheme::Plain,
            Some("https" | "wss") => Scheme::Secure,
            Some(other) => return Err(AddressError::Scheme(other.into())),
            None => return Err(AddressError::Malformed),
        };
        let authority = uri.authority().ok_or(AddressError::Malformed)?;
        let (host, port) = (authority.host(), authority.port_u16());
        // Beside host and port an authority may name a user, which is none of an address here.
        let is_plain = match port {
            Some(port) => authority.as_str() == format!("{host}:{port}"),
            None => authority.as_str() == host,
        };
        if host.is_empty() || !is_plain {
            return Err(AddressError::Malformed);
        }
        Ok(Self {
            scheme,
            host: host.into(),
            port: port.unwrap_or_else(|| scheme.port()),
            path: uri.path().into(),
            query: uri.query().map(Into::into),
        })
    }

    /// What a `Location` means that was answered here.
    pub(crate) fn resolve(&self, location: &str) -> Result<Self, AddressError> {
        match location.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => {
                Self::parse(&format!("{}://{}{location}", self.scheme.name(), self.authority()))
            }
            Some(_) => Self::parse(&format!("{}:{location}", self.scheme.name())),
            None => Self::parse(location),
        }
    }

    /// The address to negotiate at: the query is kept.
    pub(crate) fn negotiation(&self, request: &NegotiateRequest) -> Self {
        let path = format!("{}/negotiate", self.path.trim_end_matches('/'));
        let query = match &self.query {
            Some(query) => format!("{query}&{}", request.query()),
            None => request.query().to_owned(),
        };
        Self { path: path.into(), query: Some(query.into()), ..self.clone() }
    }

    /// The same address with another parameter in its query.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let parameter = format!("{name}={}", escaped(value));
        let query = match &self.query {
            Some(query) => format!("{query}&{parameter}"),
            None => parameter,
        };
        Self { query: Some(query.into()), ..self.clone() }
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }

    /// Host and port, as the header `Host` has them.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            port if port == self.scheme.port() => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Host and port to connect to.
    pub(crate) fn endpoint(&self) -> (&str, u16) {
        // Only an address of IPv6 has brackets.
        (self.host.trim_start_matches('[').trim_end_matches(']'), self.port)
    }

    /// Whether it is reached with TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.scheme == Scheme::Secure
    }

    /// Whether both are at the same host and port, and reached in the same way.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        (self.scheme, self.endpoint()) == (other.scheme, other.endpoint())
    }
}

/// A query may be secret, so that no log shows it.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path)
    }
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Secure => "https",
        }
    }

    /// The port of an address that names none.
    const fn port(self) -> u16 {
        match self {
            Self::Plain => 80,
            Self::Secure => 443,
        }
    }
}

/// Text as a value in a query.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => {
                text.push(byte.into());
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use everwire_proto::signalr::negotiate::{NegotiateVersion, StatefulReconnect};

    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn a_hub_has_its_negotiation_and_its_connections() {
        let asked = NegotiateRequest {
            version: NegotiateVersion::One,
            stateful_reconnect: StatefulReconnect::Off,
        };
        for (url, negotiation, connection) in [
            ("http://h/chat", "/chat/negotiate?negotiateVersion=1", "/chat?id=a%2Bb"),
            ("ws://h:8080/chat/", "/chat/negotiate?negotiateVersion=1", "/chat/?id=a%2Bb"),
            ("http://h/?x=1", "/negotiate?x=1&negotiateVersion=1", "/?x=1&id=a%2Bb"),
            ("http://h", "/negotiate?negotiateVersion=1", "/?id=a%2Bb"),
        ] {
            let address = address(url);
            assert_eq!(address.negotiation(&asked).target(), negotiation, "{url}");
            assert_eq!(address.with("id", "a+b").target(), connection, "{url}");
        }
    }

    #[test]
    fn host_and_port_are_as_they_are_needed() {
        for (url, authority, endpoint) in [
            ("http://h/", "h", ("h", 80)),
            ("http://h:80/", "h", ("h", 80)),
            ("http://127.0.0.1:81/", "127.0.0.1:81", ("127.0.0.1", 81)),
            ("http://[::1]:81/", "[::1]:81", ("::1", 81)),
            ("https://h/", "h", ("h", 443)),
            ("wss://h:443/", "h", ("h", 443)),
            ("wss://h:80/", "h:80", ("h", 80)),
        ] {
            let address = address(url);
            assert_eq!(address.authority(), authority);
            assert_eq!(address.endpoint(), endpoint);
        }
    }

    #[test]
    fn what_is_no_hub_is_refused_with_a_reason() {
        for url in ["", "/chat", "h:80", "http://user@h/", "http:///chat", "http://h:99999/", "x y"]
        {
            assert_eq!(Address::parse(url).unwrap_err(), AddressError::Malformed, "{url}");
        }
        assert_eq!(Address::parse("ftp://h/").unwrap_err(), AddressError::Scheme("ftp".into()));
    }

    #[test]
    fn a_location_is_understood_from_where_it_was_answered() {
        let here = address("http://h:81/a/b?c");
        assert_eq!(here.resolve("/x?y").unwrap(), address("http://h:81/x?y"));
        assert_eq!(here.resolve("//g/x").unwrap(), address("http://g/x"));
        assert_eq!(here.resolve("http://g/x").unwrap(), address("http://g/x"));
        assert!(here.resolve("x").is_err());
        let secure = address("https://h/a");
        assert_eq!(secure.resolve("/x").unwrap(), address("wss://h/x"));
        assert_eq!(secure.resolve("//g/x").unwrap(), address("https://g/x"));
        assert!(!secure.is_beside(&address("http://h:443/a")), "others can read that");
    }

    #[test]
    fn a_query_is_not_shown() {
        assert_eq!(format!("{:?}", address("http://h/chat?token=1")), "http://h/chat");
        assert_eq!(format!("{:?}", address("wss://h/chat?token=1")), "https://h/chat");
    }
}
