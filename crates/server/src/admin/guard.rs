//! Who may ask the admin API.
//!
//! Three doors, in this order. *Host*: without a token only loopback protects the API, and a web
//! page could reach it by giving its own name the address 127.0.0.1 (DNS rebinding); so a host
//! must then be an address or `localhost`. *Origin*: a browser's request from another page is
//! refused, token or not. *Token*: compared in constant time; probes never need it, and a token of the
//! fleet does for what it [allows](super::fleet::guest).

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::fleet::guest::Guest;
use crate::{node::Node, problem::Problem, rest::access::bearer};

/// Lets a request through or answers it.
pub(super) async fn check(
    State(node): State<Arc<Node>>,
    mut request: Request,
    next: Next,
) -> Response {
    match judge(&node, request.uri().path(), request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(guest)) => {
            request.extensions_mut().insert(guest);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who may come in: the operator, or a guest whose request its handler judges.
fn judge(node: &Node, path: &str, headers: &HeaderMap) -> Result<Option<Guest>, Problem> {
    let is_probe = PROBES.contains(&path);
    let token = node.admin.token.as_deref();
    let host = text(headers, header::HOST);
    if token.is_none() && !is_probe && !host.is_some_and(is_address_or_localhost) {
        return Err(Problem::forbidden(
            "without admin.token the host must be an IP address or localhost",
        ));
    }
    check_origin(headers, host)?;
    match token {
        Some(token) if !is_probe && !carries(headers, token) => {
            let guest = Guest::find(node, path, headers);
            guest.map(Some).ok_or_else(|| Problem::unauthorized(NEEDS_TOKEN))
        }
        _ => Ok(None),
    }
}

/// Browsers say where a request comes from; scripts and `everwire` itself say nothing.
fn check_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), Problem> {
    let refused =
        || Problem::forbidden("a browser may ask from the admin listener's own page only");
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
        let same = origin.is_some_and(|(_, authority)| Some(authority) == host);
        return if same { Ok(()) } else { Err(refused()) };
    }
    match text(headers, header::HeaderName::from_static("sec-fetch-site")) {
        Some("cross-site" | "same-site") => Err(refused()),
        _ => Ok(()),
    }
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    bearer(headers).is_some_and(|given| is_same(given.as_bytes(), token.as_bytes()))
}

/// Compares without stopping at the first difference: the time tells how long the given text is,
/// which its sender knows, and nothing of the secret.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let mut difference = given.len() ^ secret.len();
    for (index, byte) in given.iter().enumerate() {
        let other = secret[index % secret.len().max(1)];
        difference |= usize::from(std::hint::black_box(byte ^ other));
    }
    std::hint::black_box(difference) == 0
}

fn is_address_or_localhost(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

const NEEDS_TOKEN: &str = "the admin token is missing or wrong; pass --token or EVERWIRE_TOKEN \
                           (HTTP: Authorization: Bearer …)";

const PROBES: [&str; 2] = ["/livez", "/readyz"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        assert!(is_same(b"open-sesame", b"open-sesame"));
        for wrong in ["", "open", "open-sesame!", "open-sesamf", "open-sesameopen-sesame"] {
            assert!(!is_same(wrong.as_bytes(), b"open-sesame"), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_not_an_address() {
        for host in ["127.0.0.1", "127.0.0.1:8404", "[::1]:8404", "[::1]", "LocalHost:1"] {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8404", "127.0.0.1.evil.example", "", ":1"] {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }
}
