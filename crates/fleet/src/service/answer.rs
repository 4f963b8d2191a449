//! Answers that are whole.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use super::{FleetBody, Kind};

/// What went wrong, in the form of RFC 9457, and what to do about it.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<FleetBody> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "status": status.as_u16(), "title": title, "detail": detail });
    let mut response = whole(status, "application/problem+json", body.to_string().into());
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// A few words.
pub(super) fn text(status: StatusCode, text: String) -> Response<FleetBody> {
    whole(status, "text/plain; charset=utf-8", text.into())
}

/// An answer of any kind that nobody keeps.
pub(super) fn of(status: StatusCode, kind: &'static str, body: Kind) -> Response<FleetBody> {
    let mut response = Response::new(FleetBody(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Response<FleetBody> {
    of(status, kind, Kind::Whole(Full::new(body)))
}
