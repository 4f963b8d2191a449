//! Short answers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::HubBody;

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<HubBody> {
    let mut response = Response::new(HubBody::default());
    *response.status_mut() = status;
    response
}

/// An answer in words.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<HubBody> {
    whole(status, "text/plain", Bytes::from_static(text.as_bytes()))
}

/// An answer with a body.
pub(crate) fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Response<HubBody> {
    of(status, kind, HubBody::whole(body))
}

/// An answer with any body.
pub(super) fn of(status: StatusCode, kind: &'static str, body: HubBody) -> Response<HubBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The same, and nobody may keep a copy.
pub(super) fn uncached(mut response: Response<HubBody>) -> Response<HubBody> {
    let value = HeaderValue::from_static("no-cache, no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}
