//! `GET {path}/sets/{set}/events`: a set's changes for whoever reads server-sent events.
//!
//! It begins with a snapshot or, for who says by `Last-Event-ID` or `cursor` what was there before, with
//! what came since. A comment says now and then that the connection lives.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use everwire_hub::ClientRequest;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

use super::{
    FleetBody, Kind,
    answer::{of, problem},
};
use crate::{
    access::Right,
    clock,
    follow::{pass_of, read_pace},
    name::SetName,
    shelf::{NotOpened, Shelf, Stream, Watcher, WayTo, feed},
    watch::{Pace, Seed},
};

/// One stream, as the body of an answer.
#[derive(Debug)]
pub(super) struct Events {
    stream: Stream,
    ping: Pin<Box<Sleep>>,
    has_begun: bool,
    _place: OwnedSemaphorePermit,
}

/// Answers with a stream, if the set may be read.
pub(super) async fn answer(
    shelf: &Shelf,
    set: &str,
    request: &ClientRequest,
) -> Response<FleetBody> {
    begin(shelf, set, request).await.unwrap_or_else(|(status, why)| {
        let mut answer = problem(status, &why);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        answer
    })
}

async fn begin(
    shelf: &Shelf,
    set: &str,
    request: &ClientRequest,
) -> Result<Response<FleetBody>, (StatusCode, String)> {
    let pass = pass_of(request);
    if !shelf.gate().admits(pass) {
        return Err((StatusCode::UNAUTHORIZED, UNKNOWN.to_owned()));
    }
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    let set: SetName = set.parse().map_err(|error| bad(format!("{error}")))?;
    if !shelf.gate().allows_set(pass, Right::Read, &set) {
        return Err((StatusCode::FORBIDDEN, format!("{FORBIDDEN} {set}")));
    }
    let pace = match request.parameter("coalesce") {
        Some(millis) => read_pace(&millis).map_err(|error| bad(error.to_string()))?,
        None => Pace::Each,
    };
    // What is no cursor of ours is that of somebody who has nothing of ours.
    let last = request.header("last-event-id").map(str::to_owned);
    let last = last.or_else(|| request.parameter("cursor")).filter(|text| !text.is_empty());
    let seed = match last.map(|text| text.parse()) {
        Some(Ok(cursor)) => Seed::At(cursor),
        Some(Err(_)) => Seed::Missed,
        None => Seed::Nothing,
    };
    let full = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let (who, place) = shelf.stream().ok_or_else(|| full(FULL.to_owned()))?;
    let (feed, stream) = feed();
    let watcher = Watcher { who, way: WayTo::Feed(feed), pass, seed, pace };
    let watched = shelf.watch(&set, watcher).await;
    watched.map_err(|error: NotOpened| full(error.to_string()))?;
    let events = Events { stream, ping: Box::pin(sleep(PING)), has_begun: false, _place: place };
    let mut response = of(StatusCode::OK, "text/event-stream", Kind::Events(Box::new(events)));
    // Proxies that collect answers would keep what has to come at once.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Events {
    /// What comes next; `None` when the reader has been told all.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.has_begun {
            self.has_begun = true;
            return Poll::Ready(Some(Bytes::from_static(BEGINNING)));
        }
        let next = self.stream.poll_next(cx);
        if next.is_pending() {
            if self.ping.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.ping.as_mut().reset(clock::instant() + PING);
            return Poll::Ready(Some(Bytes::from_static(b": ping\n\n")));
        }
        next
    }
}

/// Silence of ours after which a comment is sent: less than what proxies wait for.
const PING: Duration = Duration::from_secs(15);

/// How soon a reader comes back that is cut off, in milliseconds; and a first byte, for who waits for one.
const BEGINNING: &[u8] = b"retry: 2000\n\n";

const UNKNOWN: &str = "this needs a token: Authorization: Bearer …, or ?access_token=…";
const FORBIDDEN: &str = "this token may not read";
const FULL: &str =
    "as many streams are open on this node as may be; try again later, or another node";
