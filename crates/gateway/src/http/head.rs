//! What of a head crosses the gateway, in either direction.

use everwire_proto::ws::upgrade::{Refusal, passes_to_backend, passes_to_client, removable};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request::Parts,
};

use super::upload::Upload;
use crate::manager::ClientInfo;

/// The head of a request as backends get it.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    /// Whether it may be sent twice.
    repeatable: bool,
}

impl Head {
    /// Keeps what may pass, and says where it comes from. `empty` is whether there is no body.
    pub(super) fn new(parts: &Parts, client: ClientInfo, empty: bool) -> Result<Self, Refusal> {
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Refusal::new(405, "this method is not served"));
        }
        let target = parts.uri.path_and_query().filter(|target| target.as_str().starts_with('/'));
        let target = target.ok_or_else(|| Refusal::bad_request("the target must be a path"))?;
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::bad_request("there must be exactly one Host"));
        };
        let mut headers = parts.headers.clone();
        strip(&mut headers, passes_to_backend);
        if !empty && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let address = client.address.ip().to_canonical().to_string();
        let address = HeaderValue::try_from(address).map_err(|_| super::unreadable())?;
        headers.insert(HeaderName::from_static("x-forwarded-for"), address);
        let scheme = HeaderValue::from_static(client.scheme.as_str());
        headers.insert(HeaderName::from_static("x-forwarded-proto"), scheme);
        headers.insert(HeaderName::from_static("x-forwarded-host"), host.clone());
        let repeatable = empty && parts.method.is_idempotent();
        Ok(Self {
            method: parts.method.clone(),
            target: Uri::from(target.clone()),
            headers,
            repeatable,
        })
    }

    /// Whether a backend that sees it twice has come to no harm.
    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }

    /// The request for a backend whose URL has this path.
    pub(super) fn request(
        &self,
        fixed_path: Option<&str>,
        upload: Upload,
    ) -> Result<Request<Upload>, http::Error> {
        let target = match (fixed_path, self.target.query()) {
            (None, _) => self.target.clone(),
            (Some(path), None) => path.parse()?,
            (Some(path), Some(query)) => format!("{path}?{query}").parse()?,
        };
        let mut request = Request::new(upload);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

/// Keeps of a backend's fields what is for the client.
pub(super) fn pass_to_client(headers: &mut HeaderMap) {
    strip(headers, passes_to_client);
}

/// Drops the fields that do not pass, and those that the peer names as the next hop's only.
fn strip(headers: &mut HeaderMap, passes: impl Fn(&str) -> bool) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| removable(name) && !name.eq_ignore_ascii_case(b"content-length"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    let gone = |name: &&HeaderName| !passes(name.as_str()) || named.contains(name);
    let gone: Vec<HeaderName> = headers.keys().filter(gone).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Adds fields that were kept as lines.
pub(crate) fn append<'a>(
    headers: &mut HeaderMap,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
) {
    for (name, value) in fields {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}
