//! What is kept of the request that a connection began with.

use std::fmt;

use http::Request;

use everwire_proto::signalr::negotiate::parameters;

use crate::ticket::has_form;

/// The request that a connection began with: its target and its headers, in one piece of memory as
/// long as the connection lasts.
///
/// Its query string and its headers hold secrets; neither is shown by `Debug`.
#[derive(Clone)]
pub struct ClientRequest {
    /// `target` and then name, colon, value; each ended by a line end, which neither can contain.
    text: Box<[u8]>,
    target_length: usize,
}

impl ClientRequest {
    /// What is kept of a request.
    pub fn new<B>(request: &Request<B>) -> Self {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let headers = request.headers().iter();
        Self::from_fields(target, headers.map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    /// Keeps a target and headers.
    pub(crate) fn from_fields<'a>(
        target: &str,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let mut text = target.as_bytes().to_vec();
        text.push(b'\n');
        for (name, value) in headers.filter(|(name, _)| !is_of_handshake(name)) {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        Self { text: text.into(), target_length: target.len() }
    }

    /// The path, as sent.
    pub fn path(&self) -> &str {
        self.target().split_once('?').map_or_else(|| self.target(), |(path, _)| path)
    }

    /// The query string, as sent, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The first parameter of this name in the query, whatever its case, with escapes resolved.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut all = self.parameters();
        all.find(|(there, _)| there.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The parameters of the query in order, names and values, with escapes resolved: those of the URL
    /// that the application gave its client, without the connection's token.
    pub fn own_parameters(&self) -> impl Iterator<Item = (String, String)> {
        self.parameters().filter(|(name, value)| !(is_id(name) && has_form(value)))
    }

    /// The token that names the connection. Clients put it behind what the application's URL has.
    /// Where that may have an `id` of its own, only what has a token's form is one.
    pub(crate) fn connection_token(&self, has_own_ids: bool) -> Option<String> {
        let mut ids = self.parameters().filter(|(name, _)| is_id(name)).map(|(_, value)| value);
        match has_own_ids {
            false => ids.next(),
            true => ids.filter(|id| has_form(id)).last(),
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        parameters(self.query().unwrap_or_default())
    }

    /// The first header of this name, whatever its case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers();
        let (_, value) = all.find(|(there, _)| there.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// All headers but those that opened the connection.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = self.text[self.target_length + 1..].split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
        })
    }

    /// What authenticates: the bearer of the `Authorization` header or, where a browser cannot set
    /// one, the parameter `access_token`.
    pub fn token(&self) -> Option<String> {
        let bearer = self.header("authorization").and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        bearer.or_else(|| self.parameter("access_token"))
    }

    /// Path and query, as sent.
    pub(crate) fn target(&self) -> &str {
        str::from_utf8(&self.text[..self.target_length]).unwrap_or_default()
    }
}

/// Whether this parameter may name a connection.
fn is_id(name: &str) -> bool {
    name.eq_ignore_ascii_case("id")
}

/// What a handshake or a hop needs and nobody asks for later.
fn is_of_handshake(name: &str) -> bool {
    let unwanted = ["upgrade", "connection", "accept", "accept-encoding"];
    let prefix = name.get(..14);
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("sec-websocket-"))
        || unwanted.iter().any(|unwanted| name.eq_ignore_ascii_case(unwanted))
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest").field("path", &self.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_not_shown() {
        let headers =
            [("Host", &b"a"[..]), ("Sec-WebSocket-Key", b"k"), ("authorization", b"Bearer t")];
        let request =
            ClientRequest::from_fields("/hub?ID=x%20y&access_token=q", headers.into_iter());
        assert_eq!((request.path(), request.parameter("id").as_deref()), ("/hub", Some("x y")));
        assert_eq!(request.header("HOST"), Some("a"));
        assert_eq!(request.header("sec-websocket-key"), None);
        assert_eq!(request.token().as_deref(), Some("t"));
        assert_eq!(format!("{request:?}"), r#"ClientRequest { path: "/hub", .. }"#);
        let bare = ClientRequest::from_fields("/hub?access_token=q", std::iter::empty());
        assert_eq!(bare.token().as_deref(), Some("q"));
    }

    #[test]
    fn an_application_may_have_an_id_of_its_own() {
        let token = format!("{}AQ{}", "A".repeat(22), "A".repeat(65));
        let url = format!("/hub?app=shop&id=7f&x=a%20b&id={token}");
        let request = ClientRequest::from_fields(&url, std::iter::empty());
        assert_eq!(request.connection_token(true), Some(token.clone()));
        assert_eq!(request.connection_token(false).as_deref(), Some("7f"));
        let own: Vec<_> = request.own_parameters().collect();
        let own: Vec<_> = own.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(own, [("app", "shop"), ("id", "7f"), ("x", "a b")]);
        for id in ["7f", "", &token[1..], &token.replace('Q', "A"), &token.replacen('A', "!", 30)] {
            let url = format!("/hub?id={id}");
            let request = ClientRequest::from_fields(&url, std::iter::empty());
            assert_eq!(request.connection_token(true), None, "{id}");
        }
    }
}
