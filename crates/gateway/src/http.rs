//! Requests that open no WebSocket: a negotiation, a poll, a stream of events, a page.
//!
//! One request is one *exchange*: it is judged, given a place, passed to a backend of the route's
//! pool, and its answer streams back. Nothing is collected: a body's next piece is read when the
//! other side has taken the one before. Whoever drops the answer ends the exchange, and the
//! backend's connection with it.
//!
//! A request that reached nobody goes to the next backend. One that may have reached a backend goes
//! there again only if that cannot do harm (RFC 9110 section 9.2.2) and it has no body, and only
//! once: a request may be what ended the backend.

mod download;
mod exchange;
mod head;
mod kept;
mod line;
mod upload;

use std::error::Error;

use bytes::Bytes;
use everwire_proto::{time::Time, ws::upgrade::Refusal};
use http::{Request, Response, StatusCode, header};
use hyper::body::{Body, Incoming};
use tokio::time::timeout_at;

pub use self::download::{CutOff, HttpBody};
use self::{
    download::Download,
    exchange::{Exchange, Overdue},
    head::Head,
    line::{Line, Unanswered},
    upload::Upload,
};
pub(crate) use self::{exchange::Exchanges, kept::Kept};
use crate::{
    backends::Wish,
    clock,
    config::HttpConfig,
    dial,
    manager::{ClientInfo, PipeManager},
    pool::{BackendId, DialGuard, SessionGuard},
};

impl PipeManager {
    /// Passes a request that opens no WebSocket to a backend and gives its answer, or says why not:
    /// 403 for a foreign origin, 405 for CONNECT and TRACE, 408 if the client stops sending, 502 if
    /// the backend's answer is none, 503 without a place or a backend, 504 if it does not come.
    ///
    /// Dropping the future or the answer's body ends it, and the backend sees that.
    pub(crate) async fn pass<B>(
        &self,
        request: Request<B>,
        client: ClientInfo,
        config: &HttpConfig,
    ) -> Response<HttpBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let metrics = self.gateway().metrics();
        match self.try_pass(request, client, config).await {
            Ok(answer) => {
                metrics.answered_by_backend(answer.status());
                answer
            }
            Err(refusal) => {
                let route = &*self.route.name;
                let why = String::from_utf8_lossy(&refusal.body);
                tracing::debug!(
                    route,
                    status = refusal.status,
                    why = why.trim(),
                    "request refused"
                );
                let answer = refused(refusal);
                metrics.answered_by_gateway(answer.status());
                answer
            }
        }
    }

    async fn try_pass<B>(
        &self,
        request: Request<B>,
        client: ClientInfo,
        config: &HttpConfig,
    ) -> Result<Response<HttpBody>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        for origin in parts.headers.get_all(header::ORIGIN) {
            self.check_origin(Some(origin.to_str().unwrap_or_default()))?;
        }
        let head = Head::new(&parts, client, body.is_end_stream())?;
        let exchange = Exchange::begin(&self.route, config.requests_max)?;
        let upload = Upload::new(body);
        let errand = Errand { manager: self, config, head, exchange, sent: 0, avoid: Vec::new() };
        errand.run(upload).await
    }
}

/// A request on its way to whichever backend answers it.
struct Errand<'a> {
    manager: &'a PipeManager,
    config: &'a HttpConfig,
    head: Head,
    exchange: Exchange,
    /// How many backends may have seen it.
    sent: u32,
    /// Backends that ended without an answer.
    avoid: Vec<BackendId>,
}

