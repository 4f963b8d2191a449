//! Listening to server-sent events: one answer that does not end.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use everwire_proto::signalr::events::EventReader;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    error::ConnectError,
    http::{Ask, Lane, checked},
    site::Site,
};

/// An answer that brings events.
#[derive(Debug)]
pub(super) struct Events {
    body: Incoming,
    reader: EventReader,
    /// What has come and is not looked at yet.
    input: Bytes,
    /// The connection that the answer comes over.
    _lane: Lane,
}

impl Events {
    /// Asks for events.
    pub(super) async fn open(site: &Site, event_max: usize) -> Result<Self, ConnectError> {
        let mut lane = site.lane();
        let headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static(EVENT_STREAM)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]);
        let ask = Ask { method: Method::GET, headers, body: Bytes::new() };
        let answer = checked(site.open(&mut lane, ask).await?)?;
        if !is_event_stream(&answer) {
            return Err(ConnectError::NoEvents);
        }
        let reader = EventReader::new(event_max);
        Ok(Self { body: answer.into_body(), reader, input: Bytes::new(), _lane: lane })
    }

    /// The data of the next event. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, Arc<str>> {
        loop {
            let mut rest = &self.input[..];
            let next = self.reader.next(&mut rest);
            let used = self.input.len() - rest.len();
            self.input.advance(used);
            if let Some(data) = next.map_err(|error| error.to_string())? {
                return Ok(data);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.input = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(format!("the events broke off: {error}").into()),
                None => return Err("the server ended the events".into()),
            }
        }
    }
}

fn is_event_stream(answer: &Response<Incoming>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

const EVENT_STREAM: &str = "text/event-stream";
