//! One request, one answer: what negotiation needs of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use everwire_proto::signalr::negotiate::{REDIRECTS_MAX, RESPONSE_MAX};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{address::Address, error::ConnectError};

/// Opens a TCP connection.
pub(crate) async fn connect(address: &Address) -> Result<TcpStream, ConnectError> {
    let stream = async {
        let stream = TcpStream::connect(address.endpoint()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    stream.await.map_err(|source| ConnectError::Unreachable {
        address: address.authority().into(),
        source: Arc::new(source),
    })
}

/// Posts nothing and gives the body of the answer. Redirects that keep the method are followed;
/// what authenticates the client stays at the host that it was meant for.
pub(crate) async fn post(address: &Address, mut headers: HeaderMap) -> Result<Bytes, ConnectError> {
    let mut there = address.clone();
    for _ in 0..=REDIRECTS_MAX {
        let (_driver, answer) = exchange(&there, &headers).await?;
        match answer.status() {
            StatusCode::OK => return body(answer).await,
            status @ (StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) => {
                let location = answer.headers().get(header::LOCATION);
                let Some(location) = location.and_then(|value| value.to_str().ok()) else {
                    return Err(ConnectError::Status(status.as_u16()));
                };
                let next = there.resolve(location)?;
                if !next.is_beside(&there) {
                    headers.remove(header::AUTHORIZATION);
                    headers.remove(header::COOKIE);
                }
                there = next;
            }
            status => return Err(ConnectError::Status(status.as_u16())),
        }
    }
    Err(ConnectError::Redirects)
}

/// Sends the request over a connection of its own, which lives as long as its driver.
async fn exchange(
    address: &Address,
    headers: &HeaderMap,
) -> Result<(JoinSet<()>, Response<Incoming>), ConnectError> {
    let stream = connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong here is seen by whoever waits for the answer.
        let _ = connection.await;
    });
    let answer = sender.send_request(request(address, headers)?).await.map_err(failed)?;
    Ok((driver, answer))
}

fn request(address: &Address, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, ConnectError> {
    let host = HeaderValue::from_str(&address.authority())
        .map_err(|_| ConnectError::Header("the host".into()))?;
    let mut request = Request::post(address.target()).body(Empty::new()).map_err(failed)?;
    *request.headers_mut() = headers.clone();
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    Ok(request)
}

async fn body(answer: Response<Incoming>) -> Result<Bytes, ConnectError> {
    let body = Limited::new(answer.into_body(), RESPONSE_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|why| ConnectError::Http(Arc::from(why)))
}

fn failed(why: impl std::error::Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::Http(Arc::new(why))
}
