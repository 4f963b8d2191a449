//! From an accepted socket to a hub, or to the fleet.
//!
//! A good request for a WebSocket begins the connection at once. Whatever else is asked of a hub,
//! negotiation, events, polls, what is published to a hub with an access key, and what is wrong
//! with a request that is not good, is for [`super::requests`].

use everwire_hub::HubBody;
use everwire_proto::ws::upgrade::{HeaderLines, Refusal, UpgradeRequest};
use http::Response;
use http_body_util::BodyExt;
use tokio::net::TcpStream;

use super::{
    refuse,
    requests::{self, Visit},
    shard::{Shard, Slot},
};
use crate::{node::Found, rest};

/// Whether a request with this head is for a hub, by a client of it or by who publishes to it.
pub(super) fn is_for(shard: &Shard, head: &[u8]) -> bool {
    let Shard { node, desk, .. } = shard;
    let is_hubs = |target: &str| desk.find(target).is_some() || rest::is_for(&node.hubs, target);
    !desk.is_empty() && target_of(head).is_some_and(is_hubs)
}

/// Serves the connection: as a WebSocket of the hub, or request by request.
pub(super) async fn serve(stream: TcpStream, visit: Visit, slot: Slot, shard: &Shard) {
    let found = target_of(&visit.head).and_then(|target| shard.desk.find(target));
    if let (Some(found), Ok(request)) = (found, UpgradeRequest::parse(&visit.head)) {
        return open(stream, &request, &visit.held, slot, &found).await;
    }
    requests::serve(stream, visit, shard.desk.send_timeout(), slot, shard);
}

async fn open(
    stream: TcpStream,
    request: &UpgradeRequest,
    held: &[u8],
    slot: Slot,
    found: &Found<'_>,
) {
    match found.sockets().open(request).await {
        Ok(opening) => opening.start(stream, held, Some(Box::new(slot))),
        Err(response) => {
            found.refused().inc();
            refuse::answer(stream, &refusal_of(response).await).await;
        }
    }
}

/// The same answer for who has the socket at hand.
async fn refusal_of(response: Response<HubBody>) -> Refusal {
    let (head, body) = response.into_parts();
    let mut headers = HeaderLines::default();
    for (name, value) in &head.headers {
        headers.push(name.as_str(), value.as_bytes());
    }
    let reason = head.status.canonical_reason().unwrap_or("Refused").to_owned();
    let body = body.collect().await.map(|body| body.to_bytes().into()).unwrap_or_default();
    Refusal { status: head.status.as_u16(), reason, headers, body }
}

/// The target of the request line, if it is a path.
fn target_of(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let target = line.split(|byte| *byte == b' ').nth(1)?;
    str::from_utf8(target).ok().filter(|target| target.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_second_word_of_the_first_line() {
        assert_eq!(target_of(b"GET /a?b HTTP/1.1\r\nX: /c\r\n\r\n"), Some("/a?b"));
        for none in [&b"GET\r\n\r\n"[..], b"", b"GET http://x/a HTTP/1.1\r\n\r\n", b"GET * H"] {
            assert_eq!(target_of(none), None);
        }
    }
}
