//! Requests and their answers, over connections that are used again.

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use everwire_proto::signalr::negotiate::REDIRECTS_MAX;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::{address::Address, cookies::Cookies, error::ConnectError, net::connect, tls::Trust};

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What all requests of a client have in common.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) trust: Trust,
    cookies: Mutex<Cookies>,
}

/// Asks one thing after another, over one connection as long as that lasts and leads there.
#[derive(Debug)]
pub(crate) struct Lane {
    reach: Arc<Reach>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// Where it leads.
    host: Address,
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Reach {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust, cookies: Mutex::default() }
    }

    /// Held for a moment only.
    pub(crate) fn cookies(&self) -> MutexGuard<'_, Cookies> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    pub(crate) const fn new(reach: Arc<Reach>) -> Self {
        Self { reach, open: None }
    }

    /// Asks, and gives the answer whatever its status. Redirects that keep the method are followed,
    /// but from TLS to none; what authenticates the client stays at the host that it was meant for.
    ///
    /// The answer is to be read to its end before the next question, or costs its connection.
    pub(crate) async fn ask(
        &mut self,
        address: &Address,
        mut ask: Ask,
    ) -> Result<Response<Incoming>, ConnectError> {
        let mut there = address.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = ask.clone();
            self.reach.cookies().give(&there, &mut request.headers);
            let answer = self.exchange(&there, &request).await?;
            self.reach.cookies().take(&there, answer.headers());
            let Some(next) = redirect(&there, &answer)? else { return Ok(answer) };
            if !next.is_beside(&there) {
                ask.headers.remove(header::AUTHORIZATION);
                ask.headers.remove(header::COOKIE);
            }
            there = next;
        }
        Err(ConnectError::Redirects)
    }

    async fn exchange(
        &mut self,
        address: &Address,
        ask: &Ask,
    ) -> Result<Response<Incoming>, ConnectError> {
        if let Some(mut open) = self.open.take().filter(|open| open.host.is_beside(address)) {
            match open.exchange(address, ask).await? {
                // It has ended meanwhile, and the server has seen nothing of this request.
                None => {}
                Some(answer) => {
                    self.open = Some(open);
                    return Ok(answer);
                }
            }
        }
        let open = self.open.insert(Open::connect(address, &self.reach.trust).await?);
        let answer = open.exchange(address, ask).await?;
        answer.ok_or_else(|| ConnectError::Http(Arc::from(Box::from("the connection ended"))))
    }
}

impl Open {
    async fn connect(address: &Address, trust: &Trust) -> Result<Self, ConnectError> {
        let stream = TokioIo::new(connect(address, trust).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What goes wrong here is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self { host: address.clone(), sender, _driver: driver })
    }

    /// The answer, or `None` if the connection has ended before it took the request.
    async fn exchange(
        &mut self,
        address: &Address,
        ask: &Ask,
    ) -> Result<Option<Response<Incoming>>, ConnectError> {
        let request = request(address, ask)?;
        if self.sender.ready().await.is_err() {
            return Ok(None);
        }
        match self.sender.try_send_request(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(mut refused) => match refused.take_message() {
                Some(_) => Ok(None),
                None => Err(failed(refused.into_error())),
            },
        }
    }
}

/// The body of an answer, at most this long.
pub(crate) async fn body(
    answer: Response<Incoming>,
    bytes_max: usize,
) -> Result<Bytes, ConnectError> {
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    body.map(Collected::to_bytes).map_err(|why| ConnectError::Http(Arc::from(why)))
}

/// What an answer is unless its status is 200.
pub(crate) fn checked(answer: Response<Incoming>) -> Result<Response<Incoming>, ConnectError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        status => Err(ConnectError::Status(status.as_u16())),
    }
}

/// Where an answer sends the same request, if it does.
fn redirect(here: &Address, answer: &Response<Incoming>) -> Result<Option<Address>, ConnectError> {
    let status = answer.status();
    if !matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return Ok(None);
    }
    let location = answer.headers().get(header::LOCATION);
    let Some(location) = location.and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let next = here.resolve(location)?;
    Ok((next.is_secure() || !here.is_secure()).then_some(next))
}

fn request(address: &Address, ask: &Ask) -> Result<Request<Full<Bytes>>, ConnectError> {
    let host = HeaderValue::from_str(&address.authority())
        .map_err(|_| ConnectError::Header("the host".into()))?;
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() = address.target().parse().map_err(failed)?;
    *request.headers_mut() = ask.headers.clone();
    request.headers_mut().insert(header::HOST, host);
    if ask.method == Method::POST {
        // Servers ask for it even where there is no body.
        request.headers_mut().insert(header::CONTENT_LENGTH, ask.body.len().into());
    }
    Ok(request)
}

fn failed(why: impl Error + Send + Sync + 'static) -> ConnectError {
    ConnectError::Http(Arc::new(why))
}
