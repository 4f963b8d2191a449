//! Opening legs: choose a backend, connect, shake hands, and try the next where that fails.
//!
//! Three kinds of failure. *Unreachable*: nobody answered as a WebSocket server that works would
//! (refused, silent, 502, 503, 504, 429, not HTTP). The backend is marked failing and another is
//! tried, until there is one. *Refused*: an HTTP answer. On the first leg it is the client's to
//! see; later it means that this backend cannot continue the session. *Unfit*: a 101 that is not
//! valid, or agrees to something else than the pipe did.
//!
//! A connection that did not become a leg is closed, never kept: what the peer believes about it
//! is unknown.

mod connect;
mod exchange;
#[cfg(test)]
pub(crate) mod scripted;

use std::{net::IpAddr, time::Duration};

use everwire_proto::ws::upgrade::{
    Agreed, Forwarded, LegOffer, LegWelcome, Progress, Refusal, UpgradeRequest,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

pub(crate) use self::connect::Endpoint;
pub(crate) use self::exchange::ask_status;
use self::exchange::{Failure, Patience, open};
use crate::{
    backends::Wish,
    clock,
    pool::{BackendId, DialGuard, Pool, SessionGuard},
};

/// A connection to a backend that has answered 101.
#[derive(Debug)]
pub(crate) struct Leg {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// What the backend sent behind its 101.
    pub(crate) read_ahead: Vec<u8>,
    /// What it answered.
    pub(crate) welcome: LegWelcome,
    /// The place among its sessions.
    pub(crate) guard: SessionGuard,
}

/// What a leg is dialled for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The client's handshake.
    pub(crate) forwarded: &'a Forwarded,
    /// Where it came from.
    pub(crate) client: IpAddr,
    /// Where the pipe stands.
    pub(crate) progress: Progress<'a>,
    /// The key of affinity, hashed, if the route has one.
    pub(crate) affinity: Option<u64>,
    /// Whether the backend must count messages itself, as the route's exactly-once needs.
    pub(crate) counting: bool,
}

/// Why a pipe cannot have another leg.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LegError {
    /// A backend no longer accepts the client's credentials: it answered 401 or 403.
    #[error("the backend refused the client's credentials")]
    Unauthorized,
    /// Every backend that is ready answered, and none can continue the session.
    #[error("{0}")]
    Mismatch(String),
}

/// Dials the first leg of a pipe.
///
/// # Errors
/// The answer for the client: the backend's own refusal, 502 for a 101 that is not valid, 503 if
/// no backend could be reached in [`FIRST_LEG_BUDGET`].
pub(crate) async fn dial_first(
    pool: &Pool,
    request: &UpgradeRequest,
    order: &Order<'_>,
) -> Result<Leg, Refusal> {
    let deadline = clock::instant_at(clock::now() + FIRST_LEG_BUDGET);
    let wish = Wish { key: order.affinity, avoid: &[] };
    let mut last = None;
    loop {
        let Ok(Ok(guard)) = timeout_at(deadline, pool.place(&wish)).await else {
            let why = last.unwrap_or_else(|| "no backend is available".to_owned());
            return Err(Refusal::unavailable(why));
        };
        match attempt(guard, LegOffer::First(request), order, Some(deadline)).await {
            Ok(leg) => return Ok(leg),
            // The client learns that there is no backend, not where backends are.
            Err(Failure::Unreachable(_)) => last = Some("no backend answers".to_owned()),
            Err(Failure::Refused(refusal)) => return Err(refusal),
            Err(Failure::Unfit(why)) => return Err(Refusal::bad_gateway(why)),
        }
    }
}

/// Dials a later leg, for as long as it takes; the caller drops the future when it has waited
/// enough.
///
/// # Errors
/// No backend that is ready can continue the session; see [`LegError`].
pub(crate) async fn dial_again(
    pool: &Pool,
    agreed: &Agreed,
    order: &Order<'_>,
) -> Result<Leg, LegError> {
    let mut tried: Vec<BackendId> = Vec::new();
    let mut mismatch = String::new();
    loop {
        let wish = Wish { key: order.affinity, avoid: &tried };
        let Ok(guard) = pool.place(&wish).await else {
            return Err(LegError::Mismatch(mismatch));
        };
        let backend = guard.backend();
        match attempt(guard, LegOffer::Again(agreed), order, None).await {
            Ok(leg) => return Ok(leg),
            Err(Failure::Unreachable(_)) => continue,
            Err(Failure::Refused(Refusal { status: 401 | 403, .. })) => {
                return Err(LegError::Unauthorized);
            }
            Err(Failure::Refused(refusal)) => {
                mismatch = format!("the backend answered {}", refusal.status);
            }
            Err(Failure::Unfit(why)) => mismatch = why.to_owned(),
        }
        tried.push(backend);
    }
}

/// One dial of one backend, and the note about how it ended.
async fn attempt(
    guard: DialGuard,
    offer: LegOffer<'_>,
    order: &Order<'_>,
    deadline: Option<Instant>,
) -> Result<Leg, Failure> {
    let patience = patience(&guard, deadline);
    let endpoint = guard.endpoint().clone();
    match open(&endpoint, offer, order, patience).await {
        Ok((stream, welcome, read_ahead)) => {
            Ok(Leg { stream, read_ahead, welcome, guard: guard.opened() })
        }
        Err(failure) => {
            tracing::debug!(backend = %endpoint.url(), %failure, "dial failed");
            match &failure {
                Failure::Unreachable(why) => guard.failed(why.clone()),
                Failure::Refused(_) | Failure::Unfit(_) => guard.answered(),
            }
            Err(failure)
        }
    }
}

/// How long connecting alone may take, for what has no handshake behind it.
pub(crate) fn connect_patience(guard: &DialGuard, deadline: Instant) -> Duration {
    let patience = patience(guard, Some(deadline));
    patience.connect.min(patience.opening)
}

/// How long this dial may take. A silent backend must not use up the time in which another one
/// could be reached, and one that is known to fail gets next to nothing of it.
fn patience(guard: &DialGuard, deadline: Option<Instant>) -> Patience {
    if guard.is_suspect() {
        return Patience { connect: SUSPECT_CONNECT_TIMEOUT, opening: SUSPECT_OPENING_TIMEOUT };
    }
    let opening = if guard.has_alternatives() { SHORT_OPENING_TIMEOUT } else { OPENING_TIMEOUT };
    let left = deadline.map_or(opening, |deadline| {
        deadline.saturating_duration_since(clock::instant_at(clock::now()))
    });
    Patience { connect: CONNECT_TIMEOUT, opening: opening.min(left) }
}

/// How long a client waits for its first leg before it is answered 503: longer than a rolling
/// restart leaves a pool of one without a listener, shorter than a browser's patience.
pub(crate) const FIRST_LEG_BUDGET: Duration = Duration::from_secs(5);

/// The time for a TCP connection: one lost SYN is repeated after a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for connection and handshake together.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for connection and handshake where another backend is well: half of a first leg's
/// budget, so that the other one is still reached in it.
const SHORT_OPENING_TIMEOUT: Duration = Duration::from_millis(2_500);

/// The time for a connection to a backend that fails while another is well.
const SUSPECT_CONNECT_TIMEOUT: Duration = Duration::from_millis(250);

/// The time for connection and handshake with a backend that fails while another is well.
const SUSPECT_OPENING_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
