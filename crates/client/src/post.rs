//! A single request beside any connection: for those who tell others over HTTP what they heard.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    address::Address,
    error::ConnectError,
    http::{Ask, Lane, Reach},
    tls::Trust,
};

/// Posts JSON to an address, `http` or `https`, and gives the status of the answer, whose body is not
/// read. Redirects that keep the method are followed. There is no time limit.
///
/// # Errors
/// See [`ConnectError`].
pub async fn post_json(url: &str, body: Bytes) -> Result<u16, ConnectError> {
    let address = Address::parse(url)?;
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let mut lane = Lane::new(Arc::new(Reach::new(Trust::with(Vec::new()))));
    let answer = lane.ask(&address, Ask { method: Method::POST, headers, body }).await?;
    Ok(answer.status().as_u16())
}
