//! How one hub speaks to its other nodes.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{
    Cluster, Purpose, clocks,
    letter::{self, Address},
    peers::PeerBody,
};
use crate::{
    clock,
    fanout::{
        fields::{Reader, Writer},
        ledger::Progress,
    },
    id::ConnectionId,
    moving::{digest, session::Ended},
};

/// A hub among its other nodes.
#[derive(Debug)]
pub(crate) struct Mesh {
    pub(crate) cluster: Cluster,
    pub(crate) hub: Box<str>,
}

/// What the node that issued a token says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A connection begins.
    Begin,
    /// Its session lives at this node.
    At(Arc<str>),
    /// It is of no use.
    Nothing,
}

impl Mesh {
    /// Tells the node that issued a token that a WebSocket for it is here.
    pub(crate) async fn claim(&self, home: &str, token: &str) -> Claim {
        let node = self.cluster.advertise();
        let target = format!("/claim?id={token}&node={node}");
        let (method, purpose) = (Method::POST, Purpose::Claim);
        match self.told(purpose, home, method, &target, Bytes::new()).await.as_deref() {
            Some(b"begin") => Claim::Begin,
            Some(text) => match str::from_utf8(text).ok().and_then(|text| text.strip_prefix("at "))
            {
                Some(node) => Claim::At(node.into()),
                None => Claim::Nothing,
            },
            None => Claim::Nothing,
        }
    }

    /// Asks a node which of these connections are not there; `None` if it does not say.
    pub(crate) async fn review(
        &self,
        node: &str,
        ids: &[ConnectionId],
    ) -> Option<Vec<ConnectionId>> {
        let body: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        let (method, purpose) = (Method::POST, Purpose::Review);
        let gone = self.told(purpose, node, method, "/review", body.into()).await?;
        let (gone, []) = gone.as_chunks() else { return None };
        Some(gone.iter().copied().map(ConnectionId::from_bytes).collect())
    }

    /// Has a node begin to keep what is said, for a wave of sessions; gives how far it has come.
    pub(crate) async fn begin_wave(&self, node: &str, wave: u64) -> Option<Progress> {
        let answer = self.moves(node, "begin", wave, Bytes::new()).await?;
        Progress::read(&mut Reader::new(answer))
    }

    /// Hands sessions over to a node.
    pub(crate) async fn take(&self, node: &str, wave: u64, sessions: Vec<Bytes>) -> Option<Bytes> {
        let body = Writer::default().list(sessions.iter(), |to, session| to.bytes(session));
        self.moves(node, "take", wave, body.finish()).await
    }

    /// Ends a wave; gives which sessions the node has.
    pub(crate) async fn end_wave(&self, node: &str, wave: u64) -> Option<Ended> {
        Ended::read(self.moves(node, "end", wave, Bytes::new()).await?)
    }

    /// Tells a node that has issued tokens of connections that those are here now.
    pub(crate) async fn tell_moved(&self, node: &str, ids: Bytes) -> Option<Bytes> {
        self.moves(node, "tell", 0, ids).await
    }

    async fn moves(&self, node: &str, what: &str, wave: u64, body: Bytes) -> Option<Bytes> {
        let (own, digest) = (self.cluster.advertise(), digest(&body));
        let target = format!("/move/{what}?wave={wave:x}&node={own}&digest={digest}");
        self.answered(Purpose::Move, node, Method::POST, &target, body, PROGRESS_ROOM).await
    }

    /// Passes a client's request to a node, as it is; `None` if that does not answer in time.
    pub(crate) async fn pass(
        &self,
        node: &str,
        request: Request<PeerBody>,
        within: Duration,
    ) -> Option<Response<Incoming>> {
        self.cluster.count(|tally| &tally.passed);
        self.send(Purpose::Pass, node, request, within).await.ok()
    }

    /// Passes a request for a WebSocket, which is carried on if the node opens it.
    pub(crate) async fn tunnel(
        &self,
        node: &str,
        request: Request<PeerBody>,
    ) -> Option<Response<Incoming>> {
        self.cluster.count(|tally| &tally.tunneled);
        self.send(Purpose::Pass, node, request, ANSWER_MAX).await.ok()
    }

