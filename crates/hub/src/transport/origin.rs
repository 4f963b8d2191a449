//! Which web pages may connect: cross-origin requests, with credentials.
//!
//! Browsers ask before they let a page read an answer, but they open WebSockets and send simple
//! requests without asking. So a page of a foreign origin is refused here, whatever it asks for.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{body::HubBody, reply};
use crate::config::Origins;

/// What is said of the origin of a request in its answer.
#[derive(Debug)]
pub(super) enum Origin {
    /// The request is not a web page's.
    Absent,
    /// The page may connect.
    Welcome(HeaderValue),
    /// The page may not.
    Foreign,
}

impl Origin {
    pub(super) fn of(headers: &HeaderMap, origins: &Origins) -> Self {
        let Some(origin) = headers.get(header::ORIGIN) else { return Self::Absent };
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
        if is_welcome(origin.as_bytes(), host, origins) {
            Self::Welcome(origin.clone())
        } else {
            Self::Foreign
        }
    }

    /// The answer to a browser that asks whether a page may send a request.
    pub(super) fn preflight(&self, asked: &HeaderMap) -> Response<HubBody> {
        let mut response = reply::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static("GET, POST, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        self.mark(response)
    }

    /// Lets the page read the answer.
    pub(super) fn mark(&self, mut response: Response<HubBody>) -> Response<HubBody> {
        let Self::Welcome(origin) = self else { return response };
        let fields: [(HeaderName, HeaderValue); 3] = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
            (header::VARY, HeaderValue::from_static("Origin")),
        ];
        response.headers_mut().extend(fields);
        response
    }
}

/// Whether a page of this origin may connect to what is reached as `host`.
pub(super) fn is_welcome(origin: &[u8], host: &[u8], origins: &Origins) -> bool {
    let is_listed = match origins {
        Origins::Any => true,
        Origins::Listed(listed) => listed.iter().any(|one| one.as_bytes() == origin),
        Origins::Same => false,
    };
    let authority = str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
    let is_own = |(_, there): (&str, &str)| there.as_bytes().eq_ignore_ascii_case(host);
    is_listed || authority.is_some_and(is_own)
}

/// How long a browser may remember an answer, in seconds: the longest that Chromium does.
const MAX_AGE: &str = "7200";
