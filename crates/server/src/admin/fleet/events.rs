//! Server-sent events: what happens in the fleet, and to one set.
//!
//! Operators see no secrets here either: a set's events are made of its masked history. Whoever needs the
//! values watches the set on the clients' listener, with a token that may read it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use everwire_fleet::{book::Cursor, events::EventStream, name::SetName};
use futures_util::{Stream, stream};

use super::{find, follow::Follower};
use crate::{
    node::{Node, NodeFleet},
    problem::Problem,
};

/// Whatever happens, from now on or behind `Last-Event-ID`.
pub(super) async fn all(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let after = last_event_id(&headers)?.map(|id| id.parse::<Cursor>().map_err(|_| wrong_id()));
    let events = find(&node)?.fleet.events(after.transpose()?);
    let next = async |mut events: EventStream| {
        let told = events.next().await?;
        let mut event = Event::default();
        if let Some(cursor) = told.cursor {
            event = event.id(cursor.to_string());
        }
        let data = serde_json::to_string(&*told.event).unwrap_or_default();
        Some((Ok(event.data(data)), events))
    };
    Ok(Sse::new(stream::unfold(events, next)).keep_alive(alive()))
}

/// What a set has, then each of its versions; or those behind `Last-Event-ID`.
pub(super) async fn of_set(
    fleet: &NodeFleet,
    set: SetName,
    headers: &HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Problem> {
    let follower = Follower::new(fleet.fleet.clone(), set, last_event_id(headers)?.as_deref());
    let next = async |mut follower: Follower| {
        let told = follower.next().await?;
        let event = Event::default().event(told.name).data(told.data.to_string());
        let event = if let Some(id) = told.id { event.id(id) } else { event };
        Some((Ok(event), follower))
    };
    Ok(Sse::new(stream::unfold(follower, next)).keep_alive(alive()))
}

/// Where whoever asks has been.
fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let id = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty());
    id.map(|id| id.to_str().map(str::to_owned).map_err(|_| wrong_id())).transpose()
}

fn wrong_id() -> Problem {
    Problem::bad_request("Last-Event-ID: is not the id of an event of this address")
}

fn alive() -> KeepAlive {
    KeepAlive::new().interval(PING_EVERY)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Proxies cut off what is silent for a minute or so.
const PING_EVERY: Duration = Duration::from_secs(15);