    /// What a node answers to a question of ours.
    async fn told(
        &self,
        purpose: Purpose,
        node: &str,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Option<Bytes> {
        let room = body.len() + ROOM;
        self.answered(purpose, node, method, target, body, room).await
    }

    /// The same with an answer of so many bytes.
    async fn answered(
        &self,
        purpose: Purpose,
        node: &str,
        method: Method,
        target: &str,
        body: Bytes,
        room: usize,
    ) -> Option<Bytes> {
        let question = || {
            let mut request = Request::new(boxed(body.clone()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = target.parse().ok()?;
            Some(request)
        };
        let mut answer = self.send(purpose, node, question()?, ANSWER_MAX).await;
        if matches!(answer, Err(Unheard::Stranger)) {
            // It may be another node than the one whose clock is known.
            answer = self.send(purpose, node, question()?, ANSWER_MAX).await;
        }
        whole(answer.ok()?, room).await
    }

    async fn send(
        &self,
        purpose: Purpose,
        node: &str,
        request: Request<PeerBody>,
        within: Duration,
    ) -> Result<Response<Incoming>, Unheard> {
        let at = self.time_at(node).await?;
        let (_, answer) = self.write_to(purpose, node, at, request, within).await?;
        if answer.status() == StatusCode::MISDIRECTED_REQUEST {
            // It is a node's own word that this is none: no client is to hear it.
            tracing::warn!(node, "a node does not know this one any more, and is asked anew");
            self.cluster.clocks().forget(node);
            return Err(Unheard::Stranger);
        }
        Ok(answer)
    }

    /// What time it is at a node, which is asked if that is not known.
    async fn time_at(&self, node: &str) -> Result<u64, Unheard> {
        let known = self.cluster.clocks().at(node, clock::now());
        if let Some(at) = known {
            return Ok(at);
        }
        let mut request = Request::new(boxed(Bytes::new()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/hello");
        let (letter, answer) = self.write_to(Purpose::Hello, node, 0, request, ANSWER_MAX).await?;
        if answer.status() == StatusCode::MISDIRECTED_REQUEST {
            tracing::warn!(node, "a node does not know this one: their secrets differ");
            return Err(Unheard::Unreachable);
        }
        let told = whole(answer, ROOM).await.ok_or(Unheard::Unreachable)?;
        let time = clocks::read(self.cluster.seal(), letter.as_bytes(), &told);
        let time = time.ok_or(Unheard::Unreachable)?;
        self.cluster.clocks().learn(node, time, clock::now());
        Ok(time)
    }

    /// Sends a request with its letter, which is given back.
    async fn write_to(
        &self,
        purpose: Purpose,
        node: &str,
        at: u64,
        mut request: Request<PeerBody>,
        within: Duration,
    ) -> Result<(HeaderValue, Response<Incoming>), Unheard> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let address = Address { to: node, method: request.method().as_str(), target };
        let letter = self.cluster.write_letter(purpose, &self.hub, at, &address);
        let uri = Uri::builder().scheme("http").authority(node).path_and_query(target).build();
        *request.uri_mut() = uri.map_err(|_| Unheard::Unreachable)?;
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(letter::HEADER, letter.clone());
        let answered = timeout(within, self.cluster.0.peers.ask(request)).await;
        match answered {
            Ok(Ok(response)) => return Ok((letter, response)),
            Ok(Err(error)) => tracing::warn!(node, %error, "a node is not reached"),
            Err(_) => tracing::warn!(node, "a node does not answer in time"),
        }
        self.cluster.count(|tally| &tally.unreachable);
        Err(Unheard::Unreachable)
    }
}

/// Why a node has not heard a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unheard {
    /// It does not answer, or not as a node of this cluster does.
    Unreachable,
    /// It took the letter for an old one.
    Stranger,
}

/// The body of a good answer, if it is as short as it ought to be and comes in time.
async fn whole(answer: Response<Incoming>, room: usize) -> Option<Bytes> {
    if answer.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(answer.into_body(), room).collect();
    Some(timeout(ANSWER_MAX, body).await.ok()?.ok()?.to_bytes())
}

/// A body that is there.
pub(crate) fn boxed(body: Bytes) -> PeerBody {
    Full::new(body).map_err(|never: std::convert::Infallible| match never {}).boxed_unsync()
}

/// A body whose sender may go away within it.
pub(crate) fn passed<B>(body: B) -> PeerBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    body.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof)).boxed_unsync()
}

/// Leaves out what is between two ends of one connection and not for the next.
pub(crate) fn strip_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| HeaderValue::to_str(value).ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP) {
        headers.remove(name);
    }
}

const HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// How long a node may take to answer what it knows by heart.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer beyond those of the question: an address fits.
const ROOM: usize = 1024;

/// The same of an answer that says how far a node has come with all others, and which sessions it has.
const PROGRESS_ROOM: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_two_ends_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("authorization", "Bearer t"),
            ("host", "hub.test"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["authorization", "host"]);
    }
}