impl Errand<'_> {
    async fn run(mut self, mut upload: Upload) -> Result<Response<HttpBody>, Refusal> {
        let progress = upload.progress();
        let mut fresh = false;
        let mut budget = Budget::start();
        loop {
            let guard = self.place(&budget).await?;
            let backend = guard.backend();
            let Some((mut line, session)) = self.connect(guard, fresh, &budget).await else {
                budget.failed = true;
                continue;
            };
            self.exchange.goes_to(&self.manager.route, backend);
            let request = self.head.request(line.path(), upload).map_err(|_| unreadable())?;
            let answered = tokio::select! {
                biased;
                answered = line.send(request) => answered,
                overdue = self.exchange.overdue(&progress, self.config.response_timeout) => {
                    return Err(no_answer(overdue, progress.is_done()));
                }
            };
            match answered {
                Ok(answer) => return self.answer(answer, line, session, progress),
                Err(Unanswered::Unsent(unsent)) => {
                    self.judge(&line, backend, session);
                    upload = unsent;
                }
                Err(Unanswered::Ended) => {
                    self.sent += 1;
                    if progress.has_failed() {
                        return Err(Refusal::bad_request("the body broke off"));
                    }
                    if !self.head.is_repeatable() || self.sent >= SENDS_MAX {
                        return Err(Refusal::bad_gateway("the backend ended without an answer"));
                    }
                    self.judge(&line, backend, session);
                    upload = Upload::empty(&progress);
                    budget = Budget::start();
                }
            }
            // A connection that had been kept says little of the backend: a new one does.
            fresh = true;
        }
    }

    async fn place(&self, budget: &Budget) -> Result<DialGuard, Refusal> {
        let wish = Wish { key: None, avoid: &self.avoid };
        let placed = timeout_at(clock::instant_at(budget.until), self.manager.pool().place(&wish));
        match placed.await {
            Ok(Ok(guard)) => Ok(guard),
            Ok(Err(_)) => Err(Refusal::bad_gateway("the backend ended without an answer")),
            Err(_) if budget.failed => Err(Refusal::unavailable("no backend answers")),
            Err(_) => Err(Refusal::unavailable("no backend is available")),
        }
    }

    /// A connection to the backend that was chosen, one that was kept if it may be.
    async fn connect(
        &self,
        guard: DialGuard,
        fresh: bool,
        budget: &Budget,
    ) -> Option<(Line, SessionGuard)> {
        let endpoint = guard.endpoint().clone();
        // Who finds out whether a backend is back must not ask a connection from before.
        if !fresh
            && !guard.is_probe()
            && let Some(line) = endpoint.kept().take()
        {
            return Some((line, guard.opened()));
        }
        let patience = dial::connect_patience(&guard, clock::instant_at(budget.until));
        match Line::connect(&endpoint, patience).await {
            Ok(line) => Some((line, guard.opened())),
            Err(error) => {
                tracing::debug!(backend = %endpoint.url(), %error, "connecting failed");
                guard.failed(format!("connecting: {error}"));
                None
            }
        }
    }

    /// What a connection that ended without an answer says of its backend: of one that was made for
    /// this request, that the backend had better not be asked again.
    fn judge(&mut self, line: &Line, backend: BackendId, session: SessionGuard) {
        if !line.was_kept() {
            self.avoid.push(backend);
            session.ended();
        }
    }

    fn answer(
        self,
        answer: Response<Incoming>,
        line: Line,
        session: SessionGuard,
        progress: upload::Progress,
    ) -> Result<Response<HttpBody>, Refusal> {
        // Nobody asked for an upgrade. The connection is not used again, whatever follows.
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Refusal::bad_gateway("the backend changed the protocol unasked"));
        }
        let (mut parts, body) = answer.into_parts();
        head::pass_to_client(&mut parts.headers);
        parts.extensions.clear();
        parts.version = http::Version::HTTP_11;
        let idle = self.config.idle_timeout;
        let download = Download::new(body, line, session, self.exchange, progress, idle);
        Ok(Response::from_parts(parts, HttpBody::of_backend(download)))
    }
}

/// The time in which a backend has to be found.
struct Budget {
    until: Time,
    /// Whether one was found that could not be reached.
    failed: bool,
}

impl Budget {
    fn start() -> Self {
        Self { until: clock::now() + dial::FIRST_LEG_BUDGET, failed: false }
    }
}

fn no_answer(overdue: Overdue, whole: bool) -> Refusal {
    match overdue {
        Overdue::Asked => Refusal::unavailable("the backend is being left"),
        Overdue::Silent if whole => Refusal::new(504, "the backend did not answer in time"),
        Overdue::Silent => Refusal::new(408, "the body did not come in time"),
    }
}

fn unreadable() -> Refusal {
    Refusal::bad_request("the request cannot be passed on")
}

/// A refusal of ours as an answer that may be followed by others.
pub(crate) fn refused(refusal: Refusal) -> Response<HttpBody> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = Response::new(HttpBody::from(refusal.body));
    *answer.status_mut() = status;
    append(answer.headers_mut(), refusal.headers.iter());
    answer
}

pub(crate) use self::head::append;

/// How many backends may see a request that can do no harm twice.
const SENDS_MAX: u32 = 2;

#[cfg(test)]
mod tests;
