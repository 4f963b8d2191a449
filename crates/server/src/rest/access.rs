//! Who may publish to a hub from the clients' listener: whoever signs with its access key.
//!
//! The token is for one request: its audience is the request's URL, as Azure's clients sign it. What
//! lets a client into the hub is signed with the same key and has another audience, so that no client
//! publishes with it.

use everwire_hub::token::{AccessKeys, Token};
use everwire_proto::signalr::negotiate::segment;
use http::{HeaderMap, header, request::Parts};

use crate::{clock, config, node::without_port, problem::Problem};

/// What signs and verifies the tokens of a hub.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Keys that take any audience; it is judged here.
    keys: AccessKeys,
    /// The audience of clients' tokens, if they need one.
    audience: Option<String>,
}

impl Tokens {
    pub(crate) fn new(access: &config::Access) -> Self {
        let keys = access.keys().audiences(Vec::new());
        Self { keys, audience: access.audiences.first().cloned() }
    }

    /// Lets a request through whose token is good and meant for it.
    pub(super) fn judge(&self, head: &Parts) -> Result<(), Problem> {
        let wanted = "bring a token signed with the hub's access key (HS256), whose aud is this \
                      request's URL: Authorization: Bearer …";
        let token = bearer(&head.headers).ok_or_else(|| Problem::unauthorized(wanted))?;
        let token = self.keys.read(token, clock::since_epoch());
        let token = token.map_err(|error| Problem::unauthorized(error.to_string()))?;
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        if token.audiences.iter().any(|url| is_url_of(url, host, head.uri.path())) {
            return Ok(());
        }
        Err(Problem::unauthorized("the token's audience (aud) is not this request's URL"))
    }

    /// A token that lets a client in.
    pub(super) fn for_client(&self, token: Token) -> Result<String, Problem> {
        let token = Token { audiences: self.audience.iter().cloned().collect(), ..token };
        self.keys.sign(&token).map_err(|error| Problem::bad_request(error.to_string()))
    }
}

/// The bearer of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a URL is that of a request to this host and path. The query does not count, as some
/// clients sign it and others do not; neither do scheme and port, which a proxy in between changes
/// and some clients leave out.
fn is_url_of(url: &str, host: &str, path: &str) -> bool {
    let rest = url.split_once("://").filter(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    });
    let Some((authority, signed)) = rest.and_then(|(_, rest)| rest.split_once('/')) else {
        return false;
    };
    let signed = signed.split(['?', '#']).next().unwrap_or(signed);
    let [signed, path] = [signed, path].map(|path| path.trim_matches('/').split('/').map(segment));
    without_port(authority).eq_ignore_ascii_case(without_port(host)) && signed.eq(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_url_however_it_is_written() {
        let path = "/api/hubs/chat/users/a%2Fb/:send";
        for url in [
            "https://example.com/api/hubs/chat/users/a%2Fb/:send",
            "HTTP://Example.com:8080/api/hubs/chat/users/a%2fb/%3asend/",
            "https://example.com/api/hubs/chat/users/a%2Fb/:send?api-version=2022-06-01",
        ] {
            assert!(is_url_of(url, "example.com:80", path), "{url}");
        }
        for url in [
            "https://other.com/api/hubs/chat/users/a%2Fb/:send",
            "https://example.com.evil/api/hubs/chat/users/a%2Fb/:send",
            "https://example.com/api/hubs/chat/users/a/b/:send",
            "https://example.com/api/hubs/chat/:send",
            "https://example.com/client/?hub=chat",
            "https://example.com",
            "example.com/api/hubs/chat/users/a%2Fb/:send",
            "/api/hubs/chat/users/a%2Fb/:send",
            "",
        ] {
            assert!(!is_url_of(url, "example.com", path), "{url}");
        }
        assert!(is_url_of("http://[::1]:1/a", "[::1]:2", "/a"));
        assert!(!is_url_of("http:///a", "example.com", "/a"));
    }
}
