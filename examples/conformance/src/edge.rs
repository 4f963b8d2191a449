//! What is done with every request before it is looked at, and with every answer after.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery,
};

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Lets pages of any origin in, whatever is asked for, and hands out cookies with negotiation.
pub(crate) async fn handle(
    State(scheme): State<Scheme>,
    mut request: Request,
    next: Next,
) -> Response {
    let welcome = welcome(request.headers());
    let negotiates = request.uri().path().contains("/negotiate");
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        fold_first_segment(request.uri_mut());
        next.run(request).await
    };
    for (name, value) in welcome {
        response.headers_mut().insert(name, value);
    }
    if negotiates {
        for cookie in cookies(scheme) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// What tells a browser that the page may send this request and read its answer.
fn welcome(asked: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let Some(origin) = asked.get(header::ORIGIN) else { return Vec::new() };
    let mut welcome = vec![
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
        (header::VARY, HeaderValue::from_static("Origin")),
    ];
    let echoed = [
        (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
        (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
    ];
    for (question, answer) in echoed {
        welcome.extend(asked.get(question).map(|value| (answer, value.clone())));
    }
    welcome
}

/// Paths are the same whatever the case of their first segment, as with the official server; what
/// comes behind it may be an id, and is left alone.
fn fold_first_segment(uri: &mut Uri) {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let end = target.get(1..).and_then(|rest| rest.find(['/', '?']));
    let (segment, rest) = target.split_at(end.map_or(target.len(), |end| end + 1));
    let folded = format!("{}{rest}", segment.to_ascii_lowercase());
    if let Ok(folded) = folded.parse() {
        *uri = folded;
    }
}

/// Two cookies that stay, and one that has expired already. With TLS they are sent from pages of
/// other sites too.
fn cookies(scheme: Scheme) -> impl Iterator<Item = HeaderValue> {
    const PLAIN: [&str; 3] = [
        "testCookie=testValue; path=/",
        "testCookie2=testValue2; path=/",
        "expiredCookie=doesntmatter; expires=Sat, 01 Jan 2000 00:00:00 GMT; path=/",
    ];
    const SECURE: [&str; 3] = [
        "testCookie=testValue; path=/; secure; samesite=none; partitioned",
        "testCookie2=testValue2; path=/; secure; samesite=none; partitioned",
        "expiredCookie=doesntmatter; expires=Sat, 01 Jan 2000 00:00:00 GMT; path=/; secure; \
         samesite=none; partitioned",
    ];
    let cookies = match scheme {
        Scheme::Http => PLAIN,
        Scheme::Https => SECURE,
    };
    cookies.into_iter().map(HeaderValue::from_static)
}
